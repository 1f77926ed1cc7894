"""Reads a file's bytes for digests or for a copy, without changing the page cache.

All reads use explicit offsets and end at a size that the caller gives. So reading a file does not
take longer if the file grows meanwhile.
"""

from __future__ import annotations

import errno
import hashlib
import os
from typing import TYPE_CHECKING

from hashscan.fs.reading import CacheNeutralReader
from hashscan.model import ALGORITHMS, FileDigests

if TYPE_CHECKING:
    from collections.abc import Iterator


def _blocks(fd: int, start: int, end: int) -> Iterator[memoryview]:
    """The file's bytes from ``start`` to ``end``, or to the end of a shorter file, in blocks."""
    reader = CacheNeutralReader()
    device = os.fstat(fd).st_dev
    while start < end:
        count = min(reader.read(fd, start, device), end - start)
        if count == 0:
            return
        yield reader.view[:count]
        start += count


class HashedStream:
    """The first ``size`` bytes of an open file as a stream; it hashes the bytes that are read."""

    def __init__(self, fd: int, size: int) -> None:
        """Read from the open file ``fd``; the caller closes it."""
        self._hashes = [hashlib.new(name, usedforsecurity=False) for name in ALGORITHMS]
        self._blocks = _blocks(fd, 0, size)
        self._rest = memoryview(b"")

    def read(self, size: int = 1 << 16, /) -> bytes:
        """Read up to ``size`` bytes; empty at the end of the stream.

        Raises:
            OSError: the file cannot be read.
        """
        if not self._rest:
            self._rest = next(self._blocks, self._rest)
        found = bytes(self._rest[:size])
        self._rest = self._rest[size:]
        for hasher in self._hashes:
            hasher.update(found)
        return found

    @property
    def digests(self) -> FileDigests:
        """MD5, SHA-1 and SHA-256 of the bytes that the stream has read so far."""
        return FileDigests(*(hasher.digest() for hasher in self._hashes))


def digests_of(fd: int, size: int) -> FileDigests:
    """MD5, SHA-1 and SHA-256 of the first ``size`` bytes of an open file, in one pass.

    Raises:
        OSError: the file cannot be read.
    """
    hashes = [hashlib.new(name, usedforsecurity=False) for name in ALGORITHMS]
    for block in _blocks(fd, 0, size):
        for hasher in hashes:
            hasher.update(block)
    return FileDigests(*(hasher.digest() for hasher in hashes))


def _extents(fd: int, size: int) -> Iterator[tuple[int, int]]:
    """Start and end of each range of a file that is no hole, if the file system reports holes."""
    offset = 0
    while offset < size:
        try:
            start = os.lseek(fd, offset, os.SEEK_DATA)
            end = min(size, os.lseek(fd, start, os.SEEK_HOLE))
        except OSError as error:
            if error.errno == errno.ENXIO:  # the rest of the file is a hole
                return
            start, end = offset, size
        if start >= size or end <= start:
            return
        yield start, end
        offset = end


def copy_content(source: int, target: int, size: int) -> None:
    """Copy ``size`` bytes of a file into the empty file ``target``; holes are not filled.

    Raises:
        OSError: the file cannot be read, or ``target`` cannot be written, e.g. ENOSPC.
    """
    os.ftruncate(target, size)
    for start, end in _extents(source, size):
        position = start
        for block in _blocks(source, start, end):
            written = 0
            while written < len(block):
                written += os.pwrite(target, block[written:], position + written)
            position += len(block)
