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

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from multiprocessing.connection import Connection

#: Seconds within which a volume must answer; longer than a busy disk takes.
ANSWER_WITHIN = 20.0
NO_ANSWER = "its file system does not answer (a dead file server?)"


def _look_at(path: str) -> Seen:
    return look_at(os.fsencode(os.path.realpath(path)))


class _Asked(NamedTuple):
    job: Background[Seen]
    at: float


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
        #: When it was asked, and what the answer was.
        self._answers: dict[int, tuple[float, Seen]] = {}

    def ask(self, number: int) -> None:
        """Look at a volume, unless that is being done."""
        if number not in self._asked:
            self._before_fork()
            path = self._paths[number]
            self._asked[number] = _Asked(Background(lambda: _look_at(path)), time.monotonic())

    def answer(self, number: int, since: float) -> Seen | None:
        """What a volume was like when it was looked at after ``since``; ``None``: not yet."""
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
        now = time.monotonic()
        found = []
        for number, one in list(self._asked.items()):
            if one.job.connection in ready:
                seen = one.job.take()
                if isinstance(seen, Failure):
                    seen = Seen(self._root(number), f"it could not be looked at: {seen.message}")
            elif now - one.at > self._within:
                one.job.close()
                seen = Seen(self._root(number), NO_ANSWER)
            else:
                continue
            del self._asked[number]
            self._answers[number] = (one.at, seen)
            found.append(number)
        return found

    def look_at_all(self, tick: Callable[[], None]) -> list[Seen]:
        """Look at all volumes at once, and wait for the answers for as long as they may take.

        ``tick`` is called several times a second.
        """
        for number in range(len(self._paths)):
            self.ask(number)
        while self._asked:
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
