"""Hashes one file: all digests in one read, and only if its stamp did not change meanwhile.

A file that changes while it is read is read again. After a few attempts it is reported as a
problem. The number of bytes read is limited, because a file may grow without end or be an endless
hole.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import time
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from hashscan.catalog.rows import found_row
from hashscan.fs.beneath import closing, is_regular, open_file, open_parent, open_root
from hashscan.fs.listing import reason_not_read
from hashscan.fs.racy import is_racy
from hashscan.fs.reading import CacheNeutralReader, is_same_stamp, is_sparse_giant
from hashscan.machine import explain
from hashscan.model import (
    ALGORITHMS,
    HEAD_LENGTH,
    Algorithm,
    FileDigests,
    Problem,
    Skipped,
    head_key,
)
from hashscan.scan.screening import Screen

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from hashscan.catalog.rows import RawRow

ATTEMPTS = 3
#: Number of bytes after which a long read checks whether the file still has its stamp.
_LOOK_AGAIN = 64 << 20


class Hashed(NamedTuple):
    """Describes a file that was read whole, unchanged from its first byte to its last.

    Attributes:
        status: the file's status (stat) after the read.
        bytes_read: number of bytes read from the file.
        racy: a later change of the file may not change the stamp.
        head: key of the first block, if the block ruled the file out; such a file has no digests.
            See ``catalog.rows.FileRow``.
    """

    status: os.stat_result
    digests: FileDigests
    bytes_read: int
    racy: bool
    head: bytes | None = None

    def row(self, name: bytes, device: int, *, hit: bool, judged: int, scan: int) -> RawRow:
        """Return the file's row for the catalog; see ``catalog.rows.found_row``."""
        return found_row(
            name,
            device,
            self.status,
            self.digests,
            judged=judged,
            scan=scan,
            hit=hit,
            racy=self.racy,
            head=self.head,
        )


class NotHashed(NamedTuple):
    """Describes a file that was not hashed, with the reason.

    Attributes:
        message: explanation of the reason for the sysadmin; empty for an outcome ``skipped``.
    """

    reason: Skipped | Problem
    message: str = ""


class Linked(NamedTuple):
    """Describes a file that was not hashed because its inode has other names."""

    status: os.stat_result


_PROBLEM_BY_ERRNO = {
    errno.EACCES: Problem.DENIED,
    errno.EPERM: Problem.DENIED,
    **dict.fromkeys(
        (
            errno.EIO,
            errno.ENODEV,
            errno.ENXIO,
            errno.EREMOTEIO,
            # This error means that the file system's structures are damaged (ext4, XFS, Btrfs).
            errno.EUCLEAN,
            errno.EBADMSG,  # This error means that a checksum of the file system is wrong.
        ),
        Problem.IO_ERROR,
    ),
    **dict.fromkeys(
        (
            errno.ESTALE,
            errno.ENOTCONN,
            errno.ESHUTDOWN,
            errno.ECONNABORTED,
            errno.ECONNREFUSED,
            errno.ECONNRESET,
            errno.EHOSTDOWN,
            errno.EHOSTUNREACH,
            errno.ENETDOWN,
            errno.ENETUNREACH,
            errno.ENOLINK,
            errno.ETIMEDOUT,  # NFS with the mount option softerr reports this error.
        ),
        Problem.STALE,
    ),
    errno.EAGAIN: Problem.BUSY,
    errno.ELOOP: Problem.CHANGED,
    errno.ENOTDIR: Problem.CHANGED,
    errno.ENAMETOOLONG: Problem.TOO_DEEP,
}

_WHAT_TO_DO = {
    Problem.DENIED: "run hashscan as root, or give it CAP_DAC_READ_SEARCH",
    Problem.IO_ERROR: "see the kernel's log; the disk may be failing",
    Problem.STALE: "the file server lost it, or does not answer; see the server, and mount the "
    "volume again",
    Problem.BUSY: "another process holds a lease on it; it is tried again in the next scan",
    Problem.CHANGED: "somebody replaced it meanwhile; it is tried again in the next scan",
    Problem.TOO_DEEP: "it lies too deep; move it up",
}


def outcome_of_error(error: OSError) -> NotHashed:
    """Return the outcome of a file or directory that the file system refused with an error."""
    if error.errno == errno.ENOENT:
        return NotHashed(Skipped.VANISHED)
    reason = _PROBLEM_BY_ERRNO.get(error.errno or 0, Problem.OTHER)
    limit = explain(error) if reason is Problem.OTHER else None
    text = limit or error.strerror or str(error)
    fix = _WHAT_TO_DO.get(reason)
    return NotHashed(reason, f"{text}; {fix}" if fix else text)


_REPLACED = "it was a file and is a directory now; it is entered in the next scan"
_CHANGED = NotHashed(
    Problem.CHANGED,
    f"it changed while it was read, {ATTEMPTS} times in a row; it is tried again in the next scan",
)


