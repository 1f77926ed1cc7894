"""``hashscan status``: shows on one screen whether hashscan works."""

from __future__ import annotations

import os
import time
from collections import Counter
from typing import TYPE_CHECKING

import click

from hashscan.cli.common import checked_option, json_option, open_configuration, state_option
from hashscan.cli.status_json import status_json
from hashscan.cli.status_receivers import receiver_lines
from hashscan.config.explain import retention
from hashscan.errors import ConfigError, ExitCode, HashscanError
from hashscan.output.wrapping import for_terminal
from hashscan.quarantine.brakes import summary_of
from hashscan.text import counted, human_age, local_time, names_of, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hashscan.catalog.status_overview import LastScan
    from hashscan.cli import Options
    from hashscan.jobs.daemon_status import VolumeStatus
    from hashscan.jobs.status import FilterStatus, Status
    from hashscan.jobs.status_complaints import Complaint

#: Largest number of lines of one kind on the screen.
_MOST = 5


@click.command("status")
@state_option
@json_option
@click.option(
    "--nagios",
    is_flag=True,
    help="Work as a monitoring plug-in: one line with performance data, exit codes 0 to 3; not with"
    " --json.",
)
@click.option(
    "--textfile",
    metavar="FILE",
    type=click.Path(),
    help="Print nothing, and write metrics to FILE for node_exporter's textfile collector; the name"
    " of FILE ends in .prom; not with --json or --nagios.",
)
@click.pass_obj
def command(
    options: Options, state: str | None, as_json: bool, nagios: bool, textfile: str | None
) -> ExitCode:
    """Show on one screen: filters and their age, the last scan, pending candidates, the quarantine.

    If a daemon runs or ran, the screen also shows how each volume is watched, how many changes
    wait, and the times of the next scan and sync.

    The first line names the most urgent fault. The command changes and fetches nothing. The exit
    code is for a monitoring system; if several codes fit, the first code of this list counts:

    \b
    5   a scan would not run:
        - a filter or a list is missing, expired or damaged
        - another file that the configuration names cannot be used
    70  a part of hashscan does not work:
        - the daemon died, hangs, or refused its last reload
        - a volume is not there, or does not answer
        - a part of the state cannot be read
        - the newest line of the audit log is missing or changed
        - the disk of the state or the quarantine is full or read-only
        - the Maildir cannot be read
        - a limit of the machine stops the daemon
    1   a person must act now:
        - a notice is overdue
        - a match could not be moved
        - a brake holds matches
        - matches are only reported (quarantine.action, service.test)
    6   verdicts or new filters are missing:
        - the service refuses the password
        - candidates have waited for a verdict for more than 15 minutes
        - syncs have failed for an hour
        - a new filter or list was refused
    2   the configuration cannot be read
    3   a person must act soon:
        - a notice is due soon, or waits for an approval
        - a mail or another input is not understood as a notice
        - mails, or notices over HTTP, are not taken
        - notifications are not sent, or were refused
        - files in quarantine are withdrawn, or a withdrawal is held
        - a volume is not watched, or not all of it
        - the last whole scan is too old, or there was no whole scan
        - the last scan was killed
        - many files cannot be read
        - the running daemon has an older configuration
        - the daemon was stopped, or no program reads the output of daemon --json
        - contents are kept because the clock was set
    0   all is well

    With --nagios:

    \b
    0   OK
    1   WARNING: without --nagios the exit code would be 6 or 3
    2   CRITICAL: without --nagios the exit code would be 5, 70 or 1
    3   UNKNOWN: the configuration or the state cannot be read, or the
        command line is wrong

    With --textfile:

    \b
    0   the file was written, even if its metrics report faults
    2   the file could not be written, or the configuration cannot be read;
        if the file was written, its metrics report the configuration
    """  # noqa: D301 - click knows the character that \b stands for
    from hashscan.jobs.status import status_of  # noqa: PLC0415
    from hashscan.jobs.status_complaints import complaints  # noqa: PLC0415 - heavy

    if nagios and as_json:
        raise click.UsageError(
            "--nagios and --json exclude each other: --nagios prints lines for a monitoring system,"
            " --json one object"
        )
    if textfile is not None and (nagios or as_json):
        raise click.UsageError("--textfile prints nothing: use it without --json and --nagios")
    if textfile is not None:
        return _as_textfile(options, state, textfile)
    if nagios:
        return _as_plugin(options, state)
    status = status_of(open_configuration(options, state, check_files=False))
    faults = complaints(status)
    text = status_json(status, faults) if as_json else for_terminal(_as_text(status, faults), 14)
    click.echo(text)
    return faults[0].code if faults else ExitCode.NOTHING_FOUND


