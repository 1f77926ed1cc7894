"""``hashscan quarantine restore``: puts quarantined files back at their paths."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from hashscan.cli.common import json_option, state_option
from hashscan.cli.quarantine_common import each, line, opened, settings_of
from hashscan.cli.quarantine_restore_many import moment, restore_many
from hashscan.errors import HashscanError, UsageError
from hashscan.jobs.restore_withdrawn import forget
from hashscan.model import ALGORITHM_BY_LENGTH, Digest, category_name
from hashscan.quarantine.manage import resolve
from hashscan.quarantine.restore import restore
from hashscan.quarantine.restore_selection import Selection
from hashscan.state import State
from hashscan.text import shown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hashscan.config.settings import Settings
    from hashscan.quarantine.store import Store


def hex_digest(text: str) -> str:
    """Return the lower-case hex digits of the digest that ``to_digest`` reads."""
    return to_digest(text).hex


def to_digest(text: str) -> Digest:
    """Return a digest that the command line gives with or without its algorithm.

    Raises:
        UsageError: the text of the command line is no digest.
    """
    name, _, value = text.strip().lower().rpartition(":")
    algorithm = ALGORITHM_BY_LENGTH.get(len(value))
    is_hex = not set(value) - set("0123456789abcdef")
    if algorithm is None or not is_hex or name not in {"", algorithm}:
        raise UsageError(
            f"--digest: {shown(text)} is no digest; write the hexadecimal digits of an MD5, SHA-1 "
            "or SHA-256"
        )
    return Digest(algorithm, value)


def _category(text: str) -> str:
    name = category_name(text)
    if name is None:
        raise UsageError(f"--category: {shown(text)} is no name of a category")
    return name


def _forget(settings: Settings, digests: Iterable[Digest]) -> None:
    digests = list(digests)
    if digests:
        try:
            state = State(settings.state, make=False)
        except HashscanError as error:
            click.echo(str(error), err=True)
            return
        forget(state, digests, lambda message: click.echo(message, err=True))


@click.command("restore")
@state_option
@json_option
@click.option("--to", metavar="DIR", help="Restore into this directory, not to the old places.")
@click.option(
    "--mkdir",
    is_flag=True,
    help="Make missing directories, with owner and mode of the directory above.",
)
@click.option(
    "--force", is_flag=True, help="Restore the content even if it was altered in quarantine."
)
@click.option("--all", "every", is_flag=True, help="Restore all files in quarantine.")
@click.option(
    "--path",
    "paths",
    metavar="PATH",
    multiple=True,
    help="Restore files that had this path, were below this path or fit this glob; may be given"
    " several times.",
)
@click.option(
    "--since",
    metavar="TIME",
    help="Restore files that were quarantined since this time: 2026-11-27, 2026-11-27T10:00, or"
    " an age: 2h, 3d.",
)
@click.option(
    "--owner",
    "owners",
    metavar="USER",
    multiple=True,
    help="Restore files of this user, by name or number; may be given several times.",
)
@click.option(
    "--digest",
    "digests",
    metavar="DIGEST",
    multiple=True,
    help="Restore files with this MD5, SHA-1 or SHA-256; may be given several times.",
)
@click.option(
    "--category",
    "categories",
    metavar="NAME",
    multiple=True,
    help="Restore files of this category; may be given several times.",
)
@click.option("--withdrawn", is_flag=True, help="Restore files whose digest was withdrawn.")
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
    digests: tuple[str, ...],
    categories: tuple[str, ...],
    withdrawn: bool,
    record_ids: tuple[str, ...],
) -> None:
    """Put quarantined files back with owner, mode, times, attributes and flags.

    The command overwrites no file. Name the files by ID, or restore many files: with --all, or all
    files that fit each given option of --path, --since, --owner, --digest, --category and
    --withdrawn. If a file cannot be restored, the command goes on with the others. If the command
    is killed, run the same command again to continue. The next scans do not quarantine a restored
    file again, until `purge ID` ends this exception. But scans quarantine a withdrawn file again if
    the service knows its digest again.
    """
    many = every or since is not None or withdrawn or any((paths, owners, digests, categories))
    if many == bool(record_ids):
        raise UsageError(
            "restore: name the files, either by IDs, or by --all, --path, --since, --owner, "
            "--digest, --category or --withdrawn; see `hashscan quarantine list`"
        )
    selection = Selection(
        paths,
        None if since is None else moment(since),
        owners,
        tuple(map(hex_digest, digests)),
        tuple(map(_category, categories)),
        withdrawn,
    )
    settings = settings_of(context, state)

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
        with opened(settings, change=False, one_by_one=True) as store:
            if store is None:
                raise UsageError("there is nothing to restore, the quarantine is empty")
            restore_many(
                store,
                selection,
                one,
                as_json=as_json,
                before=lambda chosen: _forget(settings, chosen.withdrawn),
            )
        return
    with opened(settings, change=True) as store:
        assert store is not None
        there = store
        for given in record_ids:
            with suppress(HashscanError):
                record = there.load(resolve(there, given))
                if record.withdrawn:
                    _forget(settings, record.each_digest)
        each(record_ids, lambda given: one(there, resolve(there, given)))
