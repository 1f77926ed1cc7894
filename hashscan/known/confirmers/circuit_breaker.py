"""Decides when the central service may be asked: a circuit breaker, plus the service's own pauses.

The breaker follows M. Nygard, "Release It!". At first, the breaker is closed. After several
failures in a row, the breaker is open, so that nobody asks the service; each time it is open for
longer. Then the breaker is half-open: one caller tries the service while the other callers still
wait.
"""

from __future__ import annotations

import random
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

#: Seconds of the longest pause, even if the service's ``Retry-After`` (RFC 9110) asks for more.
LONGEST_PAUSE = 3600.0


class Turn(NamedTuple):
    """The breaker's answer to a caller: ask the service now, or wait.

    Attributes:
        wait: seconds to wait before asking; 0: ask now.
        open: true if the breaker is open, or another caller is trying the service: then a caller
            should give up rather than wait.
    """

    wait: float
    open: bool


class CircuitBreaker:
    """Counts the service's failures in a row, and keeps callers away while more are likely.

    Thread-safe. Each caller that ``admit`` lets through must call exactly one of ``succeeded``,
    ``failed`` and ``abandoned``; otherwise a half-open breaker waits forever for the caller's
    result.
    """

    def __init__(
        self,
        *,
        threshold: int = 6,
        first: float = 5.0,
        longest: float = 600.0,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[float, float], float] = random.uniform,
    ) -> None:
        """Make a closed breaker, so that the first caller may ask the service.

        Args:
            threshold: number of failures in a row that opens the breaker.
            first: seconds for which the breaker is first open; each later time is twice as long.
            longest: the most seconds for which the breaker is open.
            clock: function that returns monotonic seconds.
            jitter: function that returns a random number between its two arguments, so that the
                agents of one data centre do not all ask at the same moment.
        """
        self._threshold = threshold
        self._first = first
        self._longest = longest
        self._clock = clock
        self._jitter = jitter
        self._lock = threading.Lock()
        self._failures = 0
        self._openings = 0
        self._open_until: float | None = None
        self._trying = False
        self._paused_until = float("-inf")

    def admit(self) -> Turn:
        """Return whether the caller may ask the service now, or how long the caller must wait."""
        with self._lock:
            now = self._clock()
            pause = self._paused_until - now
            if self._open_until is None:
                return Turn(max(pause, 0.0), open=False)
            wait = max(self._open_until - now, pause)
            if wait > 0:
                return Turn(wait, open=True)
            if self._trying:
                return Turn(self._first, open=True)
            self._trying = True
            return Turn(0.0, open=False)

    def succeeded(self) -> None:
        """Report that the service gave a usable answer: close the breaker."""
        with self._lock:
            self._failures = self._openings = 0
            self._open_until = None
            self._trying = False

    def failed(self) -> None:
        """Report that the service gave no usable answer: open the breaker after enough failures."""
        with self._lock:
            self._failures += 1
            # Answers to questions sent before the breaker opened must not keep the breaker open
            # longer.
            late = self._open_until is not None and not self._trying
            if self._failures >= self._threshold and not late:
                self._trying = False
                # 2**30 exceeds any pause, and 2**5000 does not fit into a float
                seconds = min(self._longest, self._first * 2.0 ** min(self._openings, 30))
                self._openings += 1
                self._open_until = self._clock() + self._jitter(seconds / 2, seconds)

    def abandoned(self) -> None:
        """Report that the caller was interrupted before the answer; another caller may try."""
        with self._lock:
            self._trying = False

    def pause(self, seconds: float) -> None:
        """Let no caller ask the service for ``seconds`` (an hour at most), as it demands."""
        with self._lock:
            until = self._clock() + min(seconds, LONGEST_PAUSE)
            self._paused_until = max(self._paused_until, until)

    def look(self) -> Turn:
        """The pause that a caller must keep after a failure; lets no caller ask the service."""
        with self._lock:
            is_open = self._open_until is not None
            until = max(self._paused_until, self._open_until or self._paused_until)
            return Turn(max(until - self._clock(), 0.0), open=is_open)