def _as_plugin(options: Options, state: str | None) -> ExitCode:
    from hashscan.cli.status_nagios import plugin_result, unknown  # noqa: PLC0415
    from hashscan.jobs.status import status_of  # noqa: PLC0415 - heavy

    try:
        code, text = plugin_result(status_of(open_configuration(options, state, check_files=False)))
    except (HashscanError, OSError) as error:
        code, text = unknown(str(error))
    click.echo(text)
    return ExitCode(code)


def _as_textfile(options: Options, state: str | None, file: str) -> ExitCode:
    from hashscan.config.metrics import prom_file  # noqa: PLC0415
    from hashscan.metrics.collect import (  # noqa: PLC0415 - heavy
        collect,
        page,
        page_without_configuration,
        write_textfile,
    )

    path = checked_option("--textfile", os.path.abspath(file), prom_file)
    try:
        settings = open_configuration(options, state, check_files=False)
    except ConfigError:
        write_textfile(path, page_without_configuration())
        raise
    write_textfile(path, page(collect(settings)))
    return ExitCode.NOTHING_FOUND


def _as_text(status: Status, faults: Sequence[Complaint]) -> str:
    first = "all is well"
    if faults:
        more = f" (and {len(faults) - 1:,} more, see below)" if len(faults) > 1 else ""
        first = f"needs somebody: {faults[0].message}{more}"
    lines = [first]
    running = f", process {status.running} scans" if status.running and not status.alive else ""
    lines.append(f"  state       {shown(status.state)}{running}")
    lines += _daemon_lines(status)
    lines.append(f"  filters     {shown(status.source)}")
    lines += [f"              {filter_line(one)}" for one in status.filters]
    if status.alive and status.daemon is not None and not status.filters:
        lines += [
            f"              {counted(one['digests'], 'digest')} in force, version {one['version']}"
            for one in status.daemon.get("filters", [])
        ]
    lines.append(f"  last scan   {_scan_line(status)}")
    catalog = status.catalog
    if catalog and catalog.whole is not None and catalog.whole != catalog.scan:
        lines.append(f"  last whole  {_whole_line(catalog.whole)}")
    if catalog is not None and catalog.pending:
        since = human_age(time.time() - (catalog.oldest or time.time()))
        lines.append(
            f"  pending     {catalog.pending:,} candidates without a verdict, the oldest for "
            f"{since}; {_why_pending(status)}"
        )
    if status.unmoved is not None:
        count, path, why = status.unmoved
        example = why if why.startswith(shown(path)) else f"{shown(path)}: {why}"
        lines.append(
            f"  in place    {counted(count, 'match', 'matches')} could not be moved, e.g. "
            f"{example}{_when_moved(status)}"
        )
    lines += [f"  held        {summary_of(one)}" for one in status.holds]
    if catalog is not None and catalog.problems:
        lines.append(
            f"  problems    {catalog.problems:,} files or directories could not be read; "
            "'hashscan scan' names them"
        )
    kept = ", ".join(f"{count:,} {name}" for name, count in sorted(status.quarantine.items()))
    lines.append(f"  quarantine  {kept or 'empty'}")
    lines.append(f"  retention   {retention(status.retention)}")
    named = "; files that notices name are moved (notices.action)" if status.moves_named else ""
    if status.reported:
        lines.append(
            f"  reported    {counted(status.reported, 'match', 'matches')} not moved, because "
            f"{status.reports_only}; 'hashscan history' names some of them, "
            f"'hashscan scan' all{named}"
        )
    elif status.reports_only:
        lines.append(
            f"  reported    none; matches are not moved, because {status.reports_only}{named}"
        )
    lines += _notice_lines(status)
    lines += receiver_lines(status.receivers, _MOST, alive=status.alive)
    lines += _first_lines("see to", [one.message for one in status.uncovered])
    if status.stands_still:
        lines.append(
            f"  trouble     nothing is scanned: {status.stands_still} (the daemon tries again "
            "every half minute)"
        )
    lines += _first_lines("trouble", [one.message for one in status.trouble])
    return "\n".join(lines)


