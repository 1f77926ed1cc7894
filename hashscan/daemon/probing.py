"""Whether a volume is there, asked by a process of its own: a dead file server never answers.

The daemon itself touches no volume before this was asked.
"""

from __future__ import annotations

import os
import time
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, NamedTuple

from hashscan.agent.presence import Seen, look_at
from hashscan.daemon.background import Background, Failure
from hashscan.errors import UnsafePathError
from hashscan.fs.named import resolve

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from multiprocessing.connection import Connection

#: Seconds within which a volume must answer; longer than a busy disk takes.
ANSWER_WITHIN = 20.0
#: Seconds until a look that hangs is left behind for a new one; so many in all are left behind.
_ASK_ANEW = 600.0
_MOST_LEFT = 50
NO_ANSWER = "its file system does not answer (a dead file server?)"


def _look_at(path: str) -> Seen:
    try:
        return look_at(os.fsencode(resolve(path)))
    except UnsafePathError as error:
        return Seen(os.fsencode(os.path.normpath(path)), str(error))


class _Asked(NamedTuple):
    """A look under way, since when, and whether it has been waited for long enough."""

    job: Background[Seen]
    at: float
    late: bool = False


class Probes:
    """Asks, and keeps the latest answers."""

    def __init__(
        self,
        paths: Sequence[str],
        *,
        before_fork: Callable[[], None] = lambda: None,
        within: float = ANSWER_WITHIN,
    ) -> None:
        """For the volumes with these paths. ``before_fork``: see ``scan.pool``."""
        self._paths = paths
        self._before_fork = before_fork
        self._within = within
        self._asked: dict[int, _Asked] = {}
        self._untold: list[int] = []
        #: Processes that hang and were left behind.
        self._left = 0
        #: When it was asked, and what the answer was.
        self._answers: dict[int, tuple[float, Seen]] = {}

    def ask(self, number: int) -> None:
        """Look at a volume, unless that is being done."""
        one = self._asked.get(number)
        if one is not None:
            # One that hangs at what was mounted there before would never tell of what is there now.
            old = one.late and time.monotonic() - one.at > _ASK_ANEW
            if not old or self._left >= _MOST_LEFT:
                return
            self._left += 1
            one.job.close()
        self._before_fork()
        path = self._paths[number]
        self._asked[number] = _Asked(Background(lambda: _look_at(path)), time.monotonic())

    def is_silent(self, number: int, tick: Callable[[], None]) -> bool:
        """Look at a volume now, and wait: does it not answer within the time that it has?

        ``tick`` is called several times a second. ``take`` tells of the answer, too.
        """
        self.ask(number)
        while number in self._asked and not self._asked[number].late:
            tick()
            self._untold += self._take(set(wait([self._asked[number].job.connection], 0.2)))
        seen = self.latest(number)
        return seen is not None and seen.error == NO_ANSWER

    def answer(self, number: int, since: float) -> Seen | None:
        """What a volume was like when it was looked at after ``since``; ``None``: not yet."""
        if number in self._asked and self._asked[number].late:
            return self._silent(number)
        at, seen = self._answers.get(number, (0.0, None))
        return seen if at >= since else None

    def latest(self, number: int) -> Seen | None:
        """What a volume was like when it was looked at last."""
        return self._answers.get(number, (0.0, None))[1]

    @property
    def connections(self) -> list[Connection]:
        """What to listen to."""
        return [one.job.connection for one in self._asked.values()]

    def take(self, ready: Collection[Connection]) -> list[int]:
        """Take the answers that are there, or have been waited for long enough; of which."""
        found, self._untold = self._untold + self._take(ready), []
        return found

    def _take(self, ready: Collection[object]) -> list[int]:
        now = time.monotonic()
        found = []
        for number, one in list(self._asked.items()):
            if one.job.connection in ready:
                del self._asked[number]
                seen = one.job.take()
                if isinstance(seen, Failure):
                    seen = Seen(self._root(number), f"it could not be looked at: {seen.message}")
                self._answers[number] = (now if one.late else one.at, seen)
            elif not one.late and now - one.at > self._within:
                # The process stays, for one that waits inside the kernel cannot be ended, and each
                # further look would leave one more behind. When it gets its answer, we do.
                self._asked[number] = one._replace(late=True)
                self._answers[number] = (one.at, self._silent(number))
            else:
                continue
            found.append(number)
        return found

    def _silent(self, number: int) -> Seen:
        return Seen(self._root(number), NO_ANSWER)

    def look_at_all(self, tick: Callable[[], None]) -> list[Seen]:
        """Look at all volumes at once, and wait for the answers for as long as they may take.

        ``tick`` is called several times a second.
        """
        for number in range(len(self._paths)):
            self.ask(number)
        while not all(one.late for one in self._asked.values()):
            tick()
            ready = set(wait(self.connections, 0.2))
            self.take([one for one in self.connections if one in ready])
        return [self._answers[number][1] for number in range(len(self._paths))]

    def _root(self, number: int) -> bytes:
        """The path without a look at it."""
        latest = self.latest(number)
        return os.fsencode(os.path.normpath(self._paths[number])) if latest is None else latest.root

    def close(self) -> None:
        """End what is under way."""
        for one in self._asked.values():
            one.job.close()
        self._asked.clear()
