"""Estimates a scan's remaining time from costs of files and bytes, learnt from the scan itself.

A scan spends its time on listing (each file), opening (each hashed file) and reading (each byte).
The costs of these steps differ a hundredfold between disks, and throttles raise only one of them.
Therefore each interval's time is divided among the three steps by their costs so far, and a cost is
its share of the time, divided by its number: the update of Richardson and Lucy, whose estimates are
never negative. A scan begins with the costs that the last scan of the same volumes learnt: small
files do not show the cost of a byte, and large files do not show the cost of opening.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hashscan.reporter import Progress

#: Seconds for a file, for hashing a file, and for a byte, on a middling disk: used before the first
#: scan. Only the ratios of these costs matter: the scan's own time scales them.
_USUAL = (10e-6, 100e-6, 1e-9)
#: This share of the time so far is divided by the ratios of the costs at the start. Therefore a
#: cost that the scan has hardly shown yet is scaled like the others.
_PRIOR = 0.03
#: Seconds, and share of the work, after which the estimate of the remaining time is shown.
_AFTER = 0.5
_SHARE = 0.01
#: Lower and upper bound, in seconds, of the costs that are taken from an earlier scan.
_LEAST, _MOST = 1e-15, 1e5
#: Most seconds that one interval counts: during a longer interval the process was stopped, not
#: slow.
_INTERVAL = 10.0


class _Work(NamedTuple):
    """Counts the files and bytes of a scan's work."""

    files: float
    hashed: float
    bytes: float


class Remaining:
    """Estimates a scan's remaining time after each report of the scan's progress."""

    def __init__(
        self,
        costs: Sequence[float] | None = None,
        max_rate: float | None = None,
        max_files: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start at the first report of progress: no file is hashed before.

        Args:
            costs: the learnt costs of an earlier scan of the same volumes.
            max_rate: the most bytes a second that the scan may read.
            max_files: the most files a second that the scan may hash.
            clock: function that returns the time in seconds.
        """
        self._clock = clock
        listed, hashed, byte = _checked(costs)
        # The last scan may have had other bounds, and the cost of a bound is known beforehand.
        hashed = hashed if max_files is None else max(hashed, 1 / max_files)
        byte = byte if max_rate is None else max(byte, 1 / max_rate)
        self._usual = (listed, hashed, byte)
        self._max_rate = max_rate
        self._at: float | None = None
        self._waited = 0.0
        #: Seconds in which the scan worked.
        self.elapsed = 0.0
        self._done = _Work(0, 0, 0)
        self._times = [0.0, 0.0, 0.0]
        self._costs = list(self._usual)

    @property
    def costs(self) -> list[float] | None:
        """Return the learnt seconds for a file, for hashing a file, and for a byte.

        The result is ``None`` if the scan has done too little work.
        """
        return self._costs if any(self._times) and self.elapsed >= _AFTER else None

    def update(self, progress: Progress) -> float | None:
        """Add a report of progress; return the remaining seconds (``None``: unknown)."""
        now = self._clock()
        seconds = 0.0 if self._at is None else min(now - self._at, _INTERVAL)
        self._at = now
        self.elapsed += seconds
        self._learn(
            self._waited + seconds,
            _Work(progress.files, progress.hashed, progress.bytes_hashed),
        )
        rest = _rest(progress)
        if rest is None:
            return None
        left = sum(cost * number for cost, number in zip(self._costs, rest, strict=True))
        if self._max_rate is not None:
            left = max(left, rest.bytes / self._max_rate)
        if (
            not any(self._times)
            or self.elapsed < _AFTER
            or self.elapsed < _SHARE * (self.elapsed + left)
        ):
            return None
        return left

    def _learn(self, seconds: float, done: _Work) -> None:
        new = [max(0.0, now - before) for now, before in zip(done, self._done, strict=True)]
        shares = [cost * number for cost, number in zip(self._costs, new, strict=True)]
        if not any(shares):
            self._waited = seconds
            return
        self._waited = 0.0
        self._done = _Work(*map(max, done, self._done))
        total = sum(shares)
        self._times = [
            spent + seconds * share / total
            for spent, share in zip(self._times, shares, strict=True)
        ]
        usual = sum(cost * number for cost, number in zip(self._usual, self._done, strict=True))
        scale = sum(self._times) / usual
        prior = _PRIOR * sum(self._times)
        self._costs = [
            (spent + prior) / (number + prior / (scale * cost)) if prior else cost
            for spent, number, cost in zip(self._times, self._done, self._usual, strict=True)
        ]


def _checked(costs: Sequence[float] | None) -> tuple[float, ...]:
    """Return the costs; usual costs replace costs by which one cannot divide."""
    if costs is None or len(costs) != len(_USUAL):
        return _USUAL
    if not all(isinstance(cost, float) and _LEAST < cost < _MOST for cost in costs):
        return _USUAL
    return tuple(costs)


def _rest(progress: Progress) -> _Work | None:
    """Return the work that is left in the scan.

    The result is ``None`` if the scan's work is unknown, or if the scan has exceeded the expected
    work.
    """
    expected = progress.expected
    if expected is None or progress.files >= expected.files:
        return None
    files = expected.files - progress.files
    if expected.hashed is None:
        # The estimate assumes that an equal share of the remaining files has changed. The remaining
        # bytes are the known total less the bytes seen; towards the end that is a small difference
        # of large numbers, and the average of the finished files is better.
        done = max(1, progress.files)
        judged = max(1, progress.hashed + progress.unchanged)
        left = expected.bytes * progress.hashed / judged - progress.bytes_hashed
        average = progress.bytes_hashed * files / done
        share = progress.files / expected.files
        size = (1 - share) * max(0.0, left) + share * average
        return _Work(files, files * progress.hashed / done, size)
    hashed = max(0, expected.hashed - progress.hashed)
    size = max(0, expected.bytes - progress.bytes_hashed)
    if hashed > files:  # A newer filter rules some of these files out.
        return _Work(files, files, size * files / hashed)
    return _Work(files, hashed, size)
