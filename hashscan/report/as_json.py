"""Prints the report as one JSON line, ``event: report``."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from hashscan.catalog.period import ADDED
from hashscan.notices.notice import ItemState
from hashscan.output.jsonl import line
from hashscan.report.tables import class_names
from hashscan.text import rfc3339

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hashscan.report.figures import Report
    from hashscan.report.notices import Sender
    from hashscan.report.removal import Removal


def as_json(report: Report) -> str:
    """Return the report as one line; a figure without data is null."""
    notices, matches, scans = report.notices, report.matches, report.scans
    others = notices.others
    return line(
        "report",
        since=rfc3339(report.since),
        until=rfc3339(report.until),
        made=rfc3339(report.made),
        host=report.host,
        notices=notices.notices,
        notices_open=notices.open_notices,
        items=notices.items,
        states=_states(notices.states),
        **_removal(notices.from_sent),
        within_deadline=notices.within_deadline,
        from_received=_removal(notices.from_received),
        without_sent=notices.without_sent,
        hours=dict(zip(class_names(), notices.from_sent.classes, strict=True)),
        months=[
            {
                "month": one.month,
                "notices": one.notices,
                "items": one.items,
                **_removal(one.from_sent),
                "from_received": _removal(one.from_received),
            }
            for one in notices.months
        ],
        senders=[_sender(one) for one in notices.senders],
        other_senders=None
        if others is None
        else {**_sender(others), "senders": notices.other_senders},
        open=notices.open,
        overdue=notices.overdue,
        open_before=notices.open_before,
        overdue_before=notices.overdue_before,
        repeats=notices.repeats,
        reopened=notices.reopened,
        not_here=notices.not_here,
        open_items=[
            {**asdict(one), "deadline": rfc3339(one.deadline)} for one in notices.open_items
        ],
        matches=matches.matches,
        quarantined=matches.quarantined,
        in_place=matches.in_place,
        in_place_before=matches.in_place_before,
        by_authority=matches.by_authority,
        by_detection=matches.by_detection,
        by_category=matches.by_category,
        by_volume=matches.by_volume,
        seconds_to_quarantine={
            "median": matches.seconds_median,
            "p90": matches.seconds_p90,
            "p95": matches.seconds_p95,
        },
        restored=matches.restored,
        purged=matches.purged,
        held=scans.last.get("held"),
        allowed=scans.last.get("allowed"),
        false_positives=scans.last.get("false_positives"),
        scans={
            "scans": scans.scans,
            "whole": scans.whole,
            "files": scans.files,
            **{name: scans.added.get(name) for name in ADDED},
            "last": {name: value for name, value in scans.last.items() if name != "costs"} or None,
        },
        watched=report.watched,
        wholly_scanned=report.wholly_scanned,
        oldest_whole_scan_seconds=report.oldest_whole,
        volumes=[
            {
                "volume": one.name,
                "watched": one.watched,
                "whole_scan": None if one.whole is None else rfc3339(one.whole),
            }
            for one in report.volumes
        ],
        filters=[
            {
                "filter": one.name,
                "version": one.version,
                "digests": one.digests,
                "age_seconds": one.age,
                "usable": one.usable,
            }
            for one in report.filters
        ],
        problems=scans.problems,
        damaged_records=matches.damaged,
        unread=report.unread,
    )


def _removal(removal: Removal) -> dict[str, Any]:
    return {
        "removed": removal.removed,
        "within_1h": removal.within_1h,
        "within_12h": removal.within_12h,
        "within_24h": removal.within_24h,
        "hours_median": removal.median,
        "hours_p90": removal.p90,
        "hours_p95": removal.p95,
    }


def _states(states: Mapping[ItemState, int]) -> dict[str, int]:
    return {state.value: states.get(state, 0) for state in ItemState}


def _sender(sender: Sender) -> dict[str, Any]:
    return {
        "sender": sender.name,
        "notices": sender.notices,
        "items": sender.items,
        "states": _states(sender.states),
    }
