"""The queue of changed entries to check: bursts coalesce, and nothing waits for ever.

Changed entries wait until their directory has been quiet for ``QUIET``, or for ``LONGEST_QUIET`` at
most. A file is whole if it did not change just now and no process writes to it. A file that is not
whole when it is checked returns to the queue. After a time that grows with its size, a file is
hashed even if it is not whole: a growing file of terabytes must not be read again and again. A file
that was hashed before it was whole, or that could not be read, is checked again with growing
pauses, because no event may follow for its later writes. The queue is bounded: if the queue is
full, the volume is scanned instead.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter
from typing import NamedTuple

#: Seconds without a further change in a directory after which its entries are checked.
QUIET = 0.3
#: Seconds after which the entries of a directory are checked although the directory is not quiet.
LONGEST_QUIET = 1.0
#: Seconds between two checks of a file to which a process still writes; the pause doubles each
#: time, up to ``AGAIN_MOST``.
AGAIN = 0.5
AGAIN_MOST = 5.0
#: If more files than this number wait, each pause is longer in proportion: a customer who opens
#: thousands of files must not keep the daemon busy.
CROWD = 5000
#: Seconds between two checks of a file that could not be read, or was hashed while a process wrote
#: to it: longer in proportion to its size (``BOUND_BYTES``); the pause doubles, up to
#: ``LATER_MOST``.
LATER = 5.0
LATER_MOST = 3600.0
#: Seconds within which a worker process returns the result of a check.
UNDER_WAY = 30.0
#: Number of time slots in a second: the checks of one directory that are due in a slot are
#: done together.
GRID = 4
#: Seconds after which a file is hashed although a process still writes to it.
BOUND = 60.0
#: The time until a forced hashing is one second longer for each such number of bytes in the file's
#: first size: a file that grows faster must not delay its hashing for ever.
BOUND_BYTES = 10 << 20
#: Largest number of waiting names, and of remembered files to which a process still writes.
MOST_NAMES = 500_000
MOST_UNRESTED = 50_000
#: Number of names of one directory that a worker process checks together.
BATCH = 256


class Key(NamedTuple):
    """Names a directory: the index of its volume, and its path below the volume's root."""

    volume: int
    directory: bytes


class Due(NamedTuple):
    """Names entries of one directory that are due for a check.

    Attributes:
        final: whether files among the entries are hashed although a process still writes to them.
    """

    key: Key
    names: list[bytes]
    final: bool


class _Entry:
    """Holds the names of one directory's changed entries that wait for a check."""

    __slots__ = ("due", "first", "names")

    def __init__(self, now: float) -> None:
        self.first = now
        self.due = now
        self.names: set[bytes] = set()


class _Unrested:
    """Describes a file that was not whole: time of its next check and of its forced hashing."""

    __slots__ = ("again", "bound", "wait")

    def __init__(self, now: float, size: int) -> None:
        self.wait = AGAIN
        self.again = now + AGAIN
        self.bound = now + BOUND + size / BOUND_BYTES


class _Directory:
    """Holds files of one directory to which a process wrote, and the time of their next check."""

    __slots__ = ("due", "files")

    def __init__(self) -> None:
        self.files: dict[bytes, _Unrested] = {}
        self.due = math.inf


class Changes:
    """Holds the changed entries that wait for a check.

    All times of the queue are seconds of one monotonic clock.
    """

    def __init__(self) -> None:
        """Make an empty queue of changes."""
        self._entries: dict[Key, _Entry] = {}
        self._heap: list[tuple[float, Key]] = []
        self._unrested: dict[Key, _Directory] = {}
        self._names = 0
        self._unrested_count = 0

    def __len__(self) -> int:
        """Return the number of changed names that wait for a check."""
        return self._names + self._unrested_count

    def oldest(self) -> float | None:
        """Return the time at which the oldest waiting change was queued.

        The result is ``None`` if no changed entry waits.

        Files to which a process still writes do not count: they wait for their writers.
        """
        # Entries keep the order in which they came: a directory's next change makes a new entry.
        return next((entry.first for entry in self._entries.values()), None)

    def add(self, key: Key, name: bytes, now: float) -> bool:
        """Queue a changed entry; return ``False`` if full: the volume must be scanned."""
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
        """Queue another check of a file to which a process still writes.

        The result is ``False`` if the queue remembers too many files: then the caller must hash the
        file immediately.
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
        """Queue a check that hashes the file even if a process writes to it; each pause is longer.

        If the queue remembers too many files, the next scan checks the file instead.
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
        """Forget that a process wrote to these files: a check found that the files are whole."""
        here = self._unrested.get(key)
        if here is None:
            return
        for name in names:
            self._unrested_count -= here.files.pop(name, None) is not None
        if not here.files:
            del self._unrested[key]

    def forget_volume(self, volume: int) -> None:
        """Forget the waiting changes of a volume, because the whole volume is scanned."""
        for key in [key for key in self._entries if key.volume == volume]:
            self._names -= len(self._entries.pop(key).names)
        for key in [key for key in self._unrested if key.volume == volume]:
            self._unrested_count -= len(self._unrested.pop(key).files)

    def most_crowded(self) -> int:
        """Return the volume with the most waiting names: if the queue is full, it is scanned."""
        names: Counter[int] = Counter()
        for key, entry in self._entries.items():
            names[key.volume] += len(entry.names)
        return names.most_common(1)[0][0]

    def next_due(self) -> float | None:
        """Return the time at which the next check is due.

        The result is ``None`` if no changed entry waits for a check.
        """
        return self._heap[0][0] if self._heap else None

    def take(self, now: float, most: int) -> list[Due]:
        """Remove the entries that are due from the queue (about ``most``); return them."""
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
        """Split changed names: files past their time bound are hashed in any case."""
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
