"""A customer with a shell, who swaps names between any two system calls."""

import errno
import os
import time
from contextlib import suppress

import pytest
from isolating import adversary, all_records, confirmed, exchange, needs_root, recovered, watched

from hashscan.errors import QuarantineError, UnsafePathError
from hashscan.quarantine import act
from hashscan.quarantine.manage import purge
from hashscan.quarantine.records import RecordState
from hashscan.quarantine.recover import recover
from hashscan.quarantine.restore import restore
from hashscan.quarantine.store import Store

KNOWN = os.urandom(4096)
OTHER = os.urandom(4096)
# Each race goes on until the customer has exchanged the names so often, however slow the machine is.
FLIPS = 1500
SECONDS = 30


def can_exchange(volume):
    (volume / "x").write_bytes(b"")
    (volume / "y").write_bytes(b"")
    try:
        exchange(volume / "x", volume / "y")
    except (OSError, AttributeError):
        pytest.skip("this file system cannot exchange two names")
    finally:
        (volume / "x").unlink()
        (volume / "y").unlink()


def test_directory_flips_to_a_link_out_of_the_volume(tmp_path, volume, quarantine, store_path):
    can_exchange(volume)
    outside = tmp_path / "outside"
    outside.mkdir()
    # The same content: nothing but the path keeps it from being taken for the match.
    (outside / "f").write_bytes(KNOWN)
    innocent = os.stat(outside / "f")
    (volume / "d").mkdir()
    (volume / "d" / "f").write_bytes(KNOWN)
    match = confirmed(volume, "d/f")
    real = os.open(volume / "d", os.O_RDONLY)
    (volume / "link").symlink_to(outside)
    seen = {"quarantined": 0, "refused": 0, "restored": 0, "not restored": 0}
    with (
        watched(outside) as events,
        Store.open(os.fsencode(store_path)) as store,
        adversary(lambda: exchange(volume / "d", volume / "link")) as flips,
    ):
        until = time.monotonic() + SECONDS
        while (flips() < FLIPS or min(seen.values()) < 5) and time.monotonic() < until:
            acted = quarantine.act(match)
            if acted.action != "quarantined":
                assert acted.problem in {"swapped", "vanished"}, acted
                seen["refused"] += 1
                continue
            seen["quarantined"] += 1
            while True:
                try:
                    with store.lock():
                        restore(store, acted.quarantine_id)
                    seen["restored"] += 1
                    break
                except QuarantineError as error:
                    if error.reason != "no-directory":
                        raise
                    seen["not restored"] += 1
            assert os.listdir(real) == ["f"]
            store.save(store.load(acted.quarantine_id).became(RecordState.PURGED))
        assert events() == b""
        assert flips() >= FLIPS
    assert min(seen.values()) >= 5, seen
    after = os.stat(outside / "f")
    assert (after.st_ino, after.st_nlink, after.st_ctime_ns) == (
        innocent.st_ino,
        innocent.st_nlink,
        innocent.st_ctime_ns,
    )
    assert os.listdir(outside) == ["f"]
    os.close(real)


@pytest.mark.root
@needs_root
@pytest.mark.parametrize("mkdir", [False, True])
def test_the_directory_of_to_flips_to_a_link(tmp_path, volume, quarantine, store_path, mkdir):
    """Root restores into a directory that a customer exchanges for a link all the time."""
    can_exchange(volume)
    outside = tmp_path / "outside"
    cust = tmp_path / "cust"
    for path in (outside, cust / "real"):
        path.mkdir(parents=True)
    os.symlink(outside, cust / "link")
    for name in (".", "real", "link"):
        os.chown(cust / name, 4711, 4711, follow_symlinks=False)
    real = os.open(cust / "real", os.O_RDONLY)
    seen = {"restored": 0, "not followed": 0}
    to = os.fsencode(cust / "real" / "new" if mkdir else cust / "real")
    with (
        watched(outside) as events,
        Store.open(os.fsencode(store_path)) as store,
        adversary(lambda: exchange(cust / "real", cust / "link")),
    ):
        until = time.monotonic() + 20
        while min(seen.values()) < 3 and time.monotonic() < until:
            if not (volume / "f").exists():
                (volume / "f").write_bytes(KNOWN)
            acted = quarantine.act(confirmed(volume, "f"))
            assert acted.action == "quarantined", acted
            while True:
                try:
                    with store.lock():
                        assert recover(store) == []
                        restore(store, acted.quarantine_id, to=to, mkdir=mkdir)
                    seen["restored"] += 1
                    break
                except UnsafePathError:
                    seen["not followed"] += 1
                except QuarantineError as error:
                    if error.reason not in {"no-directory", "swapped", "vanished", "other-root"}:
                        raise
            for name in ("f", "new/f"):
                with suppress(FileNotFoundError, NotADirectoryError):
                    os.unlink(name, dir_fd=real)
            with suppress(FileNotFoundError):
                os.rmdir("new", dir_fd=real)
        assert events() == b""
    assert os.listdir(outside) == []
    assert min(seen.values()) >= 3, seen
    os.close(real)


