"""Limits how often a client may do an action, with token buckets."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

#: Largest number of token buckets. Full buckets are dropped first, so that strangers cannot fill
#: the memory.
_KEPT = 10_000


class Limiter:
    """Has a bucket of ``burst`` tokens for each key; each second adds ``rate`` tokens."""

    def __init__(
        self, rate: float, burst: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Set ``rate`` and ``burst``, each at least one token; ``clock`` returns seconds."""
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._buckets: dict[object, tuple[float, float]] = {}

    def wait(self, key: object) -> float:
        """Return the seconds until ``key`` may act; 0: it may act now, and a token is used."""
        now = self._clock()
        tokens = self._tokens(key, now)
        if tokens < 1:
            return (1 - tokens) / self._rate
        if len(self._buckets) >= _KEPT:
            self._shrink(now)
        self._buckets[key] = (tokens - 1, now)
        return 0.0

    def empty(self, key: object) -> float:
        """Return the seconds until ``key`` may act, without using a token of its bucket."""
        tokens = self._tokens(key, self._clock())
        return 0.0 if tokens >= 1 else (1 - tokens) / self._rate

    def _tokens(self, key: object, now: float) -> float:
        tokens, since = self._buckets.get(key, (self._burst, now))
        return min(self._burst, tokens + (now - since) * self._rate)

    def _shrink(self, now: float) -> None:
        self._buckets = {
            key: bucket
            for key, bucket in self._buckets.items()
            if self._tokens(key, now) < self._burst
        }
        if len(self._buckets) >= _KEPT:  # no bucket is full: drop the oldest
            ordered = sorted(self._buckets.items(), key=lambda one: one[1][1])
            self._buckets = dict(ordered[_KEPT // 2 :])
