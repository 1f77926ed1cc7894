"""Reading content without disturbing the page cache; stamps, and what is nearly all holes.

Three ways to read, the first that the file system takes is kept for its device:

``DONTCACHE``  preadv2 with RWF_DONTCACHE (Linux 6.14 and later): pages that this read brought in
               are dropped again, pages that were there stay.
``MINCORE``    mincore(2) tells which pages are there; the others are read without read-ahead and
               dropped afterwards. As exact, at a few calls more. (RWF_NOWAIT is no way to ask:
               newer kernels answer it and start reading.)
``PLAIN``      file systems in memory, and those whose files cannot be mapped.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import sys
from enum import Enum

from hashscan.model import Identity, Stamp

#: Nanoseconds since the epoch that a signed integer of 64 bits holds, at the most.
LATEST = (1 << 63) - 1
BUFFER_SIZE = 1 << 20  # bytes; larger gains nothing, smaller costs calls

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
# The first field of struct statfs, by statfs(2): TMPFS_MAGIC, RAMFS_MAGIC.
_MEMORY = {0x01021994, 0x858458F6}
_MAP_FAILED = ctypes.c_void_p(-1).value


class Way(Enum):
    """How a device's files are read; see the module."""

    DONTCACHE = 1
    MINCORE = 2
    PLAIN = 3


class CacheNeutralReader:
    """One buffer and, for each device, the way of reading that it takes. Not thread-safe.

    Attributes:
        view: the buffer; ``read`` fills it from its start.
    """

    def __init__(self, first: Way = Way.DONTCACHE) -> None:
        """Start with way ``first`` on every device; a test of the later ways names them."""
        self._buffer = bytearray(BUFFER_SIZE)
        self.view = memoryview(self._buffer)
        self._first = first
        self._ways: dict[int, Way] = {}

    def read_head(self, fd: int, device: int, length: int) -> int:
        """Read the first ``length`` bytes of ``fd`` into the buffer, or all; returns how many.

        Nothing behind them is read ahead.

        Raises:
            OSError: as ``read``.
        """
        if self._ways.get(device, self._first) is not Way.DONTCACHE:
            return self.read(fd, 0, device, length)
        # What is read ahead would stay: only what a read takes is dropped again after it.
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
        try:
            return self.read(fd, 0, device, length)
        finally:
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_NORMAL)

    def read(self, fd: int, offset: int, device: int, most: int = BUFFER_SIZE) -> int:
        """Fill the buffer from ``offset`` of ``fd`` on; returns the number of bytes, 0 at the end.

        ``most``: of the buffer, so many bytes.

        Raises:
            OSError: EIO, ESTALE and what else the file system has to say.
        """
        place = self._buffer if most == BUFFER_SIZE else self.view[:most]
        way = self._ways.get(device, self._first)
        if way is Way.DONTCACHE:
            try:
                return os.preadv(fd, [place], offset, _RWF_DONTCACHE)
            except OSError as error:
                if error.errno not in _UNSUPPORTED:
                    raise
                way = Way.PLAIN if _lies_in_memory(fd) else Way.MINCORE
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
        """Whether a device's files are read without regard to the page cache: in memory, mostly."""
        return self._ways.get(device, self._first) is Way.PLAIN

    def _read_and_drop(self, fd: int, offset: int, most: int) -> int:
        size = os.fstat(fd).st_size
        length = min(most, size - offset)
        if length <= 0:
            return os.preadv(fd, [self._buffer], offset)
        # Read-ahead would bring in pages behind this range, to be taken for the customers' next.
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
        start = offset - offset % mmap.PAGESIZE
        was_cached = _cached_pages(fd, start, offset + length - start)
        count = os.preadv(fd, [self.view[:length]], offset)
        cold = 0  # pages in a row that this read brought in
        for page, cached in enumerate([*was_cached, 1]):
            if cached & 1:
                if cold:
                    first = start + (page - cold) * mmap.PAGESIZE
                    os.posix_fadvise(fd, first, cold * mmap.PAGESIZE, os.POSIX_FADV_DONTNEED)
                cold = 0
            else:
                cold += 1
        return count


def _lies_in_memory(fd: int) -> bool:
    """Whether the page cache is all the storage that the file has, as on tmpfs."""
    status = ctypes.create_string_buffer(256)
    if _libc.fstatfs(fd, status):
        return False
    return int.from_bytes(status.raw[: ctypes.sizeof(ctypes.c_long)], sys.byteorder) in _MEMORY


def _cached_pages(fd: int, start: int, length: int) -> bytes:
    """One byte a page, its lowest bit set where the page is in the page cache: mincore(2)."""
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
    """Whether two statuses have the same stamp."""
    return (
        one.st_size == other.st_size
        and one.st_mtime_ns == other.st_mtime_ns
        and one.st_ctime_ns == other.st_ctime_ns
    )


def cut(nanoseconds: int) -> int:
    """A time as 64 bits hold it: some file systems take any, and an owner may set mtime to any."""
    if -LATEST <= nanoseconds <= LATEST:
        return nanoseconds
    return LATEST if nanoseconds > 0 else -LATEST


def stamp_of(status: os.stat_result) -> Stamp:
    """The stamp in a status, its times ``cut``."""
    return Stamp(status.st_size, cut(status.st_mtime_ns), cut(status.st_ctime_ns))


def identity_in(status: os.stat_result) -> Identity:
    """The identity in a status."""
    return Identity(status.st_dev, status.st_ino)


#: A file is left unread as sparse when more than this many of its bytes are holes, ...
SPARSE_HOLES = 1 << 20
#: ... and holes are more than nine tenths of it. Digests of the field's material never lie there:
#: media has no such runs of zeros, and reading exabytes of them is how a scan is made to stall.
SPARSE_SHARE = 0.9


def is_sparse_giant(fd: int, status: os.stat_result) -> bool:
    """Whether the file is nearly all holes, by its allocation and by SEEK_DATA.

    Allocation alone would take a compressed file for a sparse one.
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
        # ENXIO: no data behind this position. A file system without holes says all is data.
        if error.errno != errno.ENXIO:
            return False
    return status.st_size - data > SPARSE_HOLES
