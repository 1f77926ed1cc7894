"""What can fail, fails: the file is where it was, and the message says what to do."""

import errno
import fcntl
import os
import struct
from pathlib import Path

import pytest
from isolating import (
    all_records,
    confirmed,
    in_mount_namespace,
    libc,
    mount,
    needs_root,
    recovered,
    snapshot,
)

from hashscan.errors import InterruptError, QuarantineError
from hashscan.fs import rename
from hashscan.fs.flags import inode_flags
from hashscan.quarantine import act, conclude
from hashscan.quarantine.act import Quarantine
from hashscan.quarantine.manage import verify
from hashscan.quarantine.records import RecordState
from hashscan.quarantine.recover import recover
from hashscan.quarantine.restore import restore
from hashscan.quarantine.store import Store

MS_RDONLY, MS_REMOUNT, MS_BIND = 1, 32, 4096


def untouched(path, before, acted, reason, *words):
    assert (acted.action, acted.problem) == ("reported", reason), acted
    for word in words:
        assert word in acted.message
    assert snapshot(path) == before


@pytest.mark.root
@needs_root
@pytest.mark.parametrize("store_in", ["volume's", "other"])
def test_read_only_volume(tmp_path, store_in):
    def run():
        (tmp_path / "fs").mkdir()
        mount("tmpfs", tmp_path / "fs", "tmpfs")
        volume = tmp_path / "fs" / "v"
        volume.mkdir()
        (volume / "f").write_bytes(b"known")
        mount(volume, volume, None, MS_BIND)
        mount("none", volume, None, MS_REMOUNT | MS_BIND | MS_RDONLY)
        store = tmp_path / ("fs/s" if store_in == "volume's" else "s")
        quarantine = Quarantine.open(os.fsencode(store))
        before = snapshot(volume / "f")
        acted = quarantine.act(confirmed(volume, "f", b"known"))
        untouched(volume / "f", before, acted, "read-only", "remount")
        assert quarantine._store.ids() == []

    in_mount_namespace(run)


@pytest.mark.root
@needs_root
def test_bind_mount_of_the_same_device_is_another_file_system_for_a_rename(tmp_path):
    """A rename across bind mounts fails although the device is the same."""

    def run():
        (tmp_path / "real" / "sub").mkdir(parents=True)
        (tmp_path / "volume" / "mnt").mkdir(parents=True)
        mount(tmp_path / "real", tmp_path / "volume" / "mnt", None, MS_BIND)
        path = tmp_path / "volume" / "mnt" / "sub" / "f"
        path.write_bytes(b"known")
        before = snapshot(path)
        volume = os.fsencode(tmp_path / "volume")
        match = confirmed(volume, "mnt/sub/f")
        strict = Quarantine.open(os.fsencode(tmp_path / "store"))
        acted = strict.act(match)
        untouched(path, before, acted, "other-filesystem", "one_file_system: false")
        quarantine = Quarantine.open(os.fsencode(tmp_path / "store"), cross_mounts=[volume])
        acted = quarantine.act(match)
        assert acted.action == "quarantined", acted
        assert os.listdir(tmp_path / "volume" / "mnt") == ["sub"]
        with recovered(tmp_path / "store") as store:
            restore(store, acted.quarantine_id)
        assert snapshot(path) == before

    in_mount_namespace(run)


@pytest.mark.root
@needs_root
def test_unmounted_volume_waits_for_the_next_start(tmp_path):
    """Killed with the file staged on a volume that is not mounted at the next start."""

    def run():
        volume = tmp_path / "volume"
        volume.mkdir()
        mount("tmpfs", volume, "tmpfs")
        (volume / "f").write_bytes(b"known")
        before = snapshot(volume / "f")
        match = confirmed(volume, "f")
        original = conclude.copy_content
        conclude.copy_content = killed
        quarantine = Quarantine.open(os.fsencode(tmp_path / "store"))
        with pytest.raises(Killed):
            quarantine.act(match)
        quarantine.close()
        conclude.copy_content = original
        mount(tmp_path / "volume" / ".hashscan", tmp_path / "volume", None, MS_BIND)  # hides it
        with Store.open(os.fsencode(tmp_path / "store")) as store, store.lock():
            (note,) = recover(store)
            assert not note.resolved
            assert "mount the volume" in note.message
            (record,) = all_records(store)
            assert record.state is RecordState.INTENT
        assert libc.umount2(os.fsencode(volume), 2) == 0
        with recovered(tmp_path / "store") as store:
            (record,) = all_records(store)
            assert record.state is RecordState.QUARANTINED
            restore(store, record.id)
        assert snapshot(volume / "f") == before

    in_mount_namespace(run)


