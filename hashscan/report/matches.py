"""Computes the figures of matches, from the quarantine's records and the catalog."""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from hashscan.quarantine.records import RecordState
from hashscan.report.removal import nearest_rank

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hashscan.catalog.period import InPlace
    from hashscan.quarantine.manage import Listed
    from hashscan.quarantine.records import Record

#: States of the records of matches: all states but ``UNDONE`` and ``DISPLACED``.
_MATCHES = frozenset(
    {
        RecordState.COPIED,
        RecordState.QUARANTINED,
        RecordState.RESTORING,
        RecordState.RESTORED,
        RecordState.PURGING,
        RecordState.PURGED,
    }
)
UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class MatchFigures:
    """Figures of the matches of a report's period.

    Attributes:
        quarantined: number of files that were found in the period and moved to quarantine,
            including restored files.
        in_place: number of files found in the period and still in their place.
        in_place_before: number of files found before the period and still in their place.
        by_authority: number of matches by the reason for their removal, ``list`` or ``notice``.
        by_detection: number of matches found by ``watch``, ``scan``, ``notice`` or ``unknown``.
        by_category: number of matches by category.
        by_volume: number of matches by the volume's name in the report.
        restored, purged: number of files that were restored or purged in the period.
        damaged: number of records of the quarantine that cannot be read.
        seconds_median, seconds_p90, seconds_p95: percentiles of the seconds from detection to
            quarantine, by nearest rank.
    """

    quarantined: int
    in_place: int
    in_place_before: int
    by_authority: dict[str, int]
    by_detection: dict[str, int]
    by_category: dict[str, int]
    by_volume: dict[str, int]
    restored: int
    purged: int
    damaged: int
    seconds_median: float | None
    seconds_p90: float | None
    seconds_p95: float | None

    @property
    def matches(self) -> int:
        """Return the number of matches found in the period."""
        return self.quarantined + self.in_place


def _seconds(text: str) -> float | None:
    """Return an RFC 3339 time in seconds since the epoch; ``None``: the text is no such time."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        return None


def _became(record: Record, state: RecordState) -> float | None:
    """Return when a record first had a state, in seconds since the epoch; ``None``: never."""
    for step, when in record.history:
        if step == state.value:
            return _seconds(when)
    return None


def match_figures(
    listed: Iterable[Listed],
    in_place: Iterable[InPlace],
    since: float,
    until: float,
    *,
    name_of: Callable[[bytes], str],
) -> MatchFigures:
    """Return the figures of matches that were detected from ``since`` to before ``until``.

    ``name_of`` returns the name of a volume in the report.
    """
    by: dict[str, Counter[str]] = {
        name: Counter() for name in ("authority", "detection", "category", "volume")
    }
    waits = array("d")
    counts: Counter[str] = Counter()

    def in_period(when: float | None) -> bool:
        return when is not None and since <= when < until

    def count(number: int, authority: str, detection: str, category: str, volume: bytes) -> None:
        by["authority"][authority] += number
        by["detection"][detection or UNKNOWN] += number
        by["category"][category or UNKNOWN] += number
        by["volume"][name_of(volume)] += number

    for one in listed:
        record = one.record
        if record is None:
            counts["damaged"] += 1
            continue
        if record.state not in _MATCHES:
            continue
        for state in (RecordState.RESTORED, RecordState.PURGED):
            counts[state] += any(
                step == state.value and in_period(_seconds(when)) for step, when in record.history
            )
        detected = _seconds(record.detected)
        if not in_period(detected):
            continue
        counts["quarantined"] += 1
        authority = record.authority
        count(
            1,
            "list" if authority is None else authority.kind,
            record.found_by or ("" if authority is None else "notice"),
            record.category,
            record.origin.volume,
        )
        isolated = _became(record, RecordState.QUARANTINED)
        if detected is not None and isolated is not None:
            waits.append(max(0.0, isolated - detected))
    for match in in_place:
        if match.found_before:
            counts["before"] += match.matches
        else:
            counts["in_place"] += match.matches
            count(match.matches, "list", match.found_by, match.category, match.volume)
    ordered = array("d", sorted(waits))
    return MatchFigures(
        quarantined=counts["quarantined"],
        in_place=counts["in_place"],
        in_place_before=counts["before"],
        by_authority=dict(by["authority"].most_common()),
        by_detection=dict(by["detection"].most_common()),
        by_category=dict(by["category"].most_common()),
        by_volume=dict(by["volume"].most_common()),
        restored=counts[RecordState.RESTORED],
        purged=counts[RecordState.PURGED],
        damaged=counts["damaged"],
        seconds_median=nearest_rank(ordered, 50),
        seconds_p90=nearest_rank(ordered, 90),
        seconds_p95=nearest_rank(ordered, 95),
    )
