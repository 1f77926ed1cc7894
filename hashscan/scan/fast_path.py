"""Hashes many ordinary files of a directory in one loop.

A file that is special in any way (a link, a hole, a size beyond the buffer, a change while it was
read, an error of any kind) is left to ``hashing.Hasher``, which starts again with it and reports
its outcome. The loop makes the same system calls as ``Hasher``, in the same order: it opens the
file without following a link, stats it, reads all of it in one read, stats it again, and checks
whether a process may still write to it.
"""

from __future__ import annotations

import hashlib
import os
import time
from functools import partial
from stat import S_IFMT, S_IFREG
from typing import TYPE_CHECKING

from hashscan.catalog.rows import found_row
from hashscan.fs.beneath import FILE_FLAGS
from hashscan.fs.racy import is_racy
from hashscan.fs.reading import BUFFER_SIZE, LATEST, SPARSE_HOLES
from hashscan.model import ALGORITHMS, HEAD_LENGTH, head_key

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from hashscan.catalog.rows import RawRow
    from hashscan.model import Algorithm
    from hashscan.scan.copies import CopyTable, RawDigests
    from hashscan.scan.hashing import Hasher

#: Number of files after which the loop sends a sign of life, if no rate limit slows the scan.
EACH = 16
#: After each ``_ASKED`` look-ups in the table of copies that found fewer than ``_WORTH_IT`` copies,
#: the next ``_PAUSE`` files are hashed without a look-up.
_ASKED, _WORTH_IT, _PAUSE = 128, 16, 512


class FastPath:
    """Hashes ordinary files in one loop, and stops at the first special file."""

    def __init__(
        self,
        hasher: Hasher,
        *,
        judged: int,
        scan: int,
        copies: CopyTable | None = None,
        on_bytes: Callable[[int], None] = lambda _: None,
        each: int = EACH,
    ) -> None:
        """Prepare to hash files as ``hasher`` does.

        New rows get the scan number ``scan`` and the filter set ``judged``. ``copies`` holds
        digests of content that was hashed before. ``on_bytes`` is called with the number of bytes
        read, after ``each`` files or a megabyte.
        """
        self._hasher = hasher
        # All directories share one function, so that it remembers copies beyond a directory's end.
        compute = digester(hasher.algorithms)
        self._digests_of = compute if copies is None else _recognising(compute, copies)
        self._judged = judged
        self._scan = scan
        self._on_bytes = on_bytes
        self._each = each

    def run(
        self,
        directory: int,
        names: Sequence[tuple[bytes, int]],
        start: int,
        *,
        root: tuple[int, int],
        most_bytes: int,
        rows: list[RawRow],
        owners: list[int],
    ) -> tuple[int, int]:
        """Hash ordinary files of a directory.

        Args:
            directory: descriptor of the open directory that contains the files.
            names: names and inodes of the files to hash.
            start: index of the first file to hash.
            root: device number of the volume's root, and the number that rows have for it; see
                ``FileRow.device``.
            most_bytes: number of bytes after which the loop stops.
            rows: receives the rows of files that were hashed and not yet checked by the filters,
                and of files that their first block ruled out. ``on_bytes`` may remove rows from the
                list.
            owners: receives the user ids of the files' owners, in the order of ``rows``.

        Returns:
            the index of the next file, and the number of bytes read. The next file is a special
            file for ``Hasher``, or the first file after ``most_bytes`` were read; the index is
            ``len(names)`` if all files are done.
        """
        root_device, root_number = root
        hasher = self._hasher
        digests_of, reader = self._digests_of, hasher.reader
        read, view = reader.read, reader.view
        most = BUFFER_SIZE if hasher.max_file_size is None else hasher.max_file_size + 1
        most = min(most, BUFFER_SIZE)
        screen, read_head = hasher.screen, reader.read_head
        rules_out = screen.rules_out if screen.heads else None
        open_file, close, fstat, clock = os.open, os.close, os.fstat, time.time_ns
        flags = FILE_FLAGS | os.O_NOATIME
        judged, scan = self._judged, self._scan
        add, own = rows.append, owners.append
        on_bytes, each = self._on_bytes, self._each
        no_digests: RawDigests = (None, None, None)
        total = sent = 0
        for number in range(start, len(names)):
            name = names[number][0]
            try:
                fd = open_file(name, flags, dir_fd=directory)
            except OSError:
                break
            try:
                before = fstat(fd)
                size = before.st_size
                if (
                    S_IFMT(before.st_mode) != S_IFREG
                    or before.st_nlink != 1
                    or not 0 < size < most
                    or size - 512 * before.st_blocks > SPARSE_HOLES
                ):
                    break
                began = clock()
                device = before.st_dev
                head = None
                if rules_out is not None:
                    count = read_head(fd, device, HEAD_LENGTH)
                    if count != min(size, HEAD_LENGTH):
                        break
                    key = head_key(view[:count])
                    if rules_out(size, key):
                        head = key
                if head is not None:
                    digests = no_digests
                elif read(fd, 0, device) != size:
                    break
                else:
                    digests = digests_of(view[:size])
                    count = size
                after = fstat(fd)
                changed, modified = after.st_ctime_ns, after.st_mtime_ns
                if (
                    changed != before.st_ctime_ns
                    or modified != before.st_mtime_ns
                    or after.st_size != size
                    or not -LATEST <= modified <= LATEST
                    or not -LATEST <= changed <= LATEST
                ):
                    break
                racy = is_racy(fd, changed, device, began, reader)
            except OSError:
                break
            finally:
                close(fd)
            number_of_device = root_number if device == root_device else device
            add(
                found_row(
                    name,
                    number_of_device,
                    after,
                    digests,
                    judged=judged,
                    scan=scan,
                    racy=racy,
                    head=head,
                )
            )
            own(after.st_uid)
            total += count
            if total - sent >= BUFFER_SIZE or not (number - start + 1) % each:
                on_bytes(total - sent)
                sent = total
                if total >= most_bytes:
                    number += 1  # noqa: PLW2901 - the loop ends
                    break
        else:
            number = len(names)
        if total > sent:
            on_bytes(total - sent)
        return number, total


