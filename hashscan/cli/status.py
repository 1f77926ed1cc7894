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

#: Most lines of one kind on the screen.
_MOST = 5


@click.command("status")
@state_option
@json_option
@click.option(
    "--nagios",
    is_flag=True,
    help="Work as a monitoring plug-in: one line with performance data, exit codes 0 to 3. Not with"
    " --json.",
)
@click.option(
    "--textfile",
    metavar="FILE",
    type=click.Path(),
    help="Print nothing, and write metrics to FILE for node_exporter's textfile collector; its name"
    " ends in .prom. Not with --json or --nagios.",
)
@click.pass_obj
def command(
    options: Options, state: str | None, as_json: bool, nagios: bool, textfile: str | None
) -> ExitCode:
    """Show on one screen: filters and their age, the last scan, pending candidates, the quarantine.

    If a daemon runs or ran, the screen also shows how each volume is watched, how many changes
    wait, and the times of the next scan and sync.

    The first line names the most urgent fault. The command changes and fetches nothing. The exit
    code is for a monitoring system; if several fit, the first of this list counts:

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
    6   verdicts or filters do not come:
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
        - there was no whole scan for too long, or never
        - the last scan was killed
        - many files cannot be read
        - the running daemon has an older configuration
        - the daemon was stopped, or nobody reads its --json
        - the clock was set
    0   all is well

    With --nagios:

    \b
    0   OK
    1   WARNING for what would be 6 or 3
    2   CRITICAL for what would be 5, 70 or 1
    3   UNKNOWN: the configuration or the state cannot be read, or the
        command line is wrong

    With --textfile:

    \b
    0   the file was written, whatever is in it
    2   it could not be written, or the configuration cannot be read,
        which is then in the file
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
    found = status_of(open_configuration(options, state, check_files=False))
    wrong = complaints(found)
    text = status_json(found, wrong) if as_json else for_terminal(_as_text(found, wrong), 14)
    click.echo(text)
    return wrong[0].code if wrong else ExitCode.NOTHING_FOUND


def _as_plugin(options: Options, state: str | None) -> ExitCode:
    from hashscan.cli.status_nagios import plugin_result, unknown  # noqa: PLC0415
    from hashscan.jobs.status import status_of  # noqa: PLC0415 - heavy

    try:
        code, text = plugin_result(status_of(open_configuration(options, state, check_files=False)))
    except (HashscanError, OSError) as error:
        code, text = unknown(str(error))
    click.echo(text)
    return ExitCode(code)


def _as_textfile(options: Options, state: str | None, given: str) -> ExitCode:
    from hashscan.config.metrics import prom_file  # noqa: PLC0415
    from hashscan.metrics.collect import (  # noqa: PLC0415 - heavy
        collect,
        page,
        page_without_configuration,
        write_textfile,
    )

    path = checked_option("--textfile", os.path.abspath(given), prom_file)
    try:
        settings = open_configuration(options, state, check_files=False)
    except ConfigError:
        write_textfile(path, page_without_configuration())
        raise
    write_textfile(path, page(collect(settings)))
    return ExitCode.NOTHING_FOUND


def _as_text(found: Status, wrong: Sequence[Complaint]) -> str:
    first = "all is well"
    if wrong:
        more = f" (and {len(wrong) - 1:,} more, see below)" if len(wrong) > 1 else ""
        first = f"needs somebody: {wrong[0].message}{more}"
    lines = [first]
    running = f", process {found.running} scans" if found.running and not found.alive else ""
    lines.append(f"  state       {shown(found.state)}{running}")
    lines += _daemon_lines(found)
    lines.append(f"  filters     {shown(found.source)}")
    lines += [f"              {filter_line(one)}" for one in found.filters]
    if found.alive and found.daemon is not None and not found.filters:
        lines += [
            f"              {counted(one['digests'], 'digest')} in force, version {one['version']}"
            for one in found.daemon.get("filters", [])
        ]
    lines.append(f"  last scan   {_scan_line(found)}")
    catalog = found.catalog
    if catalog and catalog.whole is not None and catalog.whole != catalog.scan:
        lines.append(f"  last whole  {_whole_line(catalog.whole)}")
    if catalog is not None and catalog.pending:
        since = human_age(time.time() - (catalog.oldest or time.time()))
        lines.append(
            f"  pending     {catalog.pending:,} candidates without a verdict, the oldest for "
            f"{since}; {_why_pending(found)}"
        )
    if found.unmoved is not None:
        count, path, why = found.unmoved
        lines.append(
            f"  in place    {counted(count, 'match', 'matches')} could not be moved, e.g. "
            f"{why if why.startswith(shown(path)) else f'{shown(path)}: {why}'}{_when_moved(found)}"
        )
    lines += [f"  held        {summary_of(one)}" for one in found.holds]
    if catalog is not None and catalog.problems:
        lines.append(
            f"  problems    {catalog.problems:,} files or directories could not be read; "
            "'hashscan scan' names them"
        )
    kept = ", ".join(f"{count:,} {name}" for name, count in sorted(found.quarantine.items()))
    lines.append(f"  quarantine  {kept or 'empty'}")
    lines.append(f"  retention   {retention(found.retention)}")
    named = "; files that notices name are moved (notices.action)" if found.moves_named else ""
    if found.reported:
        lines.append(
            f"  reported    {counted(found.reported, 'match', 'matches')} not moved, because "
            f"{found.reports_only}; 'hashscan history' names some of them, "
            f"'hashscan scan' all{named}"
        )
    elif found.reports_only:
        lines.append(
            f"  reported    none; matches are not moved, because {found.reports_only}{named}"
        )
    lines += _notice_lines(found)
    lines += receiver_lines(found.receivers, _MOST, alive=found.alive)
    lines += _some("see to", [one.message for one in found.uncovered])
    if found.stands_still:
        lines.append(
            f"  trouble     nothing is scanned: {found.stands_still} (the daemon tries again every "
            "half minute)"
        )
    lines += _some("trouble", [one.message for one in found.trouble])
    return "\n".join(lines)


def _notice_lines(found: Status) -> list[str]:
    lines = []
    one = found.deadlines
    if one is not None:
        following = ""
        if one.next_deadline is not None and one.next_deadline >= time.time():
            following = f"; next deadline {local_time(one.next_deadline)}"
        lines.append(
            f"  notices     {one.open:,} open with {counted(one.items, 'item')}: {one.overdue:,} "
            f"overdue, {one.due_soon:,} due soon{following}"
        )
    intake = found.intake
    if intake is not None and intake.process is not None:
        since = "" if intake.since is None else f" for {human_age(time.time() - intake.since)}"
        where = f", listens on {shown(intake.address)}" if intake.address else ""
        lines.append(
            f"  intake      runs{since}, process {intake.process}{where}; "
            f"{counted(intake.tokens, 'token')}"
        )
    elif intake is not None:
        lines.append(f"  intake      not running; {counted(intake.tokens, 'token')}")
    mail = found.mail
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


def _some(name: str, messages: Sequence[str]) -> list[str]:
    """Return lines with the first messages and the number of the others, to fit on one screen."""
    lines = [f"  {name:<12}{one}" for one in messages[:_MOST]]
    if len(messages) > _MOST:
        lines.append(f"  {name:<12}and {len(messages) - _MOST:,} more: 'hashscan status --json'")
    return lines


def _daemon_lines(found: Status) -> list[str]:
    daemon = found.daemon
    if daemon is None:
        return []
    if not found.alive:
        return ["  daemon      not running"]
    since = human_age(time.time() - float(daemon["started"]))
    lines = [f"  daemon      runs for {since}, process {daemon['pid']}"]
    lines += _volume_lines(found, daemon.get("volumes", []))
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


def _volume_lines(found: Status, volumes: Sequence[VolumeStatus]) -> list[str]:
    """Return a line for each volume; if there are many, counts and the first with a fault."""
    if len(volumes) <= _MOST:
        return [f"  volume      {_volume_line(found, one)}" for one in volumes]
    states = Counter(_state_of(one) for one in volumes)
    told = ", ".join(f"{count:,} {state}" for state, count in states.most_common())
    ill = [one for one in volumes if one.get("away") or one.get("unwatched")]
    lines = [f"  volumes     {len(volumes):,}: {told}"]
    lines += [f"  volume      {_volume_line(found, one)}" for one in ill[:_MOST]]
    return lines


def _state_of(volume: VolumeStatus) -> str:
    return "not there" if volume.get("away") else str(volume["backend"])


def _volume_line(found: Status, volume: VolumeStatus) -> str:
    how = _state_of(volume)
    if not volume.get("away") and volume["directories"]:
        how += f", {counted(volume['directories'], 'directory', 'directories')}"
    if volume.get("blind"):
        how += f"; {volume['blind']}: scans find those changes"
    done = found.catalog.by_volume.get(os.fsencode(volume["path"])) if found.catalog else None
    if done is not None:
        ended = human_age(time.time() - (done.ended or done.started))
        how += f"; last whole scan {ended} ago ({done.kind})"
    return f"{shown(volume['path'])}: {how}"


def _when_moved(found: Status) -> str:
    if not found.alive or found.daemon is None:
        return ""
    at = found.daemon.get("next_move")
    return "" if at is None else f"; tried again in {human_age(at)}"


def _why_pending(found: Status) -> str:
    if not found.alive or found.daemon is None:
        return "the next scan asks again"
    pending = found.daemon.get("pending")
    why = (pending and pending.get("why")) or "they are being asked for"
    next_try = pending.get("next_try") if pending else None
    if next_try is not None:
        why += f"; asked again in {human_age(next_try)}"
    return why


def _whole_line(scan: LastScan) -> str:
    told = f"{scan.kind}, ended {human_age(time.time() - (scan.ended or scan.started))} ago"
    if scan.summary:
        told += (
            f": {scan.files or 0:,} files, {scan.summary.get('matches', 0):,} matches, "
            f"{scan.summary.get('problems', 0):,} problems"
        )
    return told


def filter_line(one: FilterStatus) -> str:
    """Return one line about a filter."""
    if one.trouble is not None:
        return f"{shown(one.name)}: CANNOT BE USED: {one.trouble}"
    assert one.age is not None
    since = "made" if one.verified is None else "verified"
    return (
        f"{shown(one.name)}: {one.digests:,} digests, {since} {human_age(one.age)} ago, "
        f"version {one.version}"
        + (f", tiers: {', '.join(one.tiers)}" if one.tiers else "")
        + "".join(f"; {why}" for why in one.tiers_unused)
    )


def _scan_line(found: Status) -> str:
    scan = found.catalog.scan if found.catalog else None
    if scan is None:
        return "none yet"
    where = names_of(scan.volumes)
    began = f"{human_age(time.time() - scan.started)} ago"
    if scan.ended is None:
        how = "still running" if found.running else "killed before its end; the next goes on"
        return f"began {began}, {how}: {where}"
    how = "whole," if scan.is_whole else "interrupted after" if scan.interrupted else "not whole,"
    what = ""
    if scan.summary:
        what = (
            f", {scan.summary.get('matches', 0):,} matches, "
            f"{scan.summary.get('problems', 0):,} problems"
        )
    kind = "" if scan.kind == "scan" else f" ({scan.kind})"
    return f"began {began}{kind}, {how} {scan.files or 0:,} files{what}: {where}"