class Killed(BaseException):
    """As good as a SIGKILL: nothing in between catches it."""


def killed(*_):
    raise Killed


@pytest.mark.root
@needs_root
@pytest.mark.parametrize("size", [100, 300_000])
def test_no_space_in_the_store(tmp_path, size):
    """Small: not even the intent can be written. Large: the copy does not fit."""

    def run():
        volume = tmp_path / "volume"
        volume.mkdir()
        (volume / "f").write_bytes(os.urandom(size))
        (tmp_path / "s").mkdir(mode=0o700)
        mount("tmpfs", tmp_path / "s", "tmpfs", options="size=65536,mode=0700")
        before = snapshot(volume / "f")
        match = confirmed(volume, "f")
        quarantine = Quarantine.open(os.fsencode(tmp_path / "s"))
        if size == 100:
            with (
                open(tmp_path / "s" / "lock", "wb", buffering=0) as file,
                pytest.raises(OSError, match="No space"),
            ):
                while True:
                    file.write(b"x" * 4096)
        acted = quarantine.act(match)
        untouched(volume / "f", before, acted, "no-space", "free some space")
        assert not (volume / ".hashscan").exists()
        with Store.open(os.fsencode(tmp_path / "s")) as store, store.lock():
            recover(store)
            assert {record.state for record in all_records(store)} <= {RecordState.UNDONE}
            assert not list(Path(tmp_path / "s").rglob("content*"))

    in_mount_namespace(run)


@pytest.mark.root
@needs_root
def test_no_space_on_the_volume_to_restore_to(tmp_path):
    def run():
        volume = tmp_path / "volume"
        volume.mkdir()
        mount("tmpfs", volume, "tmpfs", options="size=1m")
        (volume / "f").write_bytes(os.urandom(600_000))
        before = snapshot(volume / "f")
        quarantine = Quarantine.open(os.fsencode(tmp_path / "s"))
        acted = quarantine.act(confirmed(volume, "f"))
        (volume / "filler").write_bytes(b"x" * 800_000)
        with recovered(tmp_path / "s") as store:
            with pytest.raises(QuarantineError, match="No space left") as caught:
                restore(store, acted.quarantine_id)
            assert caught.value.reason == "no-space"
            assert sorted(os.listdir(volume)) == ["filler"]
            assert store.load(acted.quarantine_id).state is RecordState.QUARANTINED
            (volume / "filler").unlink()
            restore(store, acted.quarantine_id)
        assert snapshot(volume / "f") == before

    in_mount_namespace(run)


def set_flag(path, flag, *, on):
    fd = os.open(path, os.O_RDONLY)
    try:
        before = inode_flags(fd)
        if before is None:
            raise OSError(errno.ENOTTY, "no flags")
        flags = before | flag if on else before & ~flag
        fcntl.ioctl(fd, 0x40086602, struct.pack("l", flags))  # FS_IOC_SETFLAGS
    finally:
        os.close(fd)


@pytest.mark.root
@needs_root
@pytest.mark.parametrize("what", ["file", "directory"])
@pytest.mark.parametrize(("flag", "reason", "letter"), [(0x10, "immutable", "i"), (0x20, "append-only", "a")])  # fmt: skip
def test_immutable_and_append_only(volume, quarantine, store_path, what, flag, reason, letter):
    (volume / "d").mkdir()
    path = volume / "d" / "f"
    path.write_bytes(b"known")
    marked = path if what == "file" else volume / "d"
    match = confirmed(volume, "d/f")
    before = snapshot(path)
    try:
        set_flag(marked, flag, on=True)
    except OSError:
        pytest.skip("this file system has no such flag")
    try:
        acted = quarantine.act(match)
        untouched(path, before, acted, reason, f"chattr -{letter} ", str(marked))
    finally:
        set_flag(marked, flag, on=False)
    assert set(os.listdir(store_path)) == {"lock", ".hashscan-quarantine", "clock.json"}
    assert quarantine.act(confirmed(volume, "d/f")).action == "quarantined"


NUMBERS = [
    (errno.EIO, "io-error"),
    (errno.ESTALE, "stale"),
    (errno.EACCES, "denied"),
    (errno.EPERM, "denied"),
    (errno.ENOSPC, "no-space"),
    (errno.EDQUOT, "no-space"),
    (errno.EBUSY, "busy"),
]


