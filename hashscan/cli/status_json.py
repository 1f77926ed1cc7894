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


def filter_json(one: FilterStatus) -> dict[str, object]:
    """Return a filter's facts for JSON."""
    return {
        "category": one.name,
        "usable": one.trouble is None,
        "version": one.version,
        "digests": one.digests,
        "created": one.created,
        "verified": None if one.verified is None else rfc3339(one.verified),
        "age_seconds": None if one.age is None else round(one.age, 1),
        "path": one.path,
        "tiers": one.tiers,
        "message": one.trouble or "; ".join(one.tiers_unused),
    }


def _hold(one: Hold) -> dict[str, Any]:
    return {"id": one.id, "reason": one.reason, "files": one.files, "owners": one.owners}


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


def _deadlines_json(found: Deadlines) -> dict[str, object]:
    next_deadline = None if found.next_deadline is None else rfc3339(found.next_deadline)
    return {
        "open": found.open,
        "items": found.items,
        "due_soon": found.due_soon,
        "overdue": found.overdue,
        "next_deadline": next_deadline,
        "unread": found.unread,
    }


def _intake_json(found: Running) -> dict[str, object]:
    return {
        "running": found.process is not None,
        "process": found.process,
        "address": found.address or None,
        "since": None if found.since is None else rfc3339(found.since),
        "tokens": found.tokens,
    }


def status_json(found: Status, wrong: Sequence[Complaint]) -> str:
    """Return the object that ``status --json`` prints."""
    from hashscan.output.jsonl import line  # noqa: PLC0415 - heavy

    catalog = found.catalog
    return line(
        "status",
        well=not wrong,
        complaints=[
            {"code": int(one.code), "reason": one.reason, "message": one.message} for one in wrong
        ],
        state=found.state,
        running=found.running,
        source=found.source,
        filters=[filter_json(one) for one in found.filters],
        scan=_scan_json(catalog.scan) if catalog and catalog.scan else None,
        last_whole_scan=_scan_json(catalog.whole) if catalog and catalog.whole else None,
        last_whole_scans={
            # An entry leaves out the scan's volumes: a list of all volumes in each would be
            # quadratic.
            os.fsdecode(path): {
                name: value for name, value in _scan_json(one).items() if name != "volumes"
            }
            for path, one in (catalog.by_volume.items() if catalog else ())
        },
        daemon=None if found.daemon is None else {"running": found.alive, **_dated(found.daemon)},
        uncovered=[one.message for one in found.uncovered],
        pending=catalog.pending if catalog else 0,
        unmoved=found.unmoved[0] if found.unmoved else 0,
        held=sum(one.files for one in found.holds),
        holds=[_hold(one) for one in found.holds],
        reported=found.reported,
        reports_only=bool(found.reports_only),
        moves_named=found.moves_named,
        problems=catalog.problems if catalog else 0,
        quarantine=found.quarantine,
        notices=None if found.deadlines is None else _deadlines_json(found.deadlines),
        intake=None if found.intake is None else _intake_json(found.intake),
        notify=[receiver_json(one) for one in found.receivers],
        retention=found.retention,
        trouble=[one.message for one in found.trouble],
    )