class Hasher:
    """Hashes files with the algorithms that the filters need.

    Attributes:
        algorithms: algorithms of the digests; one pass over the content computes all digests.
        max_file_size: largest size of a file in bytes; larger files are skipped.
        reader: reads all files into one buffer.
        screen: rules files out by their first block.
    """

    def __init__(
        self,
        algorithms: frozenset[Algorithm],
        *,
        max_file_size: int | None = None,
        on_bytes: Callable[[int], None] = lambda _: None,
        reader: CacheNeutralReader | None = None,
        screen: Screen | None = None,
    ) -> None:
        """Prepare to hash files with the algorithms that the filters need.

        ``on_bytes`` receives the length of each read, to bound the rate and to send signs of life.
        """
        self.algorithms = tuple(name for name in ALGORITHMS if name in algorithms)
        self._makers = [
            partial(getattr(hashlib, name), usedforsecurity=False) for name in self.algorithms
        ]
        self._places = [ALGORITHMS.index(name) for name in self.algorithms]
        self.max_file_size = max_file_size
        self._on_bytes = on_bytes
        self.reader = reader or CacheNeutralReader()
        self.screen = screen or Screen(())

    def hash(self, directory: int, name: bytes) -> Hashed | NotHashed:
        """Hash the file ``name`` of the directory open at descriptor ``directory``."""
        result = self._hash(directory, name, links=True)
        assert not isinstance(result, Linked)
        return result

    def hash_single(self, directory: int, name: bytes) -> Hashed | NotHashed | Linked:
        """Hash the file ``name``; return ``Linked`` instead if the file's inode has other names."""
        return self._hash(directory, name, links=False)

    def _hash(self, directory: int, name: bytes, *, links: bool) -> Hashed | NotHashed | Linked:
        last: NotHashed = NotHashed(Problem.CHANGED, "")
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(0.02 * attempt)
            try:
                fd = open_file(directory, name)
            except OSError as error:
                if error.errno == errno.ELOOP:
                    return NotHashed(Skipped.SYMLINK)
                if error.errno == errno.ENXIO:
                    return NotHashed(Skipped.SOCKET)
                return outcome_of_error(error)
            result: Hashed | NotHashed | Linked
            try:
                result = self._hash_open(fd, links=links)
            except OSError as error:
                result = outcome_of_error(error)
            finally:
                os.close(fd)
            if not isinstance(result, NotHashed) or result.reason is not Problem.CHANGED:
                return result
            last = result
        return last

    def _hash_open(self, fd: int, *, links: bool) -> Hashed | NotHashed | Linked:
        before = os.fstat(fd)
        if not is_regular(before):
            if stat.S_ISDIR(before.st_mode):
                return NotHashed(Problem.CHANGED, _REPLACED)
            return NotHashed(reason_not_read(before.st_mode))
        if not links and before.st_nlink > 1:
            return Linked(before)
        if self.max_file_size is not None and before.st_size > self.max_file_size:
            return NotHashed(Skipped.TOO_LARGE)
        if is_sparse_giant(fd, before):
            return NotHashed(Skipped.SPARSE)
        started = time.time_ns()
        size = before.st_size
        if self.screen.heads:
            count = self.reader.read_head(fd, before.st_dev, HEAD_LENGTH)
            head = head_key(self.reader.view[:count])
            if count == min(size, HEAD_LENGTH) and self.screen.rules_out(size, head):
                self._on_bytes(count)
                after = os.fstat(fd)
                if not is_same_stamp(before, after):
                    return _CHANGED
                racy = is_racy(fd, after.st_ctime_ns, after.st_dev, started, self.reader)
                return Hashed(after, FileDigests(), count, racy, head)
        count = self.reader.read(fd, 0, before.st_dev)
        digests = self._hash_parts(fd, before, count)
        after = os.fstat(fd)
        if digests is None or not is_same_stamp(before, after):
            return _CHANGED
        racy = is_racy(fd, after.st_ctime_ns, after.st_dev, started, self.reader)
        return Hashed(after, digests, after.st_size, racy)

    def _hash_parts(self, fd: int, before: os.stat_result, count: int) -> FileDigests | None:
        """Hash a file; the buffer already holds its first ``count`` bytes.

        The result is ``None`` if the file's size or stamp has changed.
        """
        states = [maker() for maker in self._makers]
        size, offset, look = before.st_size, 0, _LOOK_AGAIN
        read, view = self.reader.read, self.reader.view
        while True:
            if count:
                data = view[:count]
                for state in states:
                    state.update(data)
                offset += count
                self._on_bytes(count)
            if offset == size and size:
                break  # If the file has one byte more, the stamp below shows the change.
            if not count or offset > size:
                break
            if offset >= look:
                look = offset + _LOOK_AGAIN
                if not is_same_stamp(before, os.fstat(fd)):
                    return None
            count = read(fd, offset, before.st_dev)
        if offset != size:
            return None
        digests: list[bytes | None] = [None] * len(ALGORITHMS)
        for place, state in zip(self._places, states, strict=True):
            digests[place] = state.digest()
        return FileDigests._make(digests)


def has_all(digests: FileDigests, algorithms: Collection[Algorithm]) -> bool:
    """Return whether ``digests`` has a digest for each of ``algorithms``."""
    return all(
        digest is not None or name not in algorithms
        for name, digest in zip(ALGORITHMS, digests, strict=True)
    )


def hash_below(hasher: Hasher, root: bytes, path: bytes) -> Hashed | NotHashed:
    """Hash the file at a path below a volume's root.

    This function enters mounts below the root even if the volume's setting forbids it, because
    hashing moves nothing.
    """
    try:
        with closing(open_root(root)) as top:
            parent, name = open_parent(top, path, cross_mounts=True)
            with closing(parent):
                hashed = hasher.hash(parent, name)
    except OSError as error:
        return outcome_of_error(error)
    except ValueError as error:
        return NotHashed(Problem.OTHER, str(error))
    return hashed
