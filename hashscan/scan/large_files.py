"""Queues changed large files separately, so that small files do not wait for them."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

from hashscan.scan.directory_group import DirectoryGroup
from hashscan.scan.directory_queue import WaitingDirectories

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

#: Seconds after which a single process takes a large file although small files wait.
_LARGE_WAITS = 30.0
#: Number of large files that may wait at a time.
_MOST_LARGE = 20_000


class LargeFiles:
    """A queue of large files; a file waits once, however often it changes."""

    def __init__(self, jobs: int, on_too_many: Callable[[int], None]) -> None:
        """Make an empty queue for ``jobs`` processes. For ``on_too_many``, see ``Dispatch``."""
        self._jobs = jobs
        self._on_too_many = on_too_many
        self._waiting: dict[tuple[int, bytes], DirectoryGroup] = {}
        self._open: set[int] = set()
        self._at = 0.0

    def __len__(self) -> int:
        return len(self._waiting)

    def groups(self) -> Iterable[DirectoryGroup]:
        """Return the groups (``DirectoryGroup``) of the waiting large files."""
        return self._waiting.values()

    def add(self, found: DirectoryGroup, name: bytes) -> None:
        """Queue a large file from the results of group ``found``; the file gets its own group."""
        volume, directory, _ = found.waiting
        if len(self._waiting) >= _MOST_LARGE:
            # A user who fills the queue must not cause scans of other users' volumes.
            counts = Counter(one.waiting.volume for one in self._waiting.values())
            crowded = max(counts, key=counts.__getitem__)
            self.forget_volume(crowded)
            self._on_too_many(crowded)
            if crowded == volume:
                return
        found.elsewhere.add(name)
        if not self._waiting:
            self._at = time.monotonic()
        one = self._waiting.setdefault(
            (directory.number, name),
            DirectoryGroup(
                WaitingDirectories(volume, directory, 0.0), names=((name, 0),), large=True
            ),
        )
        one.final = one.final or found.final

    def forget_volume(self, volume: int) -> None:
        """Drop the waiting large files of a volume."""
        self._waiting = {
            key: one for key, one in self._waiting.items() if one.waiting.volume != volume
        }

    def next(self) -> DirectoryGroup:
        """Return the large file that has waited longest, and remove the file from the queue."""
        self._at = time.monotonic()
        return self._waiting.pop(next(iter(self._waiting)))

    def begun(self, number: int) -> None:
        """Note that a process has begun the large file of the group with number ``number``."""
        self._open.add(number)

    def ended(self, number: int) -> None:
        """Note that group ``number`` is done, whether the group has a large file or not."""
        self._open.discard(number)

    @property
    def is_next(self) -> bool:
        """Return whether a large file is the next task, before small files.

        If there are several processes, only one at a time hashes a large file. A single process
        takes a large file every ``_LARGE_WAITS`` seconds.
        """
        if self._open or not self._waiting:
            return False
        return self._jobs > 1 or time.monotonic() - self._at > _LARGE_WAITS
