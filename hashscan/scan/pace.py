"""Stepping aside: a bound on bytes a second, and pauses while others wait for the disks."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

PRESSURE = "/proc/pressure/io"
_LOOK_EVERY = 1.0  # seconds; the kernel renews the averages every two
_LONGEST_PAUSE = 5.0  # seconds in a row; then a second of work is done whatever the pressure is
_SOME = re.compile(rb"some avg10=([0-9.]+)")


def io_pressure(path: str = PRESSURE) -> float:
    """Share of the last ten seconds in which some process waited for I/O; 0 where unknown."""
    try:
        with open(path, "rb") as file:
            found = _SOME.match(file.read(200))
    except OSError:
        return 0.0
    return float(found.group(1)) / 100 if found else 0.0


class Pace:
    """Slows one worker process down. Call it after each read."""

    def __init__(
        self,
        max_rate: float | None,
        pause_above: float | None,
        *,
        alive: Callable[[], None] = lambda: None,
        pressure: Callable[[], float] = io_pressure,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """``max_rate`` in bytes a second, ``pause_above`` a share of time; ``None``: no bound.

        ``alive`` is called once a second during pauses.
        """
        self._rate = max_rate
        self._pause_above = pause_above
        self._alive = alive
        self._pressure = pressure
        self._clock = clock
        self._sleep = sleep
        self._next = clock()
        self._look = self._next + _LOOK_EVERY

    def __call__(self, count: int) -> None:
        """Account for ``count`` bytes, and wait as long as they ask for."""
        now = self._clock()
        if self._rate is not None:
            self._next = max(now, self._next) + count / self._rate
            self._wait(self._next - now)
        if self._pause_above is not None and now >= self._look:
            end = now + _LONGEST_PAUSE
            while self._pressure() > self._pause_above and self._clock() < end:
                self._wait(_LOOK_EVERY)
            self._look = self._clock() + _LOOK_EVERY

    def _wait(self, seconds: float) -> None:
        while seconds > 0:
            self._sleep(min(seconds, 1.0))
            seconds -= 1.0
            self._alive()
