"""Reads content without changing the page cache; also stamps of files, and sparse files.

There are three ways to read. The first way that a device's file system supports is used for the
device:

``DONTCACHE``  preadv2 with RWF_DONTCACHE (Linux 6.14 and later): the kernel drops the pages that
               this read loaded, and keeps the pages that were cached before.
``MINCORE``    mincore(2) says which pages are cached; the other pages are read without read-ahead
               and dropped afterwards. The result is the same, with a few more system calls.
               (RWF_NOWAIT cannot be used instead: newer kernels start to read.)
``PLAIN``      an ordinary read, for file systems in memory and files that cannot be mapped.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import sys
from enum import Enum

from hashscan.model import Identity, Stamp

#: Latest time of a stamp that fits into a signed 64-bit integer, in nanoseconds since the epoch.
LATEST = (1 << 63) - 1
BUFFER_SIZE = 1 << 20  # bytes; a larger buffer gains nothing, a smaller buffer costs system calls

_RWF_DONTCACHE = 0x80
_UNSUPPORTED = {errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS, errno.ENODEV, errno.EACCES}

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [
    ctypes.c_void_p,
    ctypes.c_size_t,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_int64,
]
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_libc.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p]
# Values of the first field of struct statfs, see statfs(2): TMPFS_MAGIC, RAMFS_MAGIC.
_MEMORY = {0x01021994, 0x858458F6}
_MAP_FAILED = ctypes.c_void_p(-1).value


class Way(Enum):
    """A way to read the files of a device; see the docstring of ``hashscan.fs.reading``."""

    DONTCACHE = 1
    MINCORE = 2
    PLAIN = 3


class CacheNeutralReader:
    """Reads files into one buffer, in the best way for each device. Not thread-safe.

    Attributes:
        view: the buffer, which ``read`` fills from the start.
    """

    def __init__(self, first: Way = Way.DONTCACHE) -> None:
        """Try the ``Way`` ``first`` before all others on every device; tests choose a later way."""
        self._buffer = bytearray(BUFFER_SIZE)
        self.view = memoryview(self._buffer)
        self._first = first
        self._ways: dict[int, Way] = {}

    def read_head(self, fd: int, device: int, length: int) -> int:
        """Read up to ``length`` first bytes of the file ``fd``; return the number of bytes read.

        The kernel reads no further bytes ahead.

        Raises:
            OSError: the file cannot be read, see ``read``.
        """
        if self._ways.get(device, self._first) is not Way.DONTCACHE:
            return self.read(fd, 0, device, length)
        # The kernel would not drop pages that it read ahead: it drops only the pages that were
        # asked for.
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
        try:
            return self.read(fd, 0, device, length)
        finally:
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_NORMAL)

    def read(self, fd: int, offset: int, device: int, most: int = BUFFER_SIZE) -> int:
        """Read the file ``fd`` from ``offset`` into the buffer; return the number of bytes read.

        ``most`` is the maximum number of bytes to read. At the end of the file, the result is 0.

        Raises:
            OSError: the file system's error: EIO, ESTALE...
        """
        place = self._buffer if most == BUFFER_SIZE else self.view[:most]
        way = self._ways.get(device, self._first)
        if way is Way.DONTCACHE:
            try:
                return os.preadv(fd, [place], offset, _RWF_DONTCACHE)
            except OSError as error:
                if error.errno not in _UNSUPPORTED:
                    raise
                way = Way.PLAIN if _is_in_memory(fd) else Way.MINCORE
                self._ways[device] = way
        if way is Way.MINCORE:
            try:
                return self._read_and_drop(fd, offset, most)
            except OSError as error:
                if error.errno not in _UNSUPPORTED:
                    raise
                self._ways[device] = Way.PLAIN
        return os.preadv(fd, [place], offset)

    def is_plain(self, device: int) -> bool:
        """Whether a device's files are read the ``PLAIN`` way: mostly file systems in memory."""
        return self._ways.get(device, self._first) is Way.PLAIN

    def _read_and_drop(self, fd: int, offset: int, most: int) -> int:
        size = os.fstat(fd).st_size
        length = min(most, size - offset)
        if length <= 0:
            return os.preadv(fd, [self._buffer], offset)
        # Read-ahead would load pages behind this range, and the next read would treat these pages
        # as pages that customers had cached.
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
        start = offset - offset % mmap.PAGESIZE
        was_cached = _cached_pages(fd, start, offset + length - start)
        count = os.preadv(fd, [self.view[:length]], offset)
        cold = 0  # number of consecutive pages that this read loaded
        for page, cached in enumerate([*was_cached, 1]):
            if cached & 1:
                if cold:
                    first = start + (page - cold) * mmap.PAGESIZE
                    os.posix_fadvise(fd, first, cold * mmap.PAGESIZE, os.POSIX_FADV_DONTNEED)
                cold = 0
            else:
                cold += 1
        return count