def _notice_lines(status: Status) -> list[str]:
    lines = []
    deadlines = status.deadlines
    if deadlines is not None:
        following = ""
        if deadlines.next_deadline is not None and deadlines.next_deadline >= time.time():
            following = f"; next deadline {local_time(deadlines.next_deadline)}"
        lines.append(
            f"  notices     {deadlines.open:,} open with {counted(deadlines.items, 'item')}: "
            f"{deadlines.overdue:,} overdue, {deadlines.due_soon:,} due soon{following}"
        )
    intake = status.intake
    if intake is not None and intake.process is not None:
        since = "" if intake.since is None else f" for {human_age(time.time() - intake.since)}"
        where = f", listens on {shown(intake.address)}" if intake.address else ""
        lines.append(
            f"  intake      runs{since}, process {intake.process}{where}; "
            f"{counted(intake.tokens, 'token')}"
        )
    elif intake is not None:
        lines.append(f"  intake      not running; {counted(intake.tokens, 'token')}")
    mail = status.mail
    if mail is not None:
        read = "not read yet" if mail["time"] is None else f"read {_ago(mail['time'])}"
        left = f", {mail['left']:,} to be read" if mail["left"] else ""
        taken = counted(mail["stored"], "notice")
        lines.append(
            f"  mail        {shown(mail['maildir'])}: {read}, {taken} taken"
            f"{left}, {mail['waiting']:,} not understood"
        )
    return lines


def _ago(moment: float) -> str:
    return f"{human_age(time.time() - moment)} ago"


def _first_lines(name: str, messages: Sequence[str]) -> list[str]:
    """Return lines with the first messages and the number of the others, to fit on one screen."""
    lines = [f"  {name:<12}{one}" for one in messages[:_MOST]]
    if len(messages) > _MOST:
        lines.append(f"  {name:<12}and {len(messages) - _MOST:,} more: 'hashscan status --json'")
    return lines


def _daemon_lines(status: Status) -> list[str]:
    daemon = status.daemon
    if daemon is None:
        return []
    if not status.alive:
        return ["  daemon      not running"]
    since = human_age(time.time() - float(daemon["started"]))
    lines = [f"  daemon      runs for {since}, process {daemon['pid']}"]
    lines += _volume_lines(status, daemon.get("volumes", []))
    if "events" in daemon:
        lines.append(
            f"  changes     {daemon['events']:,} seen, {daemon['backlog']:,} wait, "
            f"{daemon['hashed']:,} files hashed ({daemon['rate']:.1f}/s now), "
            f"{daemon['lost']:,} losses made good by scans"
        )
        lines.append(
            f"  found       {daemon['matches']:,} matches in "
            f"{human_age(time.time() - float(daemon['counting_since']))}: "
            f"{daemon['quarantined']:,} moved to quarantine, {daemon['held']:,} held, "
            f"{daemon['allowed']:,} allowed"
        )
    scan = daemon.get("scan")
    if scan is not None:
        lines.append(
            f"  scan now    {scan['kind']}: {scan['fraction']:.0%}, {scan['files']:,} files"
        )
    sync = daemon.get("sync")
    if sync and sync.get("message"):
        began = sync.get("failing_since")
        failing = "" if began is None else f"has failed for {human_age(time.time() - began)}: "
        lines.append(f"  sync        {failing}{sync['message']}")
    following = [
        f"{name} {local_time(at)}"
        for name, at in (
            ("scan", daemon.get("next_scan")),
            ("sync", sync.get("next") if sync else None),
        )
        if at is not None
    ]
    if following:
        lines.append(f"  next        {', '.join(following)}")
    return lines


