"""Logs the result of a sync, and names its faults."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hashscan.daemon.background import Failure

if TYPE_CHECKING:
    from hashscan.daemon.log import Log
    from hashscan.known.repository.client import SyncReport


def faults_of(report: SyncReport | Failure, log: Log) -> tuple[list[str], float | None]:
    """The faults of a sync, and the seconds after which the repository wants to be asked again."""
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
