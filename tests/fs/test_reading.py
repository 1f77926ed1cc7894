"""hashscan.fs.reading: the content as it is, the page cache as it was."""

import os
import random
from types import SimpleNamespace

import pytest
from page_cache import PAGE, cached, disk_directory, write_cold

from hashscan.fs.reading import (
    BUFFER_SIZE,
    CacheNeutralReader,
    Way,
    is_same_stamp,
    is_sparse_giant,
    stamp_of,
)


@pytest.fixture
def disk(tmp_path):
    with disk_directory(str(tmp_path), os.getcwd()) as folder:
        yield folder


def read_all(path, way):
    reader = CacheNeutralReader(way)
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        device = os.fstat(fd).st_dev
        parts, offset = [], 0
        while count := reader.read(fd, offset, device):
            parts.append(bytes(reader.view[:count]))
            offset += count
        return b"".join(parts)
    finally:
        os.close(fd)


@pytest.mark.parametrize("way", [Way.DONTCACHE, Way.MINCORE])
@pytest.mark.parametrize("size", [1, PAGE, 3 * PAGE + 7, BUFFER_SIZE, 3 * BUFFER_SIZE + 12345])
@pytest.mark.parametrize("warm", ["cold", "some", "all"])
def test_not_one_page_more_or_less_is_cached(disk, way, size, warm):
    content = random.Random(size).randbytes(size)
    pages = (size + PAGE - 1) // PAGE
    chosen = {"cold": [], "some": range(0, pages, 7), "all": range(pages)}[warm]
    path = os.path.join(disk, "f")
    write_cold(path, content, chosen)
    before = cached(path)
    assert read_all(path, way) == content
    assert cached(path) == before


@pytest.mark.parametrize("way", [Way.DONTCACHE, Way.MINCORE])
@pytest.mark.parametrize("size", [1, 4096, 4097, 9 * PAGE + 7, BUFFER_SIZE])
@pytest.mark.parametrize("warm", [[], [0], [1, 2, 5]])
def test_reading_the_head_brings_nothing_in_behind_it(disk, way, size, warm):
    content = random.Random(size).randbytes(size)
    path = os.path.join(disk, "f")
    write_cold(path, content, [page for page in warm if page * PAGE < size])
    before = cached(path)
    reader = CacheNeutralReader(way)
    with open(path, "rb", buffering=0) as file:
        device = os.fstat(file.fileno()).st_dev
        assert reader.read_head(file.fileno(), device, 4096) == min(size, 4096)
        assert reader.view[: min(size, 4096)] == content[:4096]
        assert cached(path) == before
        # What is read on is read as ever.
        assert reader.read(file.fileno(), 0, device) == size
        assert reader.view[:size] == content
    assert cached(path) == before


@pytest.mark.parametrize("way", list(Way))
def test_every_way_reads_the_same_on_a_file_system_that_lacks_it(way):
    # /proc knows neither flag; the next way is taken.
    assert read_all("/proc/self/status", way).startswith(b"Name:")


def giant(path, holes, data=b""):
    with open(path, "wb") as file:
        file.write(data)
        file.truncate(holes + len(data))


def sparse(path):
    fd = os.open(path, os.O_RDONLY)
    try:
        return is_sparse_giant(fd, os.fstat(fd))
    finally:
        os.close(fd)


def test_sparse_giants_are_told_from_large_files(tmp_path):
    giant(tmp_path / "empty", 1 << 43)
    assert sparse(tmp_path / "empty")
    giant(tmp_path / "front", 1 << 40, os.urandom(1 << 20))
    assert sparse(tmp_path / "front")
    giant(tmp_path / "small", 1 << 20)
    assert not sparse(tmp_path / "small")
    giant(tmp_path / "half", 66 << 20, os.urandom(60 << 20))
    assert not sparse(tmp_path / "half")


def test_stamp_has_size_and_both_times(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"abc")
    status = path.stat()
    assert stamp_of(status) == (3, status.st_mtime_ns, status.st_ctime_ns)


@pytest.mark.parametrize("changed", [None, "st_size", "st_mtime_ns", "st_ctime_ns"])
def test_a_stamp_is_the_same_if_size_and_both_times_are(changed):
    one = SimpleNamespace(st_size=1, st_mtime_ns=2, st_ctime_ns=3)
    other = SimpleNamespace(**{**vars(one), **({changed: 9} if changed else {})})
    assert is_same_stamp(one, other) is (changed is None)
