"""Makes the JSON line of ``hashscan status``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hashscan.cli.status_receivers import receiver_json
from hashscan.text import rfc3339

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from hashscan.catalog.status_overview import LastScan
    from hashscan.jobs.notices.deadlines import Deadlines
    from hashscan.jobs.status import FilterStatus, Status
    from hashscan.jobs.status_complaints import Complaint
    from hashscan.quarantine.hold_types import Hold
    from hashscan.service.intake.running import Running


def filter_json(bloom_filter: FilterStatus) -> dict[str, object]:
    """Return a filter's facts as a JSON object."""
    return {
        "category": bloom_filter.name,
        "usable": bloom_filter.trouble is None,
        "version": bloom_filter.version,
        "digests": bloom_filter.digests,
        "created": bloom_filter.created,
        "verified": None if bloom_filter.verified is None else rfc3339(bloom_filter.verified),
        "age_seconds": None if bloom_filter.age is None else round(bloom_filter.age, 1),
        "path": bloom_filter.path,
        "tiers": bloom_filter.tiers,
        "message": bloom_filter.trouble or "; ".join(bloom_filter.tiers_unused),
    }


def _hold(hold: Hold) -> dict[str, Any]:
    return {"id": hold.id, "reason": hold.reason, "files": hold.files, "owners": hold.owners}


def _scan_json(scan: LastScan) -> dict[str, object]:
    return {
        "started": rfc3339(scan.started),
        "ended": None if scan.ended is None else rfc3339(scan.ended),
        "files": scan.files,
        "interrupted": scan.interrupted,
        "whole": scan.is_whole,
        "volumes": [os.fsdecode(volume) for volume in scan.volumes],
        "kind": scan.kind,
        "matches": scan.summary.get("matches"),
        "problems": scan.summary.get("problems"),
    }


#: The keys of the daemon's status file whose values are times, in seconds since the epoch.
_TIMES = {
    "counting_since",
    "failing_since",
    "starting",
    "since",
    "started",
    "time",
    "next",
    "next_scan",
    "oldest",
}


def _dated(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts of the daemon's status file, with each time in the form of RFC 3339."""
    found: dict[str, Any] = {}
    for name, value in facts.items():
        if isinstance(value, dict):
            found[name] = _dated(value)
        elif isinstance(value, list):
            found[name] = [_dated(one) if isinstance(one, dict) else one for one in value]
        elif name in _TIMES and isinstance(value, int | float):
            found[name] = rfc3339(value)
        else:
            found[name] = value
    return found


def _deadlines_json(status: Deadlines) -> dict[str, object]:
    next_deadline = None if status.next_deadline is None else rfc3339(status.next_deadline)
    return {
        "open": status.open,
        "items": status.items,
        "due_soon": status.due_soon,
        "overdue": status.overdue,
        "next_deadline": next_deadline,
        "unread": status.unread,
    }


def _intake_json(status: Running) -> dict[str, object]:
    return {
        "running": status.process is not None,
        "process": status.process,
        "address": status.address or None,
        "since": None if status.since is None else rfc3339(status.since),
        "tokens": status.tokens,
    }


def status_json(status: Status, faults: Sequence[Complaint]) -> str:
    """Return the JSON object that ``status --json`` prints."""
    from hashscan.output.jsonl import line  # noqa: PLC0415 - heavy

    catalog = status.catalog
    return line(
        "status",
        well=not faults,
        complaints=[
            {"code": int(one.code), "reason": one.reason, "message": one.message} for one in faults
        ],
        state=status.state,
        running=status.running,
        source=status.source,
        filters=[filter_json(one) for one in status.filters],
        scan=_scan_json(catalog.scan) if catalog and catalog.scan else None,
        last_whole_scan=_scan_json(catalog.whole) if catalog and catalog.whole else None,
        last_whole_scans={
            # The object of a volume leaves out the volumes of its last scan: a list of all volumes
            # in each object would be quadratic.
            os.fsdecode(path): {
                name: value for name, value in _scan_json(one).items() if name != "volumes"
            }
            for path, one in (catalog.by_volume.items() if catalog else ())
        },
        daemon=None
        if status.daemon is None
        else {"running": status.alive, **_dated(status.daemon)},
        uncovered=[one.message for one in status.uncovered],
        pending=catalog.pending if catalog else 0,
        unmoved=status.unmoved[0] if status.unmoved else 0,
        held=sum(one.files for one in status.holds),
        holds=[_hold(one) for one in status.holds],
        reported=status.reported,
        reports_only=bool(status.reports_only),
        moves_named=status.moves_named,
        problems=catalog.problems if catalog else 0,
        quarantine=status.quarantine,
        notices=None if status.deadlines is None else _deadlines_json(status.deadlines),
        intake=None if status.intake is None else _intake_json(status.intake),
        notify=[receiver_json(one) for one in status.receivers],
        retention=status.retention,
        trouble=[one.message for one in status.trouble],
    )