@pytest.mark.parametrize(("number", "reason"), NUMBERS)
def test_the_rename_fails(volume, quarantine, store_path, monkeypatch, number, reason):
    (volume / "f").write_bytes(b"known")
    match = confirmed(volume, "f")
    before = snapshot(volume / "f")

    def fails(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(act, "take", fails)
    acted = quarantine.act(match)
    untouched(volume / "f", before, acted, reason, str(volume / "f"))
    assert set(os.listdir(store_path)) == {"lock", ".hashscan-quarantine", "clock.json"}
    assert not (volume / ".hashscan").exists()


@pytest.mark.parametrize(("number", "reason"), [(errno.EIO, "io-error"), (errno.ESTALE, "stale")])
def test_reading_the_moved_file_fails(volume, quarantine, store_path, monkeypatch, number, reason):
    (volume / "f").write_bytes(b"known")
    match = confirmed(volume, "f")
    before = snapshot(volume / "f")

    def fails(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "preadv", fails)
    acted = quarantine.act(match)
    monkeypatch.undo()
    untouched(volume / "f", before, acted, reason)
    with recovered(store_path) as store:
        assert [one.state for one in all_records(store)] == [RecordState.UNDONE]


def test_every_store_write_may_fail_once(volume, store_path, quarantine, monkeypatch):
    """ENOSPC at each fsync, write, mkdir and rename of the store in turn."""
    outcomes = set()
    for number in range(1, 60):
        path = volume / "f"
        if not path.exists():
            path.write_bytes(b"known")
        match = confirmed(volume, "f")
        before = snapshot(path)
        count = 0

        def failing(call, number=number):
            def calling(*args, **kwargs):
                nonlocal count
                count += 1
                if count == number:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                return call(*args, **kwargs)

            return calling

        with monkeypatch.context() as patch:
            for name in ("fsync", "write", "pwrite", "mkdir", "replace", "ftruncate"):
                patch.setattr(os, name, failing(getattr(os, name)))
            acted = quarantine.act(match)
        outcomes.add(acted.action)
        with recovered(store_path) as store:
            kept = [one for one in all_records(store) if one.state is RecordState.QUARANTINED]
            assert len(kept) + path.exists() == 1, (number, acted)
            if acted.action == "reported":
                assert acted.problem == "no-space", (number, acted)
            for record in kept:
                restore(store, record.id)
                store.save(record.became(RecordState.PURGED))  # or the next turn would be held
            assert snapshot(path) == before
        if count < number:
            break
    assert outcomes == {"reported", "quarantined"}
    assert number > 8


@pytest.mark.parametrize("plant", ["link", "file", "open", "foreign"])
def test_planted_private_directory(tmp_path, memory, volume, plant):
    if os.stat(tmp_path).st_dev == os.stat(memory).st_dev:
        pytest.skip("the temporary directory and /dev/shm are one file system")
    if plant == "foreign" and os.geteuid() != 0:
        pytest.skip("needs root")
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o700)
    planted = volume / ".hashscan"
    if plant == "link":
        planted.symlink_to(outside)
    elif plant == "file":
        planted.write_bytes(b"mine")
    else:
        planted.mkdir(mode=0o777 if plant == "open" else 0o700)
        os.chmod(planted, 0o777 if plant == "open" else 0o700)
        if plant == "foreign":
            os.chown(planted, 4711, 4711)
    (volume / "f").write_bytes(b"known")
    match = confirmed(volume, "f")
    quarantine = Quarantine.open(os.fsencode(memory / "store"))
    acted = quarantine.act(match)
    assert acted.action == "quarantined", acted
    assert os.listdir(outside) == []
    assert os.listdir(volume) == [".hashscan"], "what was planted, and nothing else"
    assert os.path.lexists(planted)
    quarantine.close()


def test_private_directory_renamed_by_its_neighbour_is_found_again(
    tmp_path, memory, volume, monkeypatch
):
    """Killed with the file staged; then the volume's owner renames the private directory."""
    if os.stat(tmp_path).st_dev == os.stat(memory).st_dev:
        pytest.skip("the temporary directory and /dev/shm are one file system")
    (volume / "f").write_bytes(b"known")
    match = confirmed(volume, "f")
    monkeypatch.setattr(conclude, "copy_content", killed)
    quarantine = Quarantine.open(os.fsencode(memory / "store"))
    with pytest.raises(Killed):
        quarantine.act(match)
    quarantine.close()
    monkeypatch.undo()
    os.replace(volume / ".hashscan", volume / "taken")
    (volume / ".hashscan").mkdir(mode=0o700)
    with recovered(memory / "store") as store:
        (record,) = all_records(store)
        assert record.state is RecordState.QUARANTINED


