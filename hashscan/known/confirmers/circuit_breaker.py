"""Decides when the central service may be asked: a circuit breaker, plus the service's own pauses.

The breaker is the usual one (M. Nygard, "Release It!"): closed, open for a growing time after
failures in a row, then half-open, in which one caller tries while the others still have to wait.
"""

from __future__ import annotations

import random
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

#: The service may ask for a longer pause (RFC 9110, Retry-After); it does not get one.
LONGEST_PAUSE = 3600.0


class Turn(NamedTuple):
    """Whether a caller may ask now.

    Attributes:
        wait: seconds to wait before asking; 0 means: ask now.
        open: the breaker is open, or another caller is trying the service; waiting is of no use.
    """

    wait: float
    open: bool


class CircuitBreaker:
    """Counts failures in a row, and keeps callers away while more failures are likely.

    Thread-safe. Each admitted caller must report exactly one of ``succeeded``, ``failed`` and
    ``abandoned``; otherwise a half-open breaker waits for its trial forever.
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
        """Start closed.

        Args:
            threshold: failures in a row that open it.
            first: seconds of the first opening; each further one is twice as long.
            longest: seconds that no opening exceeds.
            clock: monotonic seconds.
            jitter: a number between its two arguments; spreads the agents of one data centre.
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
        """Ask for leave to ask the service."""
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
        """The service answered as it should: close."""
        with self._lock:
            self._failures = self._openings = 0
            self._open_until = None
            self._trying = False

    def failed(self) -> None:
        """The service was asked, and gave no usable answer."""
        with self._lock:
            self._failures += 1
            # Questions that were sent before the breaker opened must not prolong the opening.
            late = self._open_until is not None and not self._trying
            if self._failures >= self._threshold and not late:
                self._trying = False
                # 2**30 is past any bound, and a float of 2**5000 would not exist
                seconds = min(self._longest, self._first * 2.0 ** min(self._openings, 30))
                self._openings += 1
                self._open_until = self._clock() + self._jitter(seconds / 2, seconds)

    def abandoned(self) -> None:
        """The caller was interrupted before it knew; someone else may try."""
        with self._lock:
            self._trying = False

    def pause(self, seconds: float) -> None:
        """Let nobody ask for ``seconds`` (at most an hour), because the service said so."""
        with self._lock:
            until = self._clock() + min(seconds, LONGEST_PAUSE)
            self._paused_until = max(self._paused_until, until)

    def look(self) -> Turn:
        """The answer that ``admit`` would give to a caller after a failure; admits nobody."""
        with self._lock:
            is_open = self._open_until is not None
            until = max(self._paused_until, self._open_until or self._paused_until)
            return Turn(max(until - self._clock(), 0.0), open=is_open)
