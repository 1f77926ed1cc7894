"""What changed and was not looked at yet: bursts coalesce, and nothing waits for ever.

Entries wait by directory until it has been quiet for a moment, or for ``LONGEST_QUIET`` at most. A
file that was not whole when it was looked at comes back, and is hashed as it is after a time that
grows with its size: a growing file of terabytes must not be read over and over again. One that was
hashed so and is still open, or that could not be read, comes back later and later: of what its
writer does then, nobody may be told. The queue is bounded: what would be too much becomes a scan of
the volume.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter
from typing import NamedTuple

#: Seconds without a further change in a directory after which its entries are looked at.
QUIET = 0.3
#: Seconds for which a directory that never rests is waited for.
LONGEST_QUIET = 1.0
#: Seconds between two looks at a file that is not whole; each time twice as long, up to ...
AGAIN = 0.5
AGAIN_MOST = 5.0
#: ... longer in proportion where so many wait, so that whoever opens thousands keeps nobody busy.
CROWD = 5000
#: Seconds between two looks at a file that was hashed as it is, or could not be read; longer in
#: proportion to ``BOUND_BYTES``, each time twice as long, up to ...
LATER = 5.0
LATER_MOST = 3600.0
#: Seconds within which a look that is under way comes back.
UNDER_WAY = 30.0
#: Looks at one directory are brought together to such fractions of a second.
GRID = 4
#: Seconds after which a file that is never whole is hashed as it is, ...
BOUND = 60.0
#: ... and one second more for so many bytes that it had at first: what grows faster than that must
#: not put it off for ever.
BOUND_BYTES = 10 << 20
#: Names that wait, at most; and files that are remembered for not being whole.
MOST_NAMES = 500_000
MOST_UNRESTED = 50_000
#: Names of one directory that are looked at together.
BATCH = 256


class Key(NamedTuple):
    """A directory: index of its volume, and the path below its root."""

    volume: int
    directory: bytes


class Due(NamedTuple):
    """Entries of one directory that are to be looked at now.

    Attributes:
        final: files among them are hashed as they are.
    """

    key: Key
    names: list[bytes]
    final: bool


class _Entry:
    """What waits of one directory."""

    __slots__ = ("due", "first", "names")

    def __init__(self, now: float) -> None:
        self.first = now
        self.due = now
        self.names: set[bytes] = set()


class _Unrested:
    """A file that was not whole: when it is looked at again, and when as it is."""

    __slots__ = ("again", "bound", "wait")

    def __init__(self, now: float, size: int) -> None:
        self.wait = AGAIN
        self.again = now + AGAIN
        self.bound = now + BOUND + size / BOUND_BYTES


class _Directory:
    """Files of one directory that were not whole, and when the next of them is due."""

    __slots__ = ("due", "files")

    def __init__(self) -> None:
        self.files: dict[bytes, _Unrested] = {}
        self.due = math.inf


class Changes:
    """The queue. All times are of one monotonic clock, in seconds."""

    def __init__(self) -> None:
        """Nothing waits."""
        self._entries: dict[Key, _Entry] = {}
        self._heap: list[tuple[float, Key]] = []
        self._unrested: dict[Key, _Directory] = {}
        self._names = 0
        self._unrested_count = 0

    def __len__(self) -> int:
        """Names that wait."""
        return self._names + self._unrested_count

    def oldest(self) -> float | None:
        """When the first change came that waits; ``None``: none waits.

        Files that are not whole yet do not count: they wait for their writers.
        """
        # Entries keep the order in which they came: a directory's next change makes a new entry.
        return next((entry.first for entry in self._entries.values()), None)

    def add(self, key: Key, name: bytes, now: float) -> bool:
        """Note a change; ``False`` where the queue is full and the volume must be scanned."""
        if self._names >= MOST_NAMES:
            return False
        entry = self._entries.get(key)
        if entry is None:
            entry = self._entries[key] = _Entry(now)
            heapq.heappush(self._heap, (now + QUIET, key))
        entry.due = min(now + QUIET, entry.first + LONGEST_QUIET)
        if name not in entry.names:
            entry.names.add(name)
            self._names += 1
        return True

    def not_whole(self, key: Key, name: bytes, size: int, now: float) -> bool:
        """Note that a file is not whole yet, so that it is looked at again.

        Returns ``False`` where too many are remembered: then it should be hashed as it is.
        """
        here = self._unrested.get(key)
        found = None if here is None else here.files.get(name)
        if found is None:
            found = self._remember(key, name, size, now)
            if found is None:
                return False
        else:
            found.wait = min(2 * found.wait, AGAIN_MOST * (1 + self._unrested_count / CROWD))
        self._put_off(key, found, now)
        return True

    def look_later(self, key: Key, name: bytes, size: int, now: float) -> None:
        """Note that a file is to be looked at as it is once more, later each time.

        Where too many are remembered, the next scan does.
        """
        here = self._unrested.get(key)
        found = None if here is None else here.files.get(name)
        if found is None:
            found = self._remember(key, name, size, now)
            if found is None:
                return
        shortest = min(LATER * (1 + size / BOUND_BYTES), LATER_MOST)
        is_later = found.bound == -math.inf
        found.wait = min(2 * found.wait, LATER_MOST) if is_later else shortest
        found.bound = -math.inf
        self._put_off(key, found, now)

    def _remember(self, key: Key, name: bytes, size: int, now: float) -> _Unrested | None:
        if self._unrested_count >= MOST_UNRESTED:
            return None
        here = self._unrested.setdefault(key, _Directory())
        found = here.files[name] = _Unrested(now, size)
        self._unrested_count += 1
        return found

    def _put_off(self, key: Key, one: _Unrested, now: float) -> None:
        one.again = math.ceil((now + one.wait) * GRID) / GRID
        self._schedule(key, one.again)

    def _schedule(self, key: Key, at: float) -> None:
        here = self._unrested[key]
        if at < here.due:
            here.due = at
            heapq.heappush(self._heap, (at, key))

    def rested(self, key: Key, names: list[bytes]) -> None:
        """Forget that files were not whole: they were looked at, and not handed back."""
        here = self._unrested.get(key)
        if here is None:
            return
        for name in names:
            self._unrested_count -= here.files.pop(name, None) is not None
        if not here.files:
            del self._unrested[key]

    def forget_volume(self, volume: int) -> None:
        """Forget what waits in a volume: all of it is scanned."""
        for key in [key for key in self._entries if key.volume == volume]:
            self._names -= len(self._entries.pop(key).names)
        for key in [key for key in self._unrested if key.volume == volume]:
            self._unrested_count -= len(self._unrested.pop(key).files)

    def most_crowded(self) -> int:
        """The volume of which most waits: when the queue is full, it is the one to be scanned."""
        names: Counter[int] = Counter()
        for key, entry in self._entries.items():
            names[key.volume] += len(entry.names)
        return names.most_common(1)[0][0]

    def next_due(self) -> float | None:
        """When something may be due; ``None``: nothing waits."""
        return self._heap[0][0] if self._heap else None

    def take(self, now: float, most: int) -> list[Due]:
        """What is due, about ``most`` names of it."""
        found: list[Due] = []
        count = 0
        while self._heap and self._heap[0][0] <= now and count < most:
            _, key = heapq.heappop(self._heap)
            entry = self._entries.get(key)
            if entry is not None and entry.due <= now:
                del self._entries[key]
                self._names -= len(entry.names)
                ordered = sorted(entry.names)
                count += len(ordered)
                for start in range(0, len(ordered), BATCH):
                    found += self._split(key, ordered[start : start + BATCH], now)
            elif entry is not None:
                heapq.heappush(self._heap, (entry.due, key))
            again = self._again(key, now)
            count += sum(len(one.names) for one in again)
            found += again
        return found

    def _split(self, key: Key, names: list[bytes], now: float) -> list[Due]:
        """One look at names that changed; those whose bound has come, as they are."""
        here = self._unrested.get(key)
        if here is None:
            return [Due(key, names, final=False)]
        files = here.files
        final = [name for name in names if name in files and files[name].bound <= now]
        rest = [name for name in names if name not in files or files[name].bound > now]
        found = [Due(key, rest, final=False)] if rest else []
        return found + ([Due(key, final, final=True)] if final else [])

    def _again(self, key: Key, now: float) -> list[Due]:
        here = self._unrested.get(key)
        if here is None or here.due > now:
            return []
        names = [name for name, one in here.files.items() if one.again <= now]
        for name in names:
            here.files[name].again = now + UNDER_WAY
        here.due = math.inf
        self._schedule(key, min(one.again for one in here.files.values()))
        found: list[Due] = []
        for start in range(0, len(names), BATCH):
            found += self._split(key, names[start : start + BATCH], now)
        return found