def test_leftovers_and_foreign_things_are_reported_and_never_deleted(
    tmp_path, volume, quarantine, store_path
):
    (volume / "f").write_bytes(b"known")
    acted = quarantine.act(confirmed(volume, "f"))
    (volume / ".hashscan").mkdir(mode=0o700)
    (volume / ".hashscan" / "lost").write_bytes(b"lost")
    (store_path / "notes.txt").write_bytes(b"what is this")
    orphan = store_path / "20260102T030405-00000000"
    orphan.mkdir()
    (orphan / "content").write_bytes(b"orphan")
    with Store.open(os.fsencode(store_path)) as store:
        with store.lock():
            (note,) = recover(store)
        assert not note.resolved
        assert "missing" in note.message
        kinds = {one.kind for one in verify(store, [os.fsencode(volume)]).findings}
        assert kinds == {"leftover", "unknown", "damaged"}
        (store_path / acted.quarantine_id / "content").unlink()
        kinds = {one.kind for one in verify(store).findings}
        assert kinds == {"missing", "unknown", "damaged"}
        with pytest.raises(QuarantineError) as caught:
            restore(store, acted.quarantine_id)
        assert caught.value.reason == "missing"
    assert (orphan / "content").read_bytes() == b"orphan"
    assert (volume / ".hashscan" / "lost").read_bytes() == b"lost"


@pytest.mark.parametrize("what", ["vanished", "link-above", "fifo", "directory", "link", "changed"])
def test_what_stands_there_now_is_left_alone(tmp_path, volume, quarantine, store_path, what):
    (volume / "d").mkdir()
    path = volume / "d" / "f"
    path.write_bytes(b"known")
    match = confirmed(volume, "d/f")
    path.unlink()
    expected = "changed"
    if what == "vanished":
        expected = "vanished"
    elif what == "link-above":
        expected = "swapped"
        (volume / "d").rmdir()
        (tmp_path / "outside").mkdir()
        (tmp_path / "outside" / "f").write_bytes(b"known")
        (volume / "d").symlink_to(tmp_path / "outside")
    elif what == "fifo":
        os.mkfifo(path)
    elif what == "directory":
        path.mkdir()
    elif what == "link":
        (tmp_path / "outside").write_bytes(b"known")
        path.symlink_to(tmp_path / "outside")
    else:
        path.write_bytes(b"other")
    before = os.lstat(path) if what != "vanished" else None
    acted = quarantine.act(match)
    assert (acted.action, acted.problem) == ("reported", expected), acted
    if before:
        after = os.lstat(path)
        assert (after.st_ino, after.st_mode, after.st_ctime_ns) == (
            before.st_ino,
            before.st_mode,
            before.st_ctime_ns,
        )
    assert set(os.listdir(store_path)) == {"lock", ".hashscan-quarantine", "clock.json"}


def test_without_renameat2(volume, quarantine, store_path, monkeypatch):
    """File systems that cannot rename without replacing (NFS, some FUSE)."""
    monkeypatch.setattr(rename, "_renameat2", None)
    (volume / "f").write_bytes(b"known")
    before = snapshot(volume / "f")
    acted = quarantine.act(confirmed(volume, "f"))
    assert acted.action == "quarantined"
    with recovered(store_path) as store:
        (volume / "f").write_bytes(b"newer")
        with pytest.raises(QuarantineError):
            restore(store, acted.quarantine_id)
        assert (volume / "f").read_bytes() == b"newer"
        (volume / "f").unlink()
        restore(store, acted.quarantine_id)
    assert snapshot(volume / "f") == before


def test_interrupt_in_the_middle_is_not_swallowed_and_ends_at_the_next_start(
    volume, quarantine, store_path, monkeypatch
):
    """Ctrl-C arrives as an exception, between any two lines."""
    (volume / "f").write_bytes(b"known")
    match = confirmed(volume, "f")
    before = snapshot(volume / "f")

    def interrupted(*_):
        raise InterruptError

    monkeypatch.setattr(conclude, "read_file_at", interrupted)
    with pytest.raises(InterruptError):
        quarantine.act(match)
    monkeypatch.undo()
    with recovered(store_path) as store:
        (record,) = all_records(store)
        assert record.state is RecordState.QUARANTINED
        restore(store, record.id)
    assert snapshot(volume / "f") == before