def digester(algorithms: Collection[Algorithm]) -> Callable[[memoryview], RawDigests]:
    """Return a function that computes the digests of a file's content."""
    makers = {name: partial(getattr(hashlib, name), usedforsecurity=False) for name in algorithms}
    md5, sha1, sha256 = (makers.get(name) for name in ALGORITHMS)
    if md5 is None and sha1 is not None and sha256 is None:
        return lambda data: (None, sha1(data).digest(), None)
    return lambda data: (
        None if md5 is None else md5(data).digest(),
        None if sha1 is None else sha1(data).digest(),
        None if sha256 is None else sha256(data).digest(),
    )


def _recognising(
    compute: Callable[[memoryview], RawDigests], copies: CopyTable
) -> Callable[[memoryview], RawDigests]:
    """Return a function that computes the digests of a file's content, and recognises copies."""
    seen, key_of, get, put = copies.seen, copies.key_of, copies.get, copies.put
    asked = found_before = paused = 0

    def digests_of(content: memoryview) -> RawDigests:
        nonlocal asked, found_before, paused
        size = len(content)
        if not seen[size]:
            seen[size] = 1
            return compute(content)
        if paused:
            paused -= 1
            return compute(content)
        key = key_of(content).digest()
        found = get(key)
        asked += 1
        if found is None:
            found = compute(content)
            put(key, found)
        else:
            found_before += 1
        if asked == _ASKED:
            # In a large tree many files share a size without being copies.
            paused = 0 if found_before >= _WORTH_IT else _PAUSE
            asked = found_before = 0
        return found

    return digests_of
