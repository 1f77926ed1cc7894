"""Hash each hard-linked inode once, although several processes find its names.

The processes share a table in memory with the latest inodes that have several names. A process that
finds such a name locks the inode's place in the table. The lock is a record lock, which the kernel
releases if its holder dies. The process hashes the inode only if the table does not contain it. An
inode that the table has forgotten is in the catalog: finding it there costs a look-up. If a crash
prevents that an inode reaches the catalog, the inode is read a second time.
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
# Seconds that a process waits for another process; then it hashes the inode a second time.
LONGEST_WAIT = 60.0
# The fields of an inode: device, inode, size, mtime, ctime, the set of digests, and the digests.
_PLACE = struct.Struct("<QQqqqB16s20s32s")
_RACY = 1 << 7
_WHICH = struct.calcsize("<QQqqq")


class LinkTable:
    """Holds hashed inodes in memory for forked processes: make the table before the first fork."""

    def __init__(self) -> None:
        """Reserve memory for the table, which uses more as it fills, at most about 4 MiB."""
        self._fd = os.memfd_create("hashscan-links")
        os.ftruncate(self._fd, _PLACES * _PLACE.size)
        self._table = mmap.mmap(self._fd, _PLACES * _PLACE.size)

    def close(self) -> None:
        """Release this process's mapping of the table; other processes keep their mappings."""
        self._table.close()
        os.close(self._fd)

    @contextmanager
    def claim(self, identity: Identity, on_wait: Callable[[], None]) -> Iterator[LinkPlace]:
        """Lock an inode's place in the table; another process waits for it until the block ends.

        ``on_wait`` is called again and again while this process waits.

        Raises:
            TimeoutError: another process locked the inode's place for ``LONGEST_WAIT`` seconds (the
                process may hang on a dead file server).
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
    """Accesses one inode's place in the table, while this process has locked the place."""

    def __init__(self, table: mmap.mmap, offset: int, identity: Identity) -> None:
        """Prepare access to a place in the table; only ``LinkTable`` calls this."""
        self._table = table
        self._offset = offset
        self._identity = identity

    def get(self, stamp: Stamp) -> tuple[FileDigests, bool] | None:
        """Return the inode's digests under this stamp, and whether the stamp is racy.

        The result is ``None`` if the table has no digests of the inode under this stamp.
        """
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
        """Store the digests of the inode under this stamp in the table."""
        which = _RACY if racy else 0
        which += sum(1 << bit for bit, digest in enumerate(digests) if digest is not None)
        # The byte that makes the inode's digests valid is written last: after a kill before this
        # write, the digests are invalid.
        _PLACE.pack_into(
            self._table,
            self._offset,
            *self._identity,
            *stamp,
            0,
            *(digest or b"" for digest in digests),
        )
        self._table[self._offset + _WHICH] = which
