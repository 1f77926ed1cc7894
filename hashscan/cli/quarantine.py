"""``hashscan quarantine``: lists, exports, restores and deletes isolated files."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from hashscan.cli.common import checked_option, json_option, require_consent, state_option
from hashscan.cli.quarantine_common import each, line, opened, settings_of
from hashscan.cli.quarantine_restore import restore_command
from hashscan.cli.quarantine_withdrawn import withdrawn_command
from hashscan.config import values
from hashscan.errors import HashscanError, QuarantineError, UnsafePathError, UsageError
from hashscan.fs.named import resolve as resolve_links
from hashscan.quarantine.manage import (
    StoreVerified,
    aged,
    export,
    purge,
    records,
    resolve,
    same_inode,
    verify,
    why_doubtful,
)
from hashscan.quarantine.records import RecordState
from hashscan.quarantine.summary import briefs
from hashscan.text import counted, human_size, local_time, shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from hashscan.config.settings import Settings
    from hashscan.quarantine.records import Record
    from hashscan.quarantine.store import Store
    from hashscan.quarantine.summary import Brief


@click.group("quarantine")
def command() -> None:
    """List, restore, export and purge quarantined files."""


command.add_command(restore_command)
command.add_command(withdrawn_command)


@command.command("list")
@state_option
@json_option
@click.option("--all", "every", is_flag=True, help="List restored and purged files, too.")
@click.option("--withdrawn", is_flag=True, help="List only files whose digest was withdrawn.")
@click.pass_context
def list_command(
    context: click.Context, state: str | None, as_json: bool, every: bool, withdrawn: bool
) -> None:
    """List quarantined files, oldest first.

    The state "withdrawn" means that the service does not know the digest any more; `quarantine
    restore --withdrawn` puts these files back.
    """
    gone = (
        frozenset()
        if every
        else frozenset({RecordState.RESTORED, RecordState.PURGED, RecordState.UNDONE})
    )

    def fits(one: Record | Brief) -> bool:
        return one.state not in gone and (bool(one.withdrawn) or not withdrawn)

    with opened(settings_of(context, state), change=False) as store:
        if store is None:
            found, damaged = 0, 0
        elif as_json:
            found, damaged = _print_json(store, fits)
        else:
            found, damaged = _print_rows(store, fits)
    if not found and not as_json:
        empty = "the quarantine is empty" + ("" if every else " (--all shows what was in it)")
        click.echo("no file in quarantine is withdrawn" if withdrawn else empty)
    if damaged:
        raise QuarantineError(
            f"{damaged} damaged records; see above and `hashscan quarantine verify`",
            reason="damaged-record",
        )


def _print_json(store: Store, fits: Callable[[Record], bool]) -> tuple[int, int]:
    """Print whole records as JSON lines; return their number and the number of damaged records."""
    found = damaged = 0
    for listed in records(store):
        if listed.record is None:
            damaged += 1
            problem = {"id": listed.record_id, "message": listed.trouble}
            line("problem", {"reason": "damaged-record", **problem})
        elif fits(listed.record):
            found += 1
            line("record", listed.record.as_dict())
    return found, damaged


def _print_rows(store: Store, fits: Callable[[Brief], bool]) -> tuple[int, int]:
    """Print a table of records; return the number of its rows, and of damaged records."""
    # A first pass over the records finds the widths of the columns; to keep all rows would
    # need much memory.
    widths = [0] * 5
    for _, brief, trouble in briefs(store):
        if brief is None:
            click.echo(trouble, err=True)
        elif fits(brief):
            widths = list(map(max, widths, map(len, _row(brief)[:-1])))
    found = damaged = 0
    for _, brief, _ in briefs(store):
        if brief is None:
            damaged += 1
        elif fits(brief):
            found += 1
            *cells, path = _row(brief)  # the last column, because a path may be of any length
            click.echo(f"{'  '.join(map(str.ljust, cells, widths))}  {path}")
    return found, damaged


def _row(brief: Brief) -> tuple[str, ...]:
    return (
        brief.id,
        f"{brief.acted[:19]}Z",
        brief.word,
        f"{human_size(brief.size):>10}",
        shown(brief.category),
        shown(brief.path),
    )


@command.command("show")
@state_option
@json_option
@click.argument("record_id", metavar="ID")
@click.pass_context
def show_command(context: click.Context, state: str | None, as_json: bool, record_id: str) -> None:
    """Show the whole record of a quarantined file, but never its content."""
    with opened(settings_of(context, state), change=False) as store:
        if store is None:
            raise _no_record(record_id)
        record = store.load(resolve(store, record_id))
        others = same_inode(store, record)
        if as_json:
            line("record", {**record.as_dict(), "same_inode": [one.id for one in others]})
        else:
            _show(record, others)


def _no_record(record_id: str) -> UsageError:
    return UsageError(f"{shown(record_id)}: no such record, the quarantine is empty")


def _decided(record: Record) -> list[tuple[str, str]]:
    """Return the rows of ``quarantine show`` that say why the file was moved."""
    found = f"{record.algorithm} {record.digest}"
    rows = [
        ("confirmed", f"{found} by {shown(record.service)}"),
        ("filter", shown(record.filter_version)),
    ]
    authority = record.authority
    if authority is None:
        return rows
    named = f"notice {shown(authority.notice)} of {shown(authority.sender or 'anonymous')}"
    if authority.reference:
        named += f", reference {shown(authority.reference)}"
    if authority.kind == "list":
        return [*rows, ("named by", named)]
    return [("authority", f"{named}; no list knows the file"), ("content", found)]


def _show(record: Record, remaining: list[Record]) -> None:
    rows: list[tuple[str, str]] = [
        ("id", record.id),
        ("state", record.word),
        ("path", shown(record.origin.full_path)),
        ("category", shown(record.category)),
        *_decided(record),
        ("detected", record.detected),
        ("quarantined", record.acted),
        ("found by", shown(record.found_by) or "unknown"),
        ("host", f"{shown(record.host)}, hashscan {shown(record.agent_version)}"),
    ]
    if record.metadata:
        one = record.metadata
        owner = f"{one.owner or '?'}:{one.group or '?'} ({one.uid}:{one.gid})"
        rows += [
            ("size", f"{one.size} bytes"),
            ("owner", shown(owner)),
            ("mode", f"{one.mode & 0o7777:04o}"),
            ("attributes", shown(", ".join(sorted(one.xattrs)) or "none")),
        ]
    if record.digests:
        rows += list(record.digests.as_dict().items())
    if record.metadata and (record.remaining_links or remaining):
        count = record.remaining_links
        rows.append(("other names", f"{count} outside the quarantine at the moment of its move"))
    rows += [
        ("same inode", f"{one.id} ({one.state}) {shown(one.origin.full_path)}") for one in remaining
    ]
    if record.open_for_writing:
        rows.append(("writers", "a process had it open for writing"))
    if record.target:
        rows.append(("restored to", shown(record.target.full_path)))
    if record.note:
        rows.append(("note", shown(record.note)))
    rows += [("history", f"{when}  {shown(step)}") for step, when in record.history]
    for name, value in rows:
        click.echo(f"{name:<12} {value}")


@command.command("export")
@state_option
@click.option(
    "--output",
    "-o",
    metavar="FILE",
    required=True,
    help="The tar file to write; it must not exist yet.",
)
@click.argument("record_id", metavar="ID")
@click.pass_context
def export_command(context: click.Context, state: str | None, output: str, record_id: str) -> None:
    """Write a file's record and content to a tar file, for the police.

    The file stays in quarantine.
    """
    with opened(settings_of(context, state), change=True) as store:
        assert store is not None
        full = resolve(store, record_id)
        intact = export(store, full, os.fsencode(output))
    click.echo(f"{full}: exported to {shown(output)}")
    if not intact:
        raise QuarantineError(
            f"{full}: the exported content is not what was quarantined; see "
            "`hashscan quarantine verify`",
            reason="altered",
        )


@command.command("purge")
@state_option
@json_option
@click.option(
    "--older-than",
    "before",
    metavar="AGE",
    help="Purge files quarantined longer ago than this, e.g. 90d, 12h or 30min; 0d means all.",
)
@click.option("--yes", is_flag=True, help="Delete without asking for your consent.")
@click.argument("record_ids", metavar="[ID...]", nargs=-1)
@click.pass_context
def purge_command(
    context: click.Context,
    state: str | None,
    as_json: bool,
    before: str | None,
    yes: bool,
    record_ids: tuple[str, ...],
) -> None:
    """Delete the contents of quarantined files for good, and keep the records.

    Without ID and --older-than, the command purges contents older than the configured
    quarantine.retention. The age of a content is the time that has certainly passed, even if the
    clock was set forward. The command shows the date and the number of contents, and deletes
    nothing before you agree, at the terminal or with --yes. With the ID of a restored file, the
    next scans treat that file like any other file.
    """
    settings = settings_of(context, state)
    age = _age(settings, before, record_ids)
    old: tuple[str, ...] = ()
    limit = "" if age is None else local_time(time.time() - age)
    with opened(settings, change=False) as store:
        if store and age is not None:
            found = aged(store, age)
            old = found.old
            if found.doubtful:
                click.echo(why_doubtful(len(found.doubtful), age), err=True)
        if record_ids and store is None:
            raise _no_record(record_ids[0])
        given = [resolve(store, one) for one in record_ids] if store else []
        # The record of a restored file has no content, so the command needs no consent.
        restored = {one for one in given if store and _is_restored(store, one)}
    ids = list(dict.fromkeys([*old, *given]))
    if age is not None:
        which = f"{counted(len(old), 'content')} quarantined before {limit}"
        click.echo(f"{which} {'is' if len(old) == 1 else 'are'} to be deleted for good", err=True)
    if not ids:
        if not as_json:
            click.echo("nothing to purge")
        return
    contents = len(ids) - len(restored)
    # The command does not hold the store's lock here, so that no scan waits for the user's answer.
    if contents and not yes:
        which = f" (quarantined before {limit})" if limit else ""
        question = f"delete the content of {counted(contents, 'record')}{which} for good?"
        require_consent(question)
    with opened(settings, change=True) as store:
        assert store is not None

        def one(record_id: str) -> None:
            record = purge(store, record_id, lift=record_id in restored)
            if as_json:
                fields = {"id": record.id, "path": os.fsdecode(record.origin.full_path)}
                line("purged", {**fields, "quarantined": record.acted})
                return
            what = f"content removed, quarantined {record.acted}"
            if record_id in restored:
                what = "hold lifted; the restored file is left in place until a scan finds it"
            click.echo(f"{record.id}: purged ({what}), was {shown(record.origin.full_path)}")

        each(tuple(ids), one)
    if limit:
        click.echo(f"deleted for good: contents quarantined before {limit}", err=True)


def _is_restored(store: Store, record_id: str) -> bool:
    try:
        return store.load(record_id).state is RecordState.RESTORED
    except HashscanError:
        return False  # ``purge`` reports the damaged record.


def _age(settings: Settings, given: str | None, ids: tuple[str, ...]) -> float | None:
    """Return the least age in seconds of contents to purge; ``None``: purge only ``ids``."""
    if given is not None:
        return checked_option(
            "--older-than", given, lambda text: values.exact_duration(text, at_least=0.0)
        )
    if ids:
        return None
    if settings.quarantine.retention is None:
        raise UsageError(
            "purge: name the contents: give IDs or --older-than, or set quarantine.retention in"
            " the configuration"
        )
    return float(settings.quarantine.retention)


@command.command("verify")
@state_option
@json_option
@click.pass_context
def verify_command(context: click.Context, state: str | None, as_json: bool) -> None:
    """Hash all contents in quarantine again, and compare them with their records."""
    settings = settings_of(context, state)
    volumes = []
    for volume in settings.volumes:
        with suppress(UnsafePathError):
            volumes.append(os.fsencode(resolve_links(volume.path)))
    with opened(settings, change=False) as store:
        result = verify(store, volumes) if store else StoreVerified(0, [])
    for finding in result.findings:
        if as_json:
            found = {"id": finding.record_id, "message": finding.message}
            line("problem", {"reason": finding.kind, **found})
        else:
            click.echo(f"{finding.kind}: {finding.message}")
    if as_json:
        line("summary", {"checked": result.checked, "problems": len(result.findings)})
    else:
        click.echo(f"{result.checked} contents checked, {len(result.findings)} problems")
    if result.findings:
        raise QuarantineError(
            f"{shown(settings.quarantine_directory)}: {len(result.findings)} problems in the "
            "quarantine; see above",
            reason="verify",
        )
