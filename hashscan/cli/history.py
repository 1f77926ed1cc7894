"""``hashscan history``: shows the audit log to people, and checks the audit log."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import click

from hashscan.audit import events
from hashscan.audit.folder import path_of
from hashscan.audit.reader import read, read_last, seconds_of
from hashscan.audit.verify import verify
from hashscan.cli import Options
from hashscan.cli.common import OptionalGroup, json_option, open_own_configuration, state_option
from hashscan.cli.quarantine_restore_many import moment
from hashscan.errors import AuditLogError, UsageError
from hashscan.output.history import printed
from hashscan.output.jsonl import line
from hashscan.output.wrapping import terminal_width
from hashscan.text import counted, shown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hashscan.audit.line import AuditEvent


@click.group("history", cls=OptionalGroup, invoke_without_command=True)
@state_option
@json_option
@click.option(
    "--since",
    metavar="TIME",
    help="Show only events since this time: 2026-11-27, 2026-11-27T10:00, or an age: 2h, 3d.",
)
@click.option("--until", metavar="TIME", help="Show only events before this time.")
@click.option(
    "--event",
    "names",
    metavar="NAME",
    multiple=True,
    help="Show only events of this kind, e.g. moved or scan-ended; may be given several times.",
)
@click.option("--last", type=click.IntRange(1), metavar="N", help="Show only the newest N events.")
@click.pass_context
def command(
    context: click.Context,
    state: str | None,
    as_json: bool,
    since: str | None,
    until: str | None,
    names: tuple[str, ...],
    last: int | None,
) -> None:
    """Show what hashscan did and who caused it, oldest first, from the audit log.

    The events are scans, matches, moves, restores, notices, reloads, refusals and problems.
    `hashscan history verify` finds changes and gaps in the log.
    """
    if context.invoked_subcommand is not None:
        if any((state, as_json, since, until, names, last)):
            raise UsageError(
                f"history: write options after '{context.invoked_subcommand}', not before it"
            )
        return
    for name in names:
        if name not in events.ALL:
            raise UsageError(
                f"--event: {shown(name)} is no event; write one of {', '.join(sorted(events.ALL))}"
            )
    directory = open_own_configuration(context.obj or Options(), state).state
    before = None if until is None else moment(until, "--until")
    after = None if since is None else moment(since)
    damaged: list[tuple[str, int]] = []

    def note(file: str, number: int) -> None:
        damaged.append((file, number))

    def is_wanted(event: AuditEvent) -> bool:
        if names and event.event not in names:
            return False
        if after is None and before is None:
            return True
        time = seconds_of(event.time)
        return (after is None or time >= after) and (before is None or time < before)

    found: Iterable[AuditEvent] = (
        filter(is_wanted, read(directory, since=after, on_damaged=note))
        if last is None
        else read_last(directory, last, is_wanted, since=after, on_damaged=note)
    )
    width = terminal_width()
    is_empty = True
    for event in found:
        is_empty = False
        if as_json:
            click.echo(json.dumps(event.as_dict()))
        else:
            click.echo(printed(event, width))
    if is_empty and not as_json:
        click.echo(f"the audit log has no such event: {shown(path_of(directory))}")
    if damaged:
        raise AuditLogError(
            f"{shown(path_of(directory))}: {counted(len(damaged), 'line')} cannot be read, the"
            f" first is {damaged[0][0]}:{damaged[0][1]}; see `hashscan history verify`"
        )


@command.command("verify")
@state_option
@json_option
@click.option(
    "--known",
    metavar="SEQ:HASH",
    multiple=True,
    help="A line that an earlier `verify` printed, and that must still be there; may be given"
    " several times.",
)
@click.pass_context
def verify_command(
    context: click.Context, state: str | None, as_json: bool, known: tuple[str, ...]
) -> None:
    """Check the whole audit log for lines that were changed, removed, moved or cut off.

    The command prints the number and the hash of the newest line of the log. Keep this number and
    hash on another machine: if you give them with --known, a later check finds even a log that was
    rewritten as a whole. Exit code 3: the check found a fault in the audit log.
    """
    directory = open_own_configuration(context.obj or Options(), state).state
    result = verify(directory, dict(map(_known, known)))
    where = shown(path_of(directory))
    for finding in result.findings:
        if as_json:
            click.echo(
                line(
                    "finding",
                    kind=finding.kind,
                    file=finding.file,
                    line=finding.line or None,
                    message=finding.message,
                )
            )
        else:
            click.echo(str(finding))
    number = len(result.findings) + result.more
    if as_json:
        click.echo(
            line(
                "verified",
                lines=result.lines,
                files=result.files,
                first=result.first,
                last=result.last,
                hash=result.hash,
                findings=number,
            )
        )
    elif not result.lines:
        click.echo(f"{where}: no line")
    else:
        click.echo(
            f"{where}: lines {result.first:,} to {result.last:,} in"
            f" {counted(result.files, 'file')}, {counted(number, 'finding')}"
        )
        click.echo(f"newest line: {result.last}:{result.hash}")
    if number:
        raise AuditLogError(
            f"{where}: {counted(number, 'finding')}, see above; keep a copy of this directory, and"
            " find out who could write there: only root and the user who runs hashscan can"
        )


def _known(text: str) -> tuple[int, str]:
    found = re.fullmatch("([0-9]{1,15}):([0-9a-f]{64})", text, re.ASCII)
    if found is None:
        raise UsageError(f"--known: {shown(text)} is not NUMBER:HASH, as `verify` prints it")
    return int(found[1]), found[2]