def _volume_lines(status: Status, volumes: Sequence[VolumeStatus]) -> list[str]:
    """Return a line for each volume; of many volumes: counts, and the first with a fault."""
    if len(volumes) <= _MOST:
        return [f"  volume      {_volume_line(status, one)}" for one in volumes]
    states = Counter(_state_of(one) for one in volumes)
    counts = ", ".join(f"{count:,} {state}" for state, count in states.most_common())
    ill = [one for one in volumes if one.get("away") or one.get("unwatched")]
    lines = [f"  volumes     {len(volumes):,}: {counts}"]
    lines += [f"  volume      {_volume_line(status, one)}" for one in ill[:_MOST]]
    return lines


def _state_of(volume: VolumeStatus) -> str:
    return "not there" if volume.get("away") else str(volume["backend"])


def _volume_line(status: Status, volume: VolumeStatus) -> str:
    text = _state_of(volume)
    if not volume.get("away") and volume["directories"]:
        text += f", {counted(volume['directories'], 'directory', 'directories')}"
    if volume.get("blind"):
        text += f"; {volume['blind']}: scans find those changes"
    last_whole = (
        status.catalog.by_volume.get(os.fsencode(volume["path"])) if status.catalog else None
    )
    if last_whole is not None:
        ended = human_age(time.time() - (last_whole.ended or last_whole.started))
        text += f"; last whole scan {ended} ago ({last_whole.kind})"
    return f"{shown(volume['path'])}: {text}"


def _when_moved(status: Status) -> str:
    if not status.alive or status.daemon is None:
        return ""
    at = status.daemon.get("next_move")
    return "" if at is None else f"; tried again in {human_age(at)}"


def _why_pending(status: Status) -> str:
    if not status.alive or status.daemon is None:
        return "the next scan asks again"
    pending = status.daemon.get("pending")
    text = (pending and pending.get("why")) or "they are being asked for"
    next_try = pending.get("next_try") if pending else None
    if next_try is not None:
        text += f"; asked again in {human_age(next_try)}"
    return text


def _whole_line(scan: LastScan) -> str:
    text = f"{scan.kind}, ended {human_age(time.time() - (scan.ended or scan.started))} ago"
    if scan.summary:
        text += (
            f": {scan.files or 0:,} files, {scan.summary.get('matches', 0):,} matches, "
            f"{scan.summary.get('problems', 0):,} problems"
        )
    return text


def filter_line(bloom_filter: FilterStatus) -> str:
    """Return one line about the state of a filter."""
    if bloom_filter.trouble is not None:
        return f"{shown(bloom_filter.name)}: CANNOT BE USED: {bloom_filter.trouble}"
    assert bloom_filter.age is not None
    since = "made" if bloom_filter.verified is None else "verified"
    return (
        f"{shown(bloom_filter.name)}: {bloom_filter.digests:,} digests, {since} "
        f"{human_age(bloom_filter.age)} ago, version {bloom_filter.version}"
        + (f", tiers: {', '.join(bloom_filter.tiers)}" if bloom_filter.tiers else "")
        + "".join(f"; {why}" for why in bloom_filter.tiers_unused)
    )


def _scan_line(status: Status) -> str:
    scan = status.catalog.scan if status.catalog else None
    if scan is None:
        return "none yet"
    where = names_of(scan.volumes)
    began = f"{human_age(time.time() - scan.started)} ago"
    if scan.ended is None:
        ended_how = "still running" if status.running else "killed before its end; the next goes on"
        return f"began {began}, {ended_how}: {where}"
    ended_how = (
        "whole," if scan.is_whole else "interrupted after" if scan.interrupted else "not whole,"
    )
    results = ""
    if scan.summary:
        results = (
            f", {scan.summary.get('matches', 0):,} matches, "
            f"{scan.summary.get('problems', 0):,} problems"
        )
    kind = "" if scan.kind == "scan" else f" ({scan.kind})"
    return f"began {began}{kind}, {ended_how} {scan.files or 0:,} files{results}: {where}"