def _is_in_memory(fd: int) -> bool:
    """Whether a file's only storage is the page cache, as on tmpfs."""
    status = ctypes.create_string_buffer(256)
    if _libc.fstatfs(fd, status):
        return False
    return int.from_bytes(status.raw[: ctypes.sizeof(ctypes.c_long)], sys.byteorder) in _MEMORY


def _cached_pages(fd: int, start: int, length: int) -> bytes:
    """A byte for each page, whose lowest bit says whether the page is cached: see mincore(2)."""
    address = _libc.mmap(None, length, mmap.PROT_READ, mmap.MAP_SHARED, fd, start)
    if address == _MAP_FAILED:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    try:
        vector = ctypes.create_string_buffer(-(-length // mmap.PAGESIZE))
        if _libc.mincore(address, length, vector):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return vector.raw
    finally:
        _libc.munmap(address, length)


def is_same_stamp(one: os.stat_result, other: os.stat_result) -> bool:
    """Whether two ``stat`` results have the same stamp."""
    return (
        one.st_size == other.st_size
        and one.st_mtime_ns == other.st_mtime_ns
        and one.st_ctime_ns == other.st_ctime_ns
    )


def cut(nanoseconds: int) -> int:
    """A time limited to 64 bits: on some file systems, owners can set a larger mtime."""
    if -LATEST <= nanoseconds <= LATEST:
        return nanoseconds
    return LATEST if nanoseconds > 0 else -LATEST


def stamp_of(status: os.stat_result) -> Stamp:
    """The stamp of a file from its ``stat`` result, with times limited to 64 bits."""
    return Stamp(status.st_size, cut(status.st_mtime_ns), cut(status.st_ctime_ns))


def identity_in(status: os.stat_result) -> Identity:
    """The identity of a file (device and inode number) from its ``stat`` result."""
    return Identity(status.st_dev, status.st_ino)


#: A sparse file is skipped if it has more than ``SPARSE_HOLES`` bytes of holes, and its share of
#: holes is more than ``SPARSE_SHARE``.
SPARSE_HOLES = 1 << 20
#: Sparse files are skipped because a customer could stall a scan with exabytes of holes. Known
#: material is never sparse: media files have no long runs of zeros.
SPARSE_SHARE = 0.9


def is_sparse_giant(fd: int, status: os.stat_result) -> bool:
    """Whether nearly all of a file is holes, by its allocated blocks and by SEEK_DATA.

    The allocated blocks alone prove nothing: a compressed file has few blocks, too.
    """
    if status.st_size - status.st_blocks * 512 <= SPARSE_HOLES:
        return False
    data = 0
    position = 0
    limit = status.st_size * (1 - SPARSE_SHARE)
    try:
        for _ in range(100_000):
            position = os.lseek(fd, position, os.SEEK_DATA)
            end = os.lseek(fd, position, os.SEEK_HOLE)
            data += end - position
            if data >= limit:
                return False
            position = end
    except OSError as error:
        # ENXIO: the file has no data after the offset of the search.
        if error.errno != errno.ENXIO:
            return False
    return status.st_size - data > SPARSE_HOLES
