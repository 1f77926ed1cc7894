"""Timers by the system clock, which decide when a job of the daemon is due.

If the machine slept, a missed job runs once, and the next time is computed from now. If the clock
is set back, a job is delayed by one interval at most.
"""

from __future__ import annotations

import os
import random
import time
from datetime import datetime
from typing import TYPE_CHECKING

from cronsim import CronSim, CronSimError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Cron:
    """Is due at the times of a cron expression; runs once across a change of summer time.

    Attributes:
        next: time at which the timer is due next, in seconds since the epoch; ``None``: never.
    """

    def __init__(self, expression: str | None, *, clock: Callable[[], float] = time.time) -> None:
        """``expression`` is a cron expression with five fields.

        If ``expression`` is ``None``, the timer is never due.
        """
        self._expression = expression
        self._clock = clock
        self.next = self._after(clock())

    def _after(self, now: float) -> float | None:
        if self._expression is None:
            return None
        # Times have no time zone, so an hour that comes twice in autumn counts once.
        here = datetime.fromtimestamp(now)  # noqa: DTZ006
        try:
            for following in CronSim(self._expression, here):
                if following.timestamp() > now:
                    return following.timestamp()
        except CronSimError:
            pass  # The check of the settings accepts expressions for times that never come.
        return None  # The thirtieth of February is an example of a time that never comes.

    @property
    def interval(self) -> float | None:
        """Return the seconds between the next two times of the cron expression.

        The result is ``None`` if the expression has no two further times.
        """
        following = None if self.next is None else self._after(self.next)
        return None if self.next is None or following is None else following - self.next

    def due(self) -> bool:
        """Return whether the timer is due; if so, compute the next time from now."""
        now = self._clock()
        is_due = self.next is not None and now >= self.next
        following = self._after(now)
        if is_due or self.next is None or (following is not None and following < self.next):
            self.next = following
        return is_due


class Files:
    """Detects that the sysadmin has replaced files, by checking the files' stamps regularly.

    Several files are replaced one after another, so a change counts only after a check without a
    further change.
    """

    def __init__(
        self,
        paths: Sequence[str],
        *,
        every: float = 15.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Note the present stamps of the files that are to be checked.

        ``every`` is the number of seconds between two checks.
        """
        self._paths = paths
        self._every = every
        self._clock = clock
        self._now = self._read_stamps()
        self._unrest = False
        self._next = clock() + every

    def _read_stamps(self) -> list[tuple[int, int, int, int] | None]:
        found: list[tuple[int, int, int, int] | None] = []
        for path in self._paths:
            try:
                status = os.stat(path)
            except OSError:
                found.append(None)
            else:
                found.append((status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns))
        return found

    def changed(self) -> bool:
        """Return whether a file has changed, and no file has changed since the last check."""
        if not self._paths or self._clock() < self._next:
            return False
        self._next = self._clock() + self._every
        before, self._now = self._now, self._read_stamps()
        if before != self._now:
            self._unrest = True
            return False
        unrest, self._unrest = self._unrest, False
        return unrest


class Every:
    """Is due after an interval, varied a little at random, and sooner after a failure.

    Attributes:
        next: time at which the timer is due next, in seconds since the epoch; ``None``: never.
    """

    def __init__(
        self,
        interval: float | None,
        *,
        at_once: bool = False,
        first_retry: float = 60.0,
        clock: Callable[[], float] = time.time,
        jitter: Callable[[float, float], float] = random.uniform,
    ) -> None:
        """``interval`` is in seconds. If ``interval`` is ``None``, the timer is never due."""
        self._interval = interval
        self._clock = clock
        self._jitter = jitter
        self._first_retry = first_retry
        self._retry = first_retry
        self._longest = 0.0 if interval is None else interval
        self.next: float | None = None
        if interval is not None:
            self.next = clock() if at_once else self._in(interval)

    def _in(self, seconds: float) -> float:
        return self._clock() + seconds * self._jitter(0.9, 1.1)

    def due(self) -> bool:
        """Return whether the timer is due; if so, compute the next time from now."""
        if self.next is None or self._interval is None:
            return False
        now = self._clock()
        # The next time is further away than this timer ever sets it, so the clock was set back.
        if now < self.next and self.next - now <= 1.2 * self._longest:
            return False
        self._longest = self._interval
        self.next = self._in(self._interval)
        return True

    def failed(self, at_least: float | None = None) -> float:
        """Set the next try after a failure, with growing pauses; return the seconds until the try.

        ``at_least`` is the number of seconds that the server asked to wait.
        """
        assert self._interval is not None
        wait = min(self._retry, self._interval)
        self._retry = min(2 * self._retry, max(self._interval, self._first_retry))
        wait = max(wait, min(at_least or 0.0, 86400.0))
        self._longest = max(wait, self._interval)
        self.next = self._in(wait)
        return wait

    def succeeded(self) -> None:
        """Reset the pauses: the next failure counts as the first."""
        self._retry = self._first_retry
