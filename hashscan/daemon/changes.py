"""What changed and was not looked at yet: bursts coalesce, and nothing waits for ever.

Entries wait by directory until it has been quiet for a moment, or for ``LONGEST_QUIET`` at most. A
file that was not whole when it was looked at comes back, and is hashed as it is after a time that
grows with its size: a growing file of terabytes must not be read over and over again. The queue is
bounded: what would be too much becomes a scan of the volume.
"""

from __future__ import annotations

import heapq
from typing import NamedTuple

#: Seconds without a further change in a directory after which its entries are looked at.
QUIET = 0.3
#: Seconds for which a directory that never rests is waited for.
LONGEST_QUIET = 1.0
#: Seconds between two looks at a file that is not whole; each time twice as long, up to ...
AGAIN = 0.5
AGAIN_MOST = 5.0
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


class Changes:
    """The queue. All times are of one monotonic clock, in seconds."""

    def __init__(self) -> None:
        """Nothing waits."""
        self._entries: dict[Key, _Entry] = {}
        self._heap: list[tuple[float, Key]] = []
        self._unrested: dict[Key, dict[bytes, _Unrested]] = {}
        self._names = 0
        self._unrested_count = 0

    def __len__(self) -> int:
        """Names that wait."""
        return self._names + self._unrested_count

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
        found = self._unrested.get(key, {}).get(name)
        if found is None:
            if self._unrested_count >= MOST_UNRESTED:
                return False
            found = self._unrested.setdefault(key, {})[name] = _Unrested(now, size)
            self._unrested_count += 1
        else:
            found.wait = min(2 * found.wait, AGAIN_MOST)
        found.again = now + found.wait
        heapq.heappush(self._heap, (found.again, key))
        return True

    def rested(self, key: Key, names: list[bytes]) -> None:
        """Forget that files were not whole: they were looked at, and not handed back."""
        here = self._unrested.get(key)
        if here is None:
            return
        for name in names:
            self._unrested_count -= here.pop(name, None) is not None
        if not here:
            del self._unrested[key]

    def forget_volume(self, volume: int) -> None:
        """Forget what waits in a volume: all of it is scanned."""
        for key in [key for key in self._entries if key.volume == volume]:
            self._names -= len(self._entries.pop(key).names)
        for key in [key for key in self._unrested if key.volume == volume]:
            self._unrested_count -= len(self._unrested.pop(key))

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
            found += self._again(key, now)
        return found

    def _split(self, key: Key, names: list[bytes], now: float) -> list[Due]:
        """One look at names that changed; those whose bound has come, as they are."""
        here = self._unrested.get(key)
        if here is None:
            return [Due(key, names, final=False)]
        final = [name for name in names if name in here and here[name].bound <= now]
        rest = [name for name in names if name not in here or here[name].bound > now]
        found = [Due(key, rest, final=False)] if rest else []
        return found + ([Due(key, final, final=True)] if final else [])

    def _again(self, key: Key, now: float) -> list[Due]:
        here = self._unrested.get(key)
        names = [] if here is None else [name for name, one in here.items() if one.again <= now]
        if here is None or not names:
            return []
        for name in names:
            here[name].again = now + AGAIN_MOST  # it is under way
        heapq.heappush(self._heap, (now + AGAIN_MOST, key))
        return self._split(key, names, now)
