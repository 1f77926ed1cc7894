"""``hashscan status``: one screen that says whether it works."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import click

from hashscan.cli.common import json_option, open_configuration, state_option
from hashscan.errors import ExitCode
from hashscan.text import human_age, rfc3339, shown

if TYPE_CHECKING:
    from hashscan.agent.status import FilterStatus, Status
    from hashscan.catalog.overview import LastScan
    from hashscan.cli import Options


@click.command("status")
@state_option
@json_option
@click.pass_obj
def command(options: Options, state: str | None, as_json: bool) -> ExitCode:
    """One screen: filters and their age, the last scan, what waits, what is in quarantine.

    Nothing is changed or fetched. Exit code 5: a scan would not run, for a filter is missing,
    expired or damaged. 70: a part of the state cannot be read.
    """
    from hashscan.agent.status import status_of  # noqa: PLC0415 - heavy

    found = status_of(open_configuration(options, state, check_files=False))
    click.echo(_as_json(found) if as_json else _as_text(found))
    if not found.filters_usable:
        return ExitCode.FILTER
    return ExitCode.INTERNAL if found.trouble else ExitCode.NOTHING_FOUND


def _as_text(found: Status) -> str:
    lines = ["needs somebody: see below" if _needs(found) else "all is well"]
    running = f", process {found.running} scans" if found.running else ""
    lines.append(f"  state       {shown(found.state)}{running}")
    lines.append(f"  filters     {shown(found.source)}")
    lines += [f"              {filter_line(one)}" for one in found.filters]
    lines.append(f"  last scan   {_scan_line(found)}")
    catalog = found.catalog
    if catalog is not None and catalog.pending:
        since = human_age(time.time() - (catalog.oldest or time.time()))
        lines.append(
            f"  pending     {catalog.pending:,} candidates without a verdict, the oldest for "
            f"{since}; the next scan asks again"
        )
    if catalog is not None and catalog.problems:
        lines.append(
            f"  problems    {catalog.problems:,} files or directories could not be read; "
            "'hashscan scan' names them"
        )
    kept = ", ".join(f"{count:,} {name}" for name, count in sorted(found.quarantine.items()))
    lines.append(f"  quarantine  {kept or 'empty'}")
    lines += [f"  trouble     {one}" for one in found.trouble]
    return "\n".join(lines)


def _needs(found: Status) -> bool:
    return bool(found.trouble or not found.filters_usable or found.quarantine.get("damaged"))


def filter_line(one: FilterStatus) -> str:
    """One filter in one line."""
    if one.trouble is not None:
        return f"{shown(one.name)}: CANNOT BE USED: {one.trouble}"
    assert one.age is not None
    since = "made" if one.verified is None else "verified"
    return (
        f"{shown(one.name)}: {one.digests:,} digests, {since} {human_age(one.age)} ago, "
        f"version {one.version}"
    )


def filter_json(one: FilterStatus) -> dict[str, object]:
    """One filter for JSON."""
    return {
        "category": one.name,
        "usable": one.trouble is None,
        "version": one.version,
        "digests": one.digests,
        "created": one.created,
        "verified": None if one.verified is None else rfc3339(one.verified),
        "age_seconds": None if one.age is None else round(one.age, 1),
        "path": one.path,
        "message": one.trouble or "",
    }


def _scan_line(found: Status) -> str:
    scan = found.catalog.scan if found.catalog else None
    if scan is None:
        return "none yet"
    where = ", ".join(shown(volume) for volume in scan.volumes)
    began = f"{human_age(time.time() - scan.started)} ago"
    if scan.ended is None:
        how = "still running" if found.running else "killed before its end; the next goes on"
        return f"began {began}, {how}: {where}"
    how = "interrupted after" if scan.interrupted else "whole,"
    return f"began {began}, {how} {scan.files or 0:,} files: {where}"


def _scan_json(scan: LastScan) -> dict[str, object]:
    return {
        "started": rfc3339(scan.started),
        "ended": None if scan.ended is None else rfc3339(scan.ended),
        "files": scan.files,
        "interrupted": scan.interrupted,
        "volumes": [os.fsdecode(volume) for volume in scan.volumes],
    }


def _as_json(found: Status) -> str:
    from hashscan.report.jsonl import line  # noqa: PLC0415

    catalog = found.catalog
    return line(
        "status",
        well=not _needs(found),
        state=found.state,
        running=found.running,
        source=found.source,
        filters=[filter_json(one) for one in found.filters],
        scan=_scan_json(catalog.scan) if catalog and catalog.scan else None,
        pending=catalog.pending if catalog else 0,
        problems=catalog.problems if catalog else 0,
        quarantine=found.quarantine,
        trouble=list(found.trouble),
    )
