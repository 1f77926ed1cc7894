"""A restore to a missing directory: the message names the owner; --mkdir makes it."""

import errno
import os
import shutil
import stat

import pytest
from isolating import confirmed, exchange, needs_root, recovered

from hashscan.errors import QuarantineError
from hashscan.fs import folders
from hashscan.fs.folders import make_below
from hashscan.fs.private import FOLDER_ENDING
from hashscan.quarantine import restore_target
from hashscan.quarantine.restore import restore

CUSTOMER = 4711


def owned(path):
    status = os.stat(path)
    return status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)


@pytest.fixture
def gone(volume, quarantine):
    """A quarantined file whose directories ``a/b`` are gone; ``cust`` above is a customer's."""
    (volume / "cust" / "a" / "b").mkdir(parents=True)
    file = volume / "cust" / "a" / "b" / "f"
    file.write_bytes(b"known content")
    if os.geteuid() == 0:
        for path in (volume / "cust", file):
            os.chown(path, CUSTOMER, CUSTOMER + 1)
    (volume / "cust").chmod(0o2771)
    acted = quarantine.act(confirmed(volume, "cust/a/b/f"))
    shutil.rmtree(volume / "cust" / "a")
    return acted.quarantine_id


def refusal(store, *args, **options):
    with pytest.raises(QuarantineError) as caught:
        restore(store, *args, **options)
    assert caught.value.reason == "no-directory"
    return str(caught.value)


def test_the_message_has_the_owner_and_the_mkdir(volume, store_path, gone):
    with recovered(store_path) as store:
        text = refusal(store, gone)
        uid = os.stat(volume / "cust").st_uid
        assert f"{volume}/cust/a/b: not restored: the directory is gone" in text
        assert f"(the file belongs to user {uid}" in text
        assert f"--mkdir makes it with the owner and mode of {volume}/cust," in text
        assert f"`mkdir -p {volume}/cust/a/b`" in text
        for make in (
            lambda: (volume / "cust" / "a").write_bytes(b""),
            lambda: os.symlink("/", volume / "cust" / "a"),
        ):
            make()
            for mkdir in (False, True):
                assert "a file or a link has" in refusal(store, gone, mkdir=mkdir)
            (volume / "cust" / "a").unlink()
        volume.rename(volume.parent / "away")
        for mkdir in (False, True):
            assert "the volume is not there; mount it" in refusal(store, gone, mkdir=mkdir)
        (volume.parent / "away").rename(volume)


def test_mkdir_makes_them_as_the_one_above(volume, store_path, gone):
    with recovered(store_path) as store:
        done = restore(store, gone, mkdir=True)
    assert (volume / "cust" / "a" / "b" / "f").read_bytes() == b"known content"
    above = owned(volume / "cust")
    assert owned(volume / "cust" / "a") == owned(volume / "cust" / "a" / "b") == above
    first, second = done.notes
    assert f"made the directory {volume}/cust/a (" in first
    assert f"made the directory {volume}/cust/a/b (" in second
    assert "mode 2771" in first
    if os.geteuid() == 0:
        assert f"({CUSTOMER}:{CUSTOMER + 1}," in first
    assert os.listdir(volume / "cust") == ["a"]


def test_mkdir_with_to(volume, tmp_path, store_path, gone):
    to = tmp_path / "x" / "y"
    with recovered(store_path) as store:
        text = refusal(store, gone, to=os.fsencode(to))
        assert "there is no such directory" in text
        assert f"`mkdir -p {to}` or --mkdir" in text
        done = restore(store, gone, to=os.fsencode(f"{to}/../y/"), mkdir=True)
    assert (to / "f").read_bytes() == b"known content"
    assert len(done.notes) == 2
    assert owned(to) == (*owned(tmp_path)[:2], 0o700)


def test_a_directory_that_changes_hands_after_it_was_named(tmp_path, store_path, gone, monkeypatch):
    """Between its opening by name, without links, and that of the file's place in it."""
    to = tmp_path / "to"
    to.mkdir()
    opened = restore_target.opened

    def swapped(place):
        to.rename(tmp_path / "away")
        to.mkdir()
        return opened(place)

    monkeypatch.setattr(restore_target, "opened", swapped)
    with recovered(store_path) as store:
        with pytest.raises(QuarantineError) as caught:
            restore(store, gone, to=os.fsencode(to))
        assert caught.value.reason == "other-root"
    assert os.listdir(to) == os.listdir(tmp_path / "away") == []


