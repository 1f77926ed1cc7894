"""The processes that watch: started, heard, and started again where one died or hangs.

A volume on a file server has a process of its own, for that may wait for the server for ever; all
others share one.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from hashscan.text import human_age
from hashscan.watch.mounts import answers_by_others, kind_of, mounts_now
from hashscan.watch.process import Watching
from hashscan.watch.source import Coverage

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence
    from multiprocessing.connection import Connection

    from hashscan.daemon.coverage import Coverages
    from hashscan.daemon.log import Log
    from hashscan.fs.volume import Volume
    from hashscan.watch.source import Changed, Lost, Told

#: Seconds without a sign of life after which a process hangs; it gives one every five.
SILENT = 60.0
#: Seconds until a process that died is started again: at first, and twice as long each time up to.
_FIRST, _LONGEST = 1.0, 300.0
#: ... but the first again where it had lasted for so long.
_LASTED = 60.0


class _Watch:
    """One process, or the place of one that is to be started."""

    def __init__(self, numbers: list[int]) -> None:
        self.numbers = numbers
        self.process: Watching | None = None
        self.began = 0.0
        self.again = 0.0
        self.wait = _FIRST / 2


class Watches:
    """All of them.

    Attributes:
        deaths: how often one died, or was given up.
    """

    def __init__(
        self,
        volumes: Sequence[Volume],
        modes: Sequence[str],
        coverage: Coverages,
        log: Log,
        *,
        before_fork: Callable[[], None],
        on_again: Callable[[int], None],
        on_silent: Callable[[int], None] = lambda _number: None,
        silent_after: float = SILENT,
    ) -> None:
        """Start them.

        ``on_again`` gets the volumes of a process that is started again: what changed meanwhile,
        nobody has told; ``on_silent`` those of one that hangs. ``before_fork``: see ``scan.pool``.
        """
        self._volumes = volumes
        self._modes = modes
        self._coverage = coverage
        self._log = log
        self._before_fork = before_fork
        self._on_again = on_again
        self._on_silent = on_silent
        self._silent_after = silent_after
        self.deaths = 0
        numbers = range(len(volumes))
        self._watches = [_Watch(group) for group in _grouped(volumes, numbers)]
        for one in self._watches:
            self._start(one)

    def _start(self, one: _Watch) -> None:
        self._before_fork()
        one.began = time.monotonic()
        one.process = Watching(self._volumes, self._modes, one.numbers)
        self._coverage.awaits(one.numbers)

    @property
    def connections(self) -> list[Connection]:
        """What to listen to."""
        return [one.process.connection for one in self._watches if one.process is not None]

    @property
    def pids(self) -> list[int]:
        """Of the processes that there are."""
        return [one.process.pid for one in self._watches if one.process and one.process.pid]

    def take(self, ready: Collection[Connection]) -> list[Changed | Lost]:
        """What changed, or was lost, as told by the processes that are ready."""
        found: list[Changed | Lost] = []
        for one in self._watches:
            if one.process is None or one.process.connection not in ready:
                continue
            told = one.process.take()
            if told is None:
                self._ended(one, "the process that watches died")
            else:
                found += self._heard(told)
        return found

    def _heard(self, told: list[Told]) -> Iterable[Changed | Lost]:
        for one in told:
            if isinstance(one, Coverage):
                self._coverage.heard(one)
            else:
                yield one

    def step(self) -> None:
        """Start what is due, and give up what hangs."""
        now = time.monotonic()
        for one in list(self._watches):
            if one.process is None:
                if now >= one.again:
                    self._start_again(one)
            # What it has said and nobody has heard yet is a sign of life, too.
            elif now - one.process.heard > self._silent_after and not one.process.connection.poll():
                self._ended(
                    one,
                    "the process that watches has given no sign of life for "
                    f"{human_age(self._silent_after)} (a file server that does not answer?)",
                )
                for number in one.numbers:
                    self._on_silent(number)

    def _start_again(self, one: _Watch) -> None:
        """Start a process in the place of one that ended; or several, if mounts have changed."""
        self._watches.remove(one)
        groups = _grouped(self._volumes, one.numbers)
        for numbers in groups:
            following = _Watch(numbers)
            following.wait = one.wait
            self._watches.append(following)
            self._start(following)
            for number in numbers:
                self._on_again(number)

    def _ended(self, one: _Watch, why: str) -> None:
        assert one.process is not None
        self.deaths += 1
        one.process.close()
        one.process = None
        now = time.monotonic()
        one.wait = _FIRST if now - one.began > _LASTED else min(2 * one.wait, _LONGEST)
        one.again = now + one.wait
        message = f"{why}; it is started again in {one.wait:.0f} s"
        self._log.limited("watch", "error", message)
        for number in one.numbers:
            if self._modes[number] != "off":
                self._coverage.heard(Coverage(number, "off", unwatched=1, message=message))
        self._coverage.awaits_no_more(one.numbers)

    def close(self) -> None:
        """End them all."""
        for one in self._watches:
            if one.process is not None:
                one.process.close()
                one.process = None


def _grouped(volumes: Sequence[Volume], numbers: Iterable[int]) -> list[list[int]]:
    mounts = []
    with suppress(OSError):
        mounts = mounts_now()
    apart = [
        number for number in numbers if answers_by_others(kind_of(mounts, volumes[number].root))
    ]
    together = [number for number in numbers if number not in apart]
    return ([together] if together else []) + [[number] for number in apart]