def test_file_flips_to_an_innocent_one(volume, quarantine, store_path):
    can_exchange(volume)
    (volume / "f").write_bytes(KNOWN)
    match = confirmed(volume, "f")
    (volume / "g").write_bytes(OTHER)
    with adversary(lambda: exchange(volume / "f", volume / "g")) as flips:
        until = time.monotonic() + SECONDS
        number = 0
        while (flips() < FLIPS or number < 20) and time.monotonic() < until:
            number += 1
            acted = quarantine.act(match)
            with Store.open(os.fsencode(store_path)) as store, store.lock():
                assert recover(store) == []
                for record in all_records(store):
                    content = store_path / record.id / "content"
                    if record.state is RecordState.QUARANTINED:
                        assert content.read_bytes() == KNOWN
                        restored(store, record, volume)
                    elif record.state is RecordState.UNDONE:
                        assert not content.exists()
                    else:
                        assert record.state is RecordState.PURGED, record
            # f and g, one of each, whatever happened
            assert acted.action in {"quarantined", "reported"}
        assert flips() >= FLIPS
    assert sorted((volume / name).read_bytes() for name in ("f", "g")) == sorted([KNOWN, OTHER])
    assert number >= 20


def restored(store, record, volume):
    """Back to f: the adversary's exchange needs both names, so it stood still meanwhile."""
    try:
        restore(store, record.id)
    except QuarantineError:
        assert (volume / "f").read_bytes() == OTHER
        raise
    purge(store, record.id, lift=True)


@pytest.mark.parametrize("swapped", ["file", "directory", "link", "fifo"])
def test_innocent_goes_back_without_overwriting(
    volume, quarantine, store_path, monkeypatch, swapped
):
    """Swapped in right before the move; its name is taken right after the move."""
    (volume / "f").write_bytes(KNOWN)
    match = confirmed(volume, "f")
    real_take = act.take

    def swapping(directory, name, private, unique):
        os.unlink(name, dir_fd=directory)
        make(swapped, volume / "f")
        real_take(directory, name, private, unique)
        if decoy:
            (volume / "f").write_bytes(b"decoy")

    monkeypatch.setattr(act, "take", swapping)
    decoy = False
    acted = quarantine.act(match)
    assert (acted.action, acted.problem) == ("reported", "changed"), acted
    assert is_made(swapped, volume / "f")
    assert not (volume / ".hashscan").exists()

    make_away(volume / "f")
    (volume / "f").write_bytes(KNOWN)
    decoy = True
    acted = quarantine.act(confirmed(volume, "f"))
    assert (acted.action, acted.problem) == ("reported", "displaced"), acted
    assert (volume / "f").read_bytes() == b"decoy"
    monkeypatch.undo()
    with Store.open(os.fsencode(store_path)) as store, store.lock():
        assert recover(store) == []
        assert store.load(acted.quarantine_id).state is RecordState.DISPLACED
        with pytest.raises(QuarantineError, match="not purged"):
            purge(store, acted.quarantine_id)
        with pytest.raises(QuarantineError, match="nothing is overwritten"):
            restore(store, acted.quarantine_id)
        assert store.load(acted.quarantine_id).state is RecordState.DISPLACED
        (volume / "else").mkdir()
        restore(store, acted.quarantine_id, to=os.fsencode(volume / "else"))
    assert is_made(swapped, volume / "else" / "f")
    assert (volume / "f").read_bytes() == b"decoy"
    assert not (volume / ".hashscan").exists()
    with recovered(store_path):
        pass


def make(what, path):
    if what == "file":
        path.write_bytes(OTHER)
    elif what == "directory":
        path.mkdir()
        (path / "inner").write_bytes(OTHER)
    elif what == "link":
        path.symlink_to("/etc/passwd")
    else:
        os.mkfifo(path)


def is_made(what, path):
    if what == "file":
        return path.read_bytes() == OTHER
    if what == "directory":
        return (path / "inner").read_bytes() == OTHER
    if what == "link":
        return os.readlink(path) == "/etc/passwd"
    return path.is_fifo()


def make_away(path):
    if path.is_dir() and not path.is_symlink():
        (path / "inner").unlink()
        path.rmdir()
    else:
        path.unlink()


def test_directory_removed_after_the_move(volume, quarantine, store_path, monkeypatch):
    """The innocent file's directory is gone when it is to go back."""
    (volume / "d").mkdir()
    (volume / "d" / "f").write_bytes(KNOWN)
    match = confirmed(volume, "d/f")
    real_take = act.take

    def swapping(directory, name, private, unique):
        (volume / "d" / "f").write_bytes(OTHER)
        real_take(directory, name, private, unique)
        (volume / "d").rmdir()

    monkeypatch.setattr(act, "take", swapping)
    acted = quarantine.act(match)
    assert acted.problem == "displaced"
    monkeypatch.undo()
    (volume / "d").mkdir()
    with recovered(store_path) as store:
        restore(store, acted.quarantine_id)
    assert (volume / "d" / "f").read_bytes() == OTHER


def test_name_taken_in_the_instant_before_a_restore(volume, quarantine, store_path, monkeypatch):
    from hashscan.quarantine import restore as module

    (volume / "f").write_bytes(KNOWN)
    acted = quarantine.act(confirmed(volume, "f"))
    real_put = module.put
    numbers = set()

    def racing(private, unique, directory, name):
        if not (volume / "f").exists():
            (volume / "f").write_bytes(b"newer")
        try:
            real_put(private, unique, directory, name)
        except OSError as error:
            numbers.add(error.errno)
            raise

    monkeypatch.setattr(module, "put", racing)
    with recovered(store_path) as store:
        with pytest.raises(QuarantineError) as caught:
            restore(store, acted.quarantine_id)
        assert caught.value.reason == "taken"
        assert numbers <= {errno.EEXIST, errno.EXDEV}
        assert errno.EEXIST in numbers
        assert (volume / "f").read_bytes() == b"newer"
        assert store.load(acted.quarantine_id).state is RecordState.QUARANTINED
    assert os.listdir(volume) == ["f"]
