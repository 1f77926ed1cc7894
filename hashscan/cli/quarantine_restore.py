"""``hashscan quarantine restore``: the way back."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from hashscan.cli.common import json_option, state_option
from hashscan.cli.quarantined import each, line, opened, settings_of
from hashscan.cli.restoring import moment, restore_many
from hashscan.errors import UsageError
from hashscan.quarantine.restore import restore
from hashscan.quarantine.selection import Selection
from hashscan.quarantine.upkeep import resolve
from hashscan.text import shown

if TYPE_CHECKING:
    from hashscan.quarantine.store import Store


@click.command("restore")
@state_option
@json_option
@click.option("--to", metavar="DIR", help="Restore into this directory instead.")
@click.option(
    "--mkdir",
    is_flag=True,
    help="Make missing directories, with owner and mode of the directory above.",
)
@click.option("--force", is_flag=True, help="Restore the content even if it was altered.")
@click.option("--all", "every", is_flag=True, help="All files in quarantine.")
@click.option(
    "--path",
    "paths",
    metavar="PATH",
    multiple=True,
    help="Files that had this path, were below it or fit this glob; may be given several times.",
)
@click.option(
    "--since",
    metavar="TIME",
    help="Files quarantined since then: 2026-11-27, 2026-11-27T10:00, or e.g. 2h or 3d ago.",
)
@click.option(
    "--owner",
    "owners",
    metavar="USER",
    multiple=True,
    help="Files of this user, by name or number; may be given several times.",
)
@click.argument("record_ids", metavar="[ID...]", nargs=-1)
@click.pass_context
def restore_command(
    context: click.Context,
    state: str | None,
    as_json: bool,
    to: str | None,
    mkdir: bool,
    force: bool,
    every: bool,
    paths: tuple[str, ...],
    since: str | None,
    owners: tuple[str, ...],
    record_ids: tuple[str, ...],
) -> None:
    """Put files back: content, owner, mode, times, attributes, flags. Nothing is overwritten.

    Name files by ID, or restore many at a time: --all, or the files that fit all of --path,
    --since and --owner. A file that cannot be restored does not stop the others. The next scans do
    not quarantine a restored file again; `purge ID` lifts that.
    """
    many = every or bool(paths) or since is not None or bool(owners)
    if many == bool(record_ids):
        raise UsageError(
            "restore: name the files, either by IDs, or by --all, --path, --since or --owner; "
            "see `hashscan quarantine list`"
        )
    after = None if since is None else moment(since)

    def one(store: Store, record_id: str) -> None:
        directory = None if to is None else os.fsencode(to)
        done = restore(store, record_id, to=directory, force=force, mkdir=mkdir)
        if as_json:
            found = {"id": done.record.id, "path": os.fsdecode(done.path)}
            line("restored", {**found, "notes": list(done.notes)})
            return
        click.echo(f"{done.record.id}: restored to {shown(done.path)}")
        for note in done.notes:
            click.echo(f"{done.record.id}: {note}", err=True)

    if many:
        with opened(settings_of(context, state), change=False, one_by_one=True) as store:
            if store is None:
                raise UsageError("there is nothing to restore, the quarantine is empty")
            restore_many(store, Selection(paths, after, owners), one, as_json=as_json)
        return
    with opened(settings_of(context, state), change=True) as store:
        assert store is not None
        there = store
        each(record_ids, lambda given: one(there, resolve(there, given)))
