"""Large files that changed: they wait apart, so that they hold up no small ones."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

from hashscan.scan.frontier import Waiting
from hashscan.scan.group import Group

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

#: Seconds after which a single process takes a large file although small ones wait.
_LARGE_WAITS = 30.0
#: Large files that wait to be looked at, at most.
_MOST_LARGE = 20_000


class LargeFiles:
    """Those that wait, each once for all changes until its turn comes."""

    def __init__(self, jobs: int, on_too_many: Callable[[int], None]) -> None:
        """For ``jobs`` processes; ``on_too_many``: see ``Dispatch``."""
        self._jobs = jobs
        self._on_too_many = on_too_many
        self._waiting: dict[tuple[int, bytes], Group] = {}
        self._open: set[int] = set()
        self._at = 0.0

    def __len__(self) -> int:
        return len(self._waiting)

    def groups(self) -> Iterable[Group]:
        """What waits."""
        return self._waiting.values()

    def add(self, found: Group, name: bytes) -> None:
        """Have a large file that was found by ``found`` looked at by itself."""
        volume, directory, _ = found.waiting
        if len(self._waiting) >= _MOST_LARGE:
            # Whoever fills the queue must not have the volumes of others scanned for it.
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
            Group(Waiting(volume, directory, 0.0), names=((name, 0),), large=True),
        )
        one.final = one.final or found.final

    def forget_volume(self, volume: int) -> None:
        """Do nothing about the files of a volume."""
        self._waiting = {
            key: one for key, one in self._waiting.items() if one.waiting.volume != volume
        }

    def next(self) -> Group:
        """Take the file that has waited longest."""
        self._at = time.monotonic()
        return self._waiting.pop(next(iter(self._waiting)))

    def begun(self, number: int) -> None:
        """Note that a process is at the file of group ``number``."""
        self._open.add(number)

    def ended(self, number: int) -> None:
        """Note that group ``number``, of whatever kind, is done."""
        self._open.discard(number)

    @property
    def is_next(self) -> bool:
        """Whether a large file goes before small ones: one process may always be at one.

        A single process takes one now and then.
        """
        if self._open or not self._waiting:
            return False
        return self._jobs > 1 or time.monotonic() - self._at > _LARGE_WAITS
