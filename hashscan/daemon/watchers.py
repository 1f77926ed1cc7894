"""Starts the processes that watch volumes, reads their reports, and restarts dead or hanging ones.

The volumes of one file server share a process, because an access may wait for the server for ever;
all volumes on local file systems share another process. At most ``_MOST`` processes run.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from hashscan.jobs.machine_limits import is_limit, limit_reached
from hashscan.text import human_age
from hashscan.watch.mounts import MountTable, mounts_now
from hashscan.watch.process import Watching
from hashscan.watch.source import Coverage

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence
    from multiprocessing.connection import Connection

    from hashscan.daemon.log import Log
    from hashscan.daemon.watch_coverage import Coverages
    from hashscan.fs.volume import Volume
    from hashscan.watch.source import Changed, Lost, WatchReport

#: Seconds without a sign of life after which a watching process counts as hanging; each process
#: gives a sign every five seconds.
SILENT = 60.0
#: Seconds until a dead watching process is started again: the first pause, which doubles each time,
#: and the longest pause.
_FIRST, _LONGEST = 1.0, 300.0
#: If a watching process lived for this number of seconds, the pause begins at its first value.
_LASTED = 60.0
#: Number of watching processes for file servers; if there are more servers, some share a process.
_MOST = 32
#: Seconds until volumes that do not answer are tried again.
_ANSWERS_AGAIN = 5.0


class _Watch:
    """Describes a watching process, or a process that will be started for these volumes."""

    def __init__(self, numbers: list[int]) -> None:
        self.numbers = numbers
        self.process: Watching | None = None
        self.began = 0.0
        self.again = 0.0
        self.wait = _FIRST / 2
        #: True if the process was started before, so the changes since its end were not seen.
        self.missed = False


class Watches:
    """Runs all processes that watch volumes.

    Attributes:
        deaths: number of watching processes that died or were given up.
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
        on_silent: Callable[[int], None],
        is_silent: Callable[[int], bool],
        silent_after: float = SILENT,
    ) -> None:
        """Start the processes that watch volumes.

        ``on_again`` receives each volume of a process that is started again: changes in the
        meantime were lost. ``on_silent`` receives each volume of a hanging process. ``is_silent``
        returns whether a volume does not answer: the watch of a silent volume starts when the
        volume answers. ``before_fork`` is called before each fork, see ``scan.pool``.
        """
        self._volumes = volumes
        self._modes = modes
        self._coverage = coverage
        self._log = log
        self._before_fork = before_fork
        self._on_again = on_again
        self._on_silent = on_silent
        self._is_silent = is_silent
        self._silent_after = silent_after
        self.deaths = 0
        self._watches = [_Watch(list(range(len(volumes))))]
        self.step()

    @property
    def connections(self) -> list[Connection]:
        """Return the connections of the watching processes."""
        return [one.process.connection for one in self._watches if one.process is not None]

    @property
    def pids(self) -> list[int]:
        """Return the ids of the running watching processes."""
        return [one.process.pid for one in self._watches if one.process and one.process.pid]

    def take(self, ready: Collection[Connection]) -> list[Changed | Lost]:
        """Return the changes and losses that the ready watching processes report."""
        found: list[Changed | Lost] = []
        for one in list(self._watches):
            if one.process is None or one.process.connection not in ready:
                continue
            reports = one.process.take()
            if reports is None:
                self._ended(one, "the process that watches died")
            else:
                found += self._heard(reports)
        return found

    def _heard(self, reports: list[WatchReport]) -> Iterable[Changed | Lost]:
        for one in reports:
            if isinstance(one, Coverage):
                self._coverage.heard(one)
            else:
                yield one

    def step(self) -> None:
        """Start watching processes that are due, and end watching processes that hang."""
        now = time.monotonic()
        for one in list(self._watches):
            if one.process is None:
                if now >= one.again:
                    self._start(one)
            # A message that was not read yet is a sign of life, too.
            elif now - one.process.heard > self._silent_after and not one.process.connection.poll():
                self._ended(
                    one,
                    "the process that watches has given no sign of life for "
                    f"{human_age(self._silent_after)} (a file server that does not answer?)",
                )
                for number in one.numbers:
                    self._on_silent(number)

    def answer(self, number: int) -> None:
        """Watch a volume that answers again after a silence."""
        for one in self._watches:
            if one.process is None and number in one.numbers:
                one.again = 0.0
                self._start(one)
                return

    def _start(self, waiting: _Watch) -> None:
        """Start processes for these volumes, except for the volumes that do not answer."""
        numbers = [number for number in waiting.numbers if not self._is_silent(number)]
        if len(numbers) < len(waiting.numbers):
            answering = set(numbers)
            waiting.numbers = [number for number in waiting.numbers if number not in answering]
            waiting.again = time.monotonic() + _ANSWERS_AGAIN
        else:
            self._watches.remove(waiting)
        groups = _grouped(self._volumes, numbers)
        following = []
        for group in groups:
            one = _Watch(group)
            one.wait, one.missed = waiting.wait, waiting.missed
            following.append(one)
        if len(self.pids) + len(groups) > 2 * _MOST:
            following = self._regrouped(numbers)
        self._watches += following
        for one in following:
            self._start_process(one)

    def _regrouped(self, numbers: list[int]) -> list[_Watch]:
        """Return new groups of these and all watched volumes; end the running processes."""
        for one in [one for one in self._watches if one.process is not None]:
            assert one.process is not None
            one.process.close()
            numbers += one.numbers
            self._watches.remove(one)
        following = [_Watch(group) for group in _grouped(self._volumes, sorted(numbers))]
        for one in following:
            one.missed = True
        return following

    def _start_process(self, one: _Watch) -> None:
        try:
            self._before_fork()
            one.process = Watching(self._volumes, self._modes, one.numbers)
        except OSError as error:
            if not is_limit(error):
                raise
            self._not_watched(
                one, f"the process that watches was not started: {limit_reached(error)}"
            )
            return
        one.began = time.monotonic()
        self._coverage.awaits(one.numbers)
        if one.missed:
            for number in one.numbers:
                self._on_again(number)

    def _ended(self, one: _Watch, why: str) -> None:
        assert one.process is not None
        self.deaths += 1
        one.process.close()
        one.process = None
        if time.monotonic() - one.began > _LASTED:
            one.wait = _FIRST / 2
        self._not_watched(one, why)

    def _not_watched(self, one: _Watch, why: str) -> None:
        one.missed = True
        one.wait = min(2 * one.wait, _LONGEST)
        one.again = time.monotonic() + one.wait
        message = f"{why}; it is started again in {one.wait:.0f} s"
        self._log.limited("watch", "error", message)
        for number in one.numbers:
            if self._modes[number] != "off":
                self._coverage.heard(Coverage(number, "off", unwatched=1, message=message))
        self._coverage.awaits_no_more(one.numbers)

    def close(self) -> None:
        """End all watching processes."""
        for one in self._watches:
            if one.process is not None:
                one.process.close()
                one.process = None


def _grouped(volumes: Sequence[Volume], numbers: Iterable[int]) -> list[list[int]]:
    """Return the volumes that share a process: a group for each server, and one for local disks."""
    mounts = MountTable(())
    with suppress(OSError):
        mounts = mounts_now()
    by_server: dict[bytes, list[int]] = {}
    for number in numbers:
        by_server.setdefault(mounts.reach(volumes[number].root).server, []).append(number)
    local = by_server.pop(b"", None)
    groups = list(by_server.values())
    for index, extra in enumerate(groups[_MOST:]):
        groups[index % _MOST] += extra
    del groups[_MOST:]
    return ([] if local is None else [local]) + groups
