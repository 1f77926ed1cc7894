"""Logs the result of a sync of filters, names its faults, and stores its facts for ``status``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hashscan.daemon.background_job import Failure

if TYPE_CHECKING:
    from hashscan.daemon.log import Log
    from hashscan.jobs.daemon_status import LastSync
    from hashscan.known.sync.client import SyncReport

#: Facts about syncs in the status file before the first sync.
NOT_SYNCED: LastSync = {
    "time": None,
    "message": "",
    "failing_since": None,
    "refused": False,
}


def faults_of(report: SyncReport | Failure, log: Log) -> tuple[list[str], float | None]:
    """Return the faults of a sync, and the seconds until the repository allows the next sync."""
    if isinstance(report, Failure):
        return [report.message], None
    faults = []
    for one in report.categories:
        if one.state == "updated":
            way = one.way or "tiers"
            how = f"({way}, {report.fetched:,} bytes fetched)"
            log.write("info", f"filter {one.category}: version {one.version} {how}")
        if one.state in {"updated", "current"}:
            if one.message:
                log.limited("tier", "warning", one.message)
        else:
            faults.append(f"filter {one.category}: {one.trouble}: {one.message}")
    return faults, report.retry_after


def synced(faults: list[str], now: float, before: LastSync) -> LastSync:
    """Return the facts for the status file after a sync with ``faults``.

    ``before`` are the facts after the previous sync.

    ``failing_since`` is the time of the first of several syncs that failed one after the other.
    """
    since = before["failing_since"] or now
    return {
        "time": now,
        "message": "; ".join(faults),
        "failing_since": since if faults else None,
        "refused": False,
    }
