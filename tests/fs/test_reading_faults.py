"""hashscan.fs.reading: ways to read that are not there, and sparse files at their limits."""

import errno
import os
from contextlib import nullcontext, suppress
from pathlib import Path

import pytest
from faulty import Faulty, break_os, raising

from hashscan.fs import reading
from hashscan.fs.beneath import closing

# reading


@pytest.mark.parametrize("way", [reading.Way.DONTCACHE, reading.Way.MINCORE])
@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE])
def test_a_read_error_is_not_taken_for_a_way_that_is_not_there(file, monkeypatch, way, number):
    os.write(file, b"abc")
    device = os.fstat(file).st_dev
    fails = raising(number)
    break_os(monkeypatch, reading, preadv=fails)
    reader = reading.CacheNeutralReader(way)
    with pytest.raises(OSError) as caught:
        reader.read(file, 0, device)
    assert caught.value.errno == number
    assert fails.count == 1
    assert reader.is_plain(device) is False


def test_without_any_way_the_file_is_read_plainly(file, monkeypatch):
    os.write(file, b"abc")
    device = os.fstat(file).st_dev
    no_cache = raising(errno.EOPNOTSUPP, os.preadv, on=lambda *given: len(given) > 3)
    break_os(monkeypatch, reading, preadv=no_cache)
    monkeypatch.setattr(reading, "_cached_pages", raising(errno.ENOSYS))
    monkeypatch.setattr(reading, "_is_in_memory", lambda _fd: False)
    reader = reading.CacheNeutralReader()
    assert reader.is_plain(device) is False
    for _ in range(2):
        assert reader.read(file, 0, device) == 3
        assert bytes(reader.view[:3]) == b"abc"
        assert reader.is_plain(device) is True
    assert no_cache.count == 1, "each way is tried once a device"
    assert reader.is_plain(device + 1) is False


def test_pages_that_cannot_be_asked_for(monkeypatch, file, here):
    with pytest.raises(OSError) as caught:
        reading._cached_pages(here, 0, 4096)  # a directory is not mapped
    assert caught.value.errno == errno.ENODEV
    os.write(file, b"a" * 5000)
    assert len(reading._cached_pages(file, 0, 5000)) == 2
    assert len(reading._cached_pages(file, 0, 4096)) == 1
    mapped = f" {os.fstat(file).st_ino} "
    assert mapped not in Path("/proc/self/maps").read_text()
    monkeypatch.setattr(
        reading, "_libc", Faulty(reading._libc, mincore=lambda *_: -1)
    )  # fmt: skip
    with pytest.raises(OSError):
        reading._cached_pages(file, 0, 5000)
    assert mapped not in Path("/proc/self/maps").read_text()


@pytest.mark.parametrize("fails", [False, True])
def test_after_the_head_the_kernel_reads_ahead_again(file, monkeypatch, fails):
    os.write(file, b"abc")
    advice = []
    break_os(
        monkeypatch, reading, posix_fadvise=lambda *given: advice.append(given),
        preadv=raising(errno.EIO, os.preadv, calls=fails),
    )  # fmt: skip
    reader = reading.CacheNeutralReader()
    with suppress(OSError) if fails else nullcontext():
        assert reader.read_head(file, os.fstat(file).st_dev, 2) == 2
    assert advice == [
        (file, 0, 0, os.POSIX_FADV_RANDOM), (file, 0, 0, os.POSIX_FADV_NORMAL)
    ]  # fmt: skip


def test_what_lies_in_memory():
    with closing(os.memfd_create("a")) as fd:
        assert reading._is_in_memory(fd) is True
    with closing(os.open("/proc/self/status", os.O_RDONLY)) as fd:
        assert reading._is_in_memory(fd) is False
    assert reading._is_in_memory(-1) is False


def test_times_beyond_64_bits_are_cut():
    latest = reading.LATEST
    for given, found in (
        (0, 0), (latest, latest), (latest + 1, latest), (-latest, -latest), (-latest - 1, -latest),
        (2**80, latest), (-(2**80), -latest),
    ):  # fmt: skip
        assert reading.cut(given) == found


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EIO])
def test_a_file_system_that_knows_no_holes_has_no_sparse_giants(file, monkeypatch, number):
    os.ftruncate(file, 1 << 30)
    if os.fstat(file).st_blocks == 0:
        assert reading.is_sparse_giant(file, os.fstat(file)) is True
    break_os(monkeypatch, reading, lseek=raising(number))
    assert reading.is_sparse_giant(file, os.fstat(file)) is False


class Sizes:
    def __init__(self, size, blocks):
        self.st_size, self.st_blocks = size, blocks


@pytest.mark.parametrize("more", [0, 1])
def test_a_sparse_giant_has_more_than_a_mebibyte_of_holes(file, more):
    size = (1 << 20) + more
    os.ftruncate(file, size)
    assert reading.SPARSE_HOLES == 1 << 20
    assert reading.is_sparse_giant(file, Sizes(size, 0)) is bool(more)
    assert reading.is_sparse_giant(file, Sizes(size + 512, 1)) is bool(more)


@pytest.mark.parametrize(("data", "sparse"), [(99 << 20, True), (100 << 20, False)])
def test_a_sparse_giant_is_nine_tenths_holes(file, monkeypatch, data, sparse):
    size = 1000 << 20

    def lseek(_fd, position, whence):
        if whence == os.SEEK_DATA:
            if position >= data:
                raise OSError(errno.ENXIO, "")
            return position
        return min(position + (10 << 20), data)

    break_os(monkeypatch, reading, lseek=lseek)
    assert reading.is_sparse_giant(file, Sizes(size, 0)) is sparse


def test_a_file_in_very_many_pieces_is_not_looked_through_to_its_end(file, monkeypatch):
    calls = []

    def lseek(_fd, position, whence):
        calls.append(whence)
        return position + (1 << 20 if whence == os.SEEK_DATA else 1)

    break_os(monkeypatch, reading, lseek=lseek)
    assert reading.is_sparse_giant(file, Sizes(1 << 62, 0)) is True
    assert len(calls) == 200_000