def test_nothing_is_made_for_what_cannot_be_restored(volume, store_path, gone):
    content = store_path / gone / "content"
    with open(content, "r+b") as file:
        file.write(b"KNOWN")
    with recovered_altered(store_path) as store, pytest.raises(QuarantineError, match="--force"):
        restore(store, gone, mkdir=True)
    assert os.listdir(volume / "cust") == []


def recovered_altered(store_path):
    from hashscan.quarantine.store import Store

    return Store.open(os.fsencode(store_path))


def test_a_directory_that_all_may_write_to_gives_no_such_mode(tmp_path):
    tmp_path.chmod(0o1777)
    with_fd = os.open(tmp_path, os.O_RDONLY)
    try:
        (made,) = make_below(with_fd, [b"new"], os.fsencode(tmp_path))
        assert made.mode == owned(tmp_path / "new")[2] == 0o775
        assert make_below(with_fd, [b"new"], os.fsencode(tmp_path)) == []
        os.symlink("/", tmp_path / "link")
        with pytest.raises(OSError, match="link"):
            make_below(with_fd, [b"link", b"x"], os.fsencode(tmp_path))
    finally:
        os.close(with_fd)


def test_what_a_kill_left_goes_with_the_next(tmp_path):
    private = tmp_path / ".hashscan"
    (private / f"old{FOLDER_ENDING.decode()}").mkdir(parents=True)
    private.chmod(0o700)
    fd = os.open(tmp_path, os.O_RDONLY)
    make_below(fd, [b"new"], os.fsencode(tmp_path))
    os.close(fd)
    assert os.listdir(tmp_path) == ["new"]


@pytest.mark.root
@needs_root
def test_a_customer_gets_no_directory_that_is_not_his(tmp_path, monkeypatch):
    """When the new directory has its name, the customer puts root's directory in its place."""
    cust = tmp_path / "cust"
    (cust / "logs").mkdir(parents=True)
    (cust / "logs").chmod(0o700)
    os.chown(cust, CUSTOMER, CUSTOMER)
    real = folders.put

    def put(private, unique, directory, name):
        assert os.stat(unique, dir_fd=private).st_uid == CUSTOMER, "handed over before"
        real(private, unique, directory, name)
        exchange(cust / "logs", cust / "a")

    monkeypatch.setattr(folders, "put", put)
    fd = os.open(cust, os.O_RDONLY)
    make_below(fd, [b"a"], os.fsencode(cust))
    os.close(fd)
    assert owned(cust / "a") == (0, 0, 0o700)


def test_a_disk_that_fails_while_directories_are_made_is_named(
    volume, store_path, gone, monkeypatch
):
    def fails(*_args):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(restore_target, "make_below", fails)
    with recovered(store_path) as store, pytest.raises(QuarantineError) as caught:
        restore(store, gone, mkdir=True)
    assert caught.value.reason == "io-error"
    assert str(volume) in str(caught.value)


@pytest.mark.parametrize("fails_at", ["the second directory", "the file"])
def test_directories_that_were_made_before_a_failure_are_named(
    volume, store_path, gone, monkeypatch, fails_at
):
    real = folders.put

    def put(private, unique, directory, name):
        if name == (b"b" if fails_at == "the second directory" else b"f"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(private, unique, directory, name)

    monkeypatch.setattr(folders, "put", put)
    monkeypatch.setattr("hashscan.quarantine.restore.put", put)
    with recovered(store_path) as store:
        with pytest.raises(QuarantineError) as caught:
            restore(store, gone, mkdir=True)
        made = [volume / "cust" / "a", volume / "cust" / "a" / "b"]
        made = made[:1] if fails_at == "the second directory" else made
        assert str(caught.value).count("made the directory") == len(made)
        for one in made:
            assert f"made the directory {one} (" in str(caught.value)
            assert one.is_dir()
        assert caught.value.reason == "no-space"
        monkeypatch.undo()
        restore(store, gone, mkdir=True)
