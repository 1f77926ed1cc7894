"""Functions for all ``hashscan quarantine`` commands: open the store, report failures."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from hashscan.audit.recorder import Recorder
from hashscan.cli import Options, quarantine_restore_many
from hashscan.cli.common import open_own_configuration
from hashscan.errors import HashscanError, LockedError, OutputError, QuarantineError, UsageError
from hashscan.quarantine.recover import Recovered, recover
from hashscan.quarantine.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hashscan.config.settings import Settings


def settings_of(context: click.Context, state: str | None) -> Settings:
    """Return the configuration, with the state directory that the command line names.

    Raises:
        ConfigError: the configuration cannot be used.
    """
    # A missing volume must not prevent the restore of a file to another volume.
    return open_own_configuration(context.obj or Options(), state)


@contextmanager
def opened(settings: Settings, *, change: bool, one_by_one: bool = False) -> Iterator[Store | None]:
    """Open the quarantine's store, and end its unfinished jobs; ``None``: there is no store.

    A command that only reads does not wait for another process that works in the store: the other
    process then ends the unfinished jobs.

    ``one_by_one``: the command changes the store, and takes the lock for each change.

    Raises:
        UsageError: the command changes the store, but nothing was ever quarantined.
        QuarantineError, LockedError: the store cannot be opened or locked (``Store.open``,
            ``Store.lock``).
    """
    try:
        store = Store.open(os.fsencode(settings.quarantine_directory), create=False)
    except QuarantineError as error:
        if error.reason != "no-store":
            raise
        if change:
            raise UsageError(f"{error}; see --state and the configuration's state") from error
        yield None
        return
    with store:
        if change or one_by_one:
            store.recorder = Recorder.of(settings, "command")
        else:
            store.recorder = _recorder_to_read(settings)
        if change:
            with store.lock(quarantine_restore_many.LOCK_SECONDS):
                _report(recover(store))
                yield store
            return
        try:
            # A killed process may have left a file half-moved; the command completes such a file's
            # record before it reads records.
            with store.lock(quarantine_restore_many.LOCK_SECONDS if one_by_one else 0):
                _report(recover(store))
        except LockedError:
            pass
        except QuarantineError as error:  # The store on a full or read-only disk can still be read.
            click.echo(str(error), err=True)
        yield store


def _recorder_to_read(settings: Settings) -> Recorder | None:
    """Return the audit log's recorder for the unfinished jobs that a reading command ends."""
    if not os.path.isdir(settings.state):
        return None
    try:
        return Recorder.of(settings, "command")
    except HashscanError:
        return None


def _report(recovered: list[Recovered]) -> None:
    for one in recovered:
        click.echo(f"{one.record_id}: {one.message}", err=True)


def each(ids: tuple[str, ...], do: Callable[[str], None]) -> None:
    """Call ``do`` for each id, report each failure, and raise at the end if a call failed.

    Raises:
        OutputError: a result cannot be printed; no further call of ``do`` follows.
    """
    failures: list[HashscanError] = []
    for one in ids:
        try:
            do(one)
        except OutputError:
            raise
        except HashscanError as error:
            failures.append(error)
    if len(failures) == 1:
        raise failures[0]
    message = "\n".join(str(error) for error in failures)
    if failures and all(isinstance(error, UsageError) for error in failures):
        raise UsageError(message)
    if failures:
        raise QuarantineError(message, reason="several")


def line(event: str, fields: dict[str, Any]) -> None:
    """Print the facts of an event as a JSON line."""
    click.echo(json.dumps({"event": event, **fields}))
