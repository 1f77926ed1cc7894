"""What all ``hashscan quarantine`` commands share: the store, and how failures are reported."""

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
    """The configuration for the state that the command line names.

    Raises:
        ConfigError: it cannot be used.
    """
    # A volume that is missing must not stand in the way of a restore to another one.
    return open_own_configuration(context.obj or Options(), state)


@contextmanager
def opened(settings: Settings, *, change: bool, one_by_one: bool = False) -> Iterator[Store | None]:
    """The store with unfinished jobs ended; ``None`` if nothing was ever quarantined.

    Where nothing is changed, a store in which another process works is read as it is.

    ``one_by_one``: something is changed, and the caller takes the lock for each change.

    Raises:
        UsageError: something is to be changed, and there is no store.
        QuarantineError, LockedError: as ``Store.open`` and ``Store.lock``.
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
            # A killed run may have left a file half-way, which is to be restored, too.
            with store.lock(quarantine_restore_many.LOCK_SECONDS if one_by_one else 0):
                _report(recover(store))
        except LockedError:
            pass
        except QuarantineError as error:  # a full or read-only disk: it can still be read
            click.echo(str(error), err=True)
        yield store


def _recorder_to_read(settings: Settings) -> Recorder | None:
    """For unfinished jobs, which a command that only reads ends, too."""
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
    """Do all, report each failure, and raise in the end if there was one.

    Raises:
        OutputError: a result cannot be reported any more; nothing is done after that.
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
    """Print a JSON line."""
    click.echo(json.dumps({"event": event, **fields}))
