"""hashscan.quarantine.file_place: the place of a file that moves, and errors there."""

import errno
import os
from dataclasses import replace

import pytest
from faulty import break_os, open_descriptors, raising

from hashscan.errors import QuarantineError
from hashscan.fs.beneath import closing
from hashscan.quarantine import file_place
from hashscan.quarantine.file_place import Spot
from hashscan.quarantine.records import StagingPlace


@pytest.mark.parametrize("gone", ["volume", "directory", "other"])
def test_a_private_directory_whose_volume_is_not_there_is_unreachable(store, moved, volume, gone):
    record = store.load(moved)
    (volume / "d").mkdir()
    inode = (volume / "d").stat().st_ino
    there = replace(record.origin, path=b"d")
    if gone == "volume":
        there = replace(there, volume=there.volume + b".none")
    elif gone == "directory":
        (volume / "d").rmdir()
    staging = StagingPlace(there, top_inode=inode + (gone == "other"), private_inode=1)
    with (
        pytest.raises(QuarantineError) as caught,
        file_place.private_of(staging, record, store.privates),
    ):
        pass
    assert caught.value.reason == "unreachable"
    why = "another directory is in its place" if gone == "other" else "No such file or directory"
    assert why in str(caught.value)


@pytest.mark.parametrize("how", ["gone", "file", "link", "error"])
def test_a_parent_that_is_gone_is_no_error_but_one_of_the_disk_is(
    place, volume, monkeypatch, how
):  # fmt: skip
    before = open_descriptors()
    with file_place.opened_if_there(place) as there:
        assert there.spot.status().st_size == 5
    (volume / "d").rename(volume / "e")
    if how == "file":
        (volume / "d").write_bytes(b"")
    elif how == "link":
        (volume / "d").symlink_to(volume / "e")
    elif how == "error":
        monkeypatch.setattr(file_place, "open_parent", raising(errno.EIO))
        with pytest.raises(OSError), file_place.opened_if_there(place):
            pass
        return
    with file_place.opened_if_there(place) as there:
        assert there is None
    assert open_descriptors() == before


def test_a_look_at_something_else_reads_nothing(place, volume, monkeypatch):
    with closing(os.open(volume / "d", os.O_RDONLY)) as fd:
        spot = Spot(fd, b"f")
        seen = file_place.read_file_at(spot, 5)
        assert seen.digests is not None
        assert seen.metadata.size == 5
        monkeypatch.setattr(file_place, "digests_of", lambda *_: pytest.fail("it was read"))
        for size in (4, 6):
            seen = file_place.read_file_at(spot, size)
            assert (seen.digests, seen.open_for_writing) == (None, None)
            assert seen.metadata.size == 5
            assert seen.identity.inode == os.stat(volume / "d" / "f").st_ino
        os.mkfifo(volume / "d" / "fifo")
        monkeypatch.setattr(file_place, "open_file", lambda *_: pytest.fail("it was opened"))
        assert file_place.read_file_at(Spot(fd, b"fifo"), 0).metadata is None


def test_a_fifo_that_takes_the_place_between_two_calls_is_not_read(place, volume, monkeypatch):
    with closing(os.open(volume / "d", os.O_RDONLY)) as fd:
        os.mkfifo(volume / "d" / "fifo")

        def fifo(directory, _name):
            return os.open(b"fifo", os.O_RDONLY | os.O_NONBLOCK, dir_fd=directory)

        monkeypatch.setattr(file_place, "open_file", fifo)
        seen = file_place.read_file_at(Spot(fd, b"f"), 5)
        assert (seen.metadata, seen.digests) == (None, None)


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EOPNOTSUPP, errno.EIO])
def test_a_directory_whose_file_system_cannot_sync(monkeypatch, number):
    fsync = raising(number)
    break_os(monkeypatch, file_place, fsync=fsync)
    if number == errno.EIO:
        with pytest.raises(OSError):
            file_place.sync_directory(5)
    else:
        file_place.sync_directory(5)
    assert fsync.count == 1
