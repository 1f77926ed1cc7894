"""Hash each hard-linked inode once, although several processes meet its names.

A table in memory that the processes share, of the latest inodes with more than one name. A process
that meets such a name locks the inode's place (a record lock, which the kernel takes back when its
holder dies), looks, and only if the inode is not there hashes it. What the table has forgotten is
in the catalog; so forgetting costs a look-up, and a crash between the two a second read.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hashscan.model import FileDigests, Identity, Stamp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PLACES = 32768
LONGEST_WAIT = 60.0  # seconds; then an inode is hashed a second time
# device, inode, size, mtime, ctime, which digests there are, and the digests
_PLACE = struct.Struct("<QQqqqB16s20s32s")
_RACY = 1 << 7
_WHICH = struct.calcsize("<QQqqq")


class LinkTable:
    """Shared by fork: make it before the worker processes start."""

    def __init__(self) -> None:
        """Reserve the table; memory is used as it fills, at most about 4 MiB."""
        self._fd = os.memfd_create("hashscan-links")
        os.ftruncate(self._fd, _PLACES * _PLACE.size)
        self._table = mmap.mmap(self._fd, _PLACES * _PLACE.size)

    def close(self) -> None:
        """Release the table; the other processes' views of it stay."""
        self._table.close()
        os.close(self._fd)

    @contextmanager
    def claim(self, identity: Identity, on_wait: Callable[[], None]) -> Iterator[LinkPlace]:
        """Hold an inode's place; another process that wants it waits until the block ends.

        ``on_wait`` is called time and again while this one waits.

        Raises:
            TimeoutError: it was held for very long (its holder may hang on a dead file server).
        """
        place = hash(identity) % _PLACES
        end = time.monotonic() + LONGEST_WAIT
        while True:
            try:
                fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
                break
            except (BlockingIOError, PermissionError):
                on_wait()
                if time.monotonic() > end:
                    raise TimeoutError("the place of an inode is held by another process") from None
                time.sleep(0.005)
        try:
            yield LinkPlace(self._table, place * _PLACE.size, identity)
        finally:
            fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, place)


class LinkPlace:
    """One inode's place in the table, while it is held."""

    def __init__(self, table: mmap.mmap, offset: int, identity: Identity) -> None:
        """For ``LinkTable``."""
        self._table = table
        self._offset = offset
        self._identity = identity

    def get(self, stamp: Stamp) -> tuple[FileDigests, bool] | None:
        """Digests that another name of this inode was found to have under this stamp, and racy."""
        device, inode, size, mtime, ctime, which, *raw = _PLACE.unpack_from(
            self._table, self._offset
        )
        if Identity(device, inode) != self._identity or Stamp(size, mtime, ctime) != stamp:
            return None
        if not which:
            return None
        digests = FileDigests(
            *(digest if which & (1 << bit) else None for bit, digest in enumerate(raw))
        )
        return digests, bool(which & _RACY)

    def put(self, stamp: Stamp, digests: FileDigests, *, racy: bool) -> None:
        """Keep what was found."""
        which = _RACY if racy else 0
        which += sum(1 << bit for bit, digest in enumerate(digests) if digest is not None)
        # What makes the place valid comes last: this process may be killed in between.
        _PLACE.pack_into(
            self._table,
            self._offset,
            *self._identity,
            *stamp,
            0,
            *(digest or b"" for digest in digests),
        )
        self._table[self._offset + _WHICH] = which
