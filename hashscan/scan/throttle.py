"""Slows a scan down: bounds bytes and files a second, and pauses while others wait for disks."""

from __future__ import annotations

import mmap
import time
from typing import TYPE_CHECKING

from hashscan.scan.io_pressure import Pressure

if TYPE_CHECKING:
    from collections.abc import Callable

# Seconds between two readings of the pressure; the kernel renews the averages every two seconds.
_CHECK_EVERY = 1.0
# Longest uninterrupted pause in seconds; then a second of work follows even under pressure.
_LONGEST_PAUSE = 5.0


class Turns:
    """Holds the times of the next read byte and file, which all processes with one bound share.

    The times have no lock, because a killed process could not release it. If two processes read the
    same time at the same moment, they read one block more than the bound allows.
    """

    def __init__(self) -> None:
        """Make the times in shared memory; processes that are forked later share the times."""
        self.times = memoryview(mmap.mmap(-1, mmap.PAGESIZE)).cast("d")


class Pace:
    """Slows one worker process down, so that all worker processes keep the bounds.

    Call the ``Pace`` object with the number of bytes after each read, and ``file`` for each file
    read.

    Attributes:
        bounds: whether a bound is set; otherwise the calls are not needed.
    """

    def __init__(
        self,
        max_rate: float | None,
        pause_above: float | None,
        *,
        max_files: float | None = None,
        turns: Turns | None = None,
        alive: Callable[[], None] = lambda: None,
        pressure: Callable[[], float] | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Set the bounds of the rate; a bound that is ``None`` does not apply.

        ``max_rate`` is in bytes a second, ``max_files`` in files a second, and ``pause_above`` is a
        share of time. All processes with the same ``turns`` share the bounds. ``alive`` is called
        once a second during pauses.
        """
        self.bounds = not (max_rate is None and pause_above is None and max_files is None)
        self._rate = max_rate
        self._pause_above = pause_above
        self._alive = alive
        self._max_files = max_files
        self._pressure = Pressure().others if pressure is None else pressure
        self._clock = clock
        self._sleep = sleep
        #: Times at which the next byte, and the next file, may be read.
        self._turns = memoryview(bytearray(16)).cast("d") if turns is None else turns.times
        self._check_at = clock() + _CHECK_EVERY

    def __call__(self, count: int) -> None:
        """Account for ``count`` bytes read, and wait until the bounds allow more."""
        now = self._clock()
        if self._rate is not None:
            turn = self._turns[0] = max(now, self._turns[0]) + count / self._rate
            self._wait(turn - now)
        self._step_aside(now)

    def file(self) -> None:
        """Account for one file of any size, and wait until the bounds allow the next file."""
        now = self._clock()
        if self._max_files is not None:
            turn = self._turns[1] = max(now, self._turns[1]) + 1 / self._max_files
            self._wait(turn - now)
        self._step_aside(now)

    def listed(self) -> None:
        """Pause under pressure while a directory is listed: a listing reads from the disk, too."""
        self._step_aside(self._clock())

    def _step_aside(self, now: float) -> None:
        if self._pause_above is not None and now >= self._check_at:
            end = now + _LONGEST_PAUSE
            while self._pressure() > self._pause_above and self._clock() < end:
                self._wait(_CHECK_EVERY)
            self._check_at = self._clock() + _CHECK_EVERY

    def _wait(self, seconds: float) -> None:
        while seconds > 0:
            self._sleep(min(seconds, 1.0))
            seconds -= 1.0
            self._alive()
