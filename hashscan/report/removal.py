"""Computes how fast the items of notices were removed.

The figures are percentiles of hours, and shares of items that were removed within limits.

docs/report.md has the definitions of the percentiles and shares.
"""

from __future__ import annotations

import bisect
import itertools
from array import array
from dataclasses import dataclass

HOUR = 3600.0
#: Limits in hours for the shares: 1 for a short order, 12 for an order, 24 for the code of conduct.
LIMITS = (1, 12, 24)
#: Upper ends in hours of the classes of the times to removal; the last class has no upper end.
CLASSES = (1, 2, 4, 8, 12, 24, 48, 168)


@dataclass(frozen=True, slots=True)
class Removal:
    """Figures of the hours from a notice (sent, or received) to the removal; ``None``: no data.

    Attributes:
        removed: number of removed items.
        median, p90, p95: percentiles of the removed items' hours, by nearest rank.
        within_1h, within_12h, within_24h: share of the items removed within the limit, among the
            items that are removed, or open and older than the limit.
        classes: number of removed items in each class of ``CLASSES``.
    """

    removed: int
    median: float | None
    p90: float | None
    p95: float | None
    within_1h: float | None
    within_12h: float | None
    within_24h: float | None
    classes: tuple[int, ...]


def nearest_rank(ordered: array[float], percent: int) -> float | None:
    """Return the smallest value that ``percent`` % of all values do not exceed, or ``None``."""
    if not ordered:
        return None
    return ordered[-(-len(ordered) * percent // 100) - 1]


def share(part: int, of: int) -> float | None:
    """Return ``part`` divided by ``whole``; ``None`` if ``whole`` is 0."""
    return part / of if of else None


class RemovalTally:
    """Adds up items of notices one by one; keeps eight bytes for each removed item."""

    def __init__(self) -> None:
        """Start without items of notices."""
        self._seconds = array("d")
        self._older = dict.fromkeys(LIMITS, 0)

    def add_removed(self, seconds: float) -> None:
        """Add an item that was removed after ``seconds``; a negative number counts as 0."""
        self._seconds.append(max(0.0, seconds))

    def add_open(self, seconds: float) -> None:
        """Add an open item; ``seconds``: time since its notice."""
        for limit in LIMITS:
            self._older[limit] += seconds > limit * HOUR

    def result(self) -> Removal:
        """Return the figures of the items that were added."""
        ordered = array("d", sorted(self._seconds))

        def within(limit: int) -> float | None:
            removed = bisect.bisect_right(ordered, limit * HOUR)
            return share(removed, len(ordered) + self._older[limit])

        def hours(percent: int) -> float | None:
            seconds = nearest_rank(ordered, percent)
            return None if seconds is None else seconds / HOUR

        ends = [0, *(bisect.bisect_right(ordered, end * HOUR) for end in CLASSES), len(ordered)]
        return Removal(
            removed=len(ordered),
            median=hours(50),
            p90=hours(90),
            p95=hours(95),
            within_1h=within(1),
            within_12h=within(12),
            within_24h=within(24),
            classes=tuple(after - before for before, after in itertools.pairwise(ends)),
        )
