"""When something is to be done next, by the clock on the wall.

What was missed while the machine slept is done once, and then the next time is reckoned from now. A
clock that is set back does not put it off for longer than the interval.
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
    """By a cron expression, in local time; across changes of summer time it runs once.

    Attributes:
        next: in seconds since the epoch; ``None``: never.
    """

    def __init__(self, expression: str | None, *, clock: Callable[[], float] = time.time) -> None:
        """``expression`` has five fields; ``None``: never."""
        self._expression = expression
        self._clock = clock
        self.next = self._after(clock())

    def _after(self, now: float) -> float | None:
        if self._expression is None:
            return None
        # Without a zone: an hour that comes twice in autumn counts once.
        here = datetime.fromtimestamp(now)  # noqa: DTZ006
        try:
            for following in CronSim(self._expression, here):
                if following.timestamp() > now:
                    return following.timestamp()
        except CronSimError:
            pass  # the settings' own check lets through what never comes
        return None  # e.g. the thirtieth of February

    @property
    def interval(self) -> float | None:
        """Seconds from the next time to the one after it; ``None``: there are no two."""
        following = None if self.next is None else self._after(self.next)
        return None if self.next is None or following is None else following - self.next

    def due(self) -> bool:
        """Whether its time has come; then the next one is reckoned from now."""
        now = self._clock()
        is_due = self.next is not None and now >= self.next
        following = self._after(now)
        if is_due or self.next is None or (following is not None and following < self.next):
            self.next = following
        return is_due


class Files:
    """Files that somebody may replace, looked at now and then by their stamps only.

    Several are replaced one after another, so a change counts when nothing changed for a look.
    """

    def __init__(
        self,
        paths: Sequence[str],
        *,
        every: float = 15.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Note how they are now. ``every``: seconds between two looks."""
        self._paths = paths
        self._every = every
        self._clock = clock
        self._now = self._look()
        self._unrest = False
        self._next = clock() + every

    def _look(self) -> list[tuple[int, int, int, int] | None]:
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
        """Whether one of them is another than it was, and has come to rest."""
        if not self._paths or self._clock() < self._next:
            return False
        self._next = self._clock() + self._every
        before, self._now = self._now, self._look()
        if before != self._now:
            self._unrest = True
            return False
        unrest, self._unrest = self._unrest, False
        return unrest


class Every:
    """At an interval, a little more or less; sooner after a failure.

    Attributes:
        next: in seconds since the epoch; ``None``: never.
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
        """``interval`` in seconds; ``None``: never."""
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
        """Whether its time has come; then the next one is reckoned from now."""
        if self.next is None or self._interval is None:
            return False
        now = self._clock()
        # Further away than it was ever put: the clock was set back.
        if now < self.next and self.next - now <= 1.2 * self._longest:
            return False
        self._longest = self._interval
        self.next = self._in(self._interval)
        return True

    def failed(self, at_least: float | None = None) -> float:
        """Try again sooner than the interval, each time later; returns the seconds until then.

        ``at_least``: what the other side asked to wait.
        """
        assert self._interval is not None
        wait = min(self._retry, self._interval)
        self._retry = min(2 * self._retry, max(self._interval, self._first_retry))
        wait = max(wait, min(at_least or 0.0, 86400.0))
        self._longest = max(wait, self._interval)
        self.next = self._in(wait)
        return wait

    def succeeded(self) -> None:
        """The next failure is the first one again."""
        self._retry = self._first_retry
