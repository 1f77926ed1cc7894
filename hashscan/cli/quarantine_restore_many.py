"""``hashscan quarantine restore`` for many files: their selection, progress, and failures."""

from __future__ import annotations

import sys
import time
from collections import Counter
from contextlib import nullcontext
from typing import TYPE_CHECKING, NamedTuple

import click

from hashscan.cli.common import checked_option, iso_time
from hashscan.config import values
from hashscan.errors import HashscanError, LockedError, OutputError, QuarantineError, UsageError
from hashscan.output.bar import build_bar
from hashscan.output.jsonl import line
from hashscan.text import counted, local_time, shown

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import tzinfo

    from hashscan.quarantine.restore_selection import Selected, Selection
    from hashscan.quarantine.store import Store

#: Seconds to wait until another hashscan process releases the store's lock.
LOCK_SECONDS = 30.0


class _Restoring(NamedTuple):
    """The progress of a restore of many files, for ``build_bar``."""

    done: int
    total: int
    stage: str = "restoring"


def moment(text: str, option: str = "--since", zone: tzinfo | None = None) -> float:
    """Return an option's value in seconds since the epoch: the value is a time or an age.

    ``zone``: the zone of a time whose text names no zone; default: this machine's zone.

    Raises:
        UsageError: the value is neither a time nor a duration.
    """
    try:
        return iso_time(text, zone)
    except ValueError:
        if not text[:1].isdigit() or "-" in text:
            raise UsageError(
                f"{option}: {shown(text)} is not a time; write e.g. 2026-11-27, 2026-11-27T10:00, "
                "or how long ago: 2h, 3d"
            ) from None
        age = checked_option(option, text, lambda one: values.exact_duration(one, at_least=0.0))
        return time.time() - age


def restore_many(
    store: Store,
    selection: Selection,
    one: Callable[[Store, str], None],
    *,
    as_json: bool,
    before: Callable[[Selected], None] = lambda _selected: None,
) -> None:
    """Restore and count all selected files; each file takes the lock, so that scans can go on.

    Args:
        store: the store of the quarantine.
        selection: the options that select the files to restore.
        one: a function that restores the file of one record, and prints the result.
        as_json: True to print failures and the summary as JSON lines.
        before: a function that is called with the selected records, before the first restore.

    Raises:
        QuarantineError: some files could not be restored; the command tried all selected files.
        LockedError: another hashscan process holds the store's lock.
        OutputError: a result cannot be reported; the command restores no further file.
    """
    chosen = selection.selected(store)
    before(chosen)
    ids, unread = chosen.ids, chosen.unread
    for trouble in unread:
        click.echo(trouble, err=True)
    since = "" if selection.since is None else f" quarantined since {local_time(selection.since)}"
    verb = "is" if len(ids) == 1 else "are"
    click.echo(f"{counted(len(ids), 'file')}{since} {verb} to be restored", err=True)
    reasons: Counter[str] = Counter()
    # On a terminal, the line for each restored file shows the progress, so no bar is needed.
    with nullcontext() if sys.stdout.isatty() else build_bar(sys.stderr) as show:
        for count, record_id in enumerate(ids, 1):
            try:
                with store.lock(LOCK_SECONDS):
                    one(store, record_id)
            except LockedError:
                click.echo(f"{count - 1} of {len(ids)} files were tried", err=True)
                raise
            except OutputError:
                raise
            except HashscanError as error:
                reason = getattr(error, "reason", "refused")
                reasons[reason] += 1
                if as_json:
                    problem = {"reason": reason, "id": record_id}
                    click.echo(line("problem", **problem, message=str(error)))
                else:
                    click.echo(str(error), err=True)
            if show is not None:
                show(_Restoring(count, len(ids)))
    failed = reasons.total()
    done = len(ids) - failed
    if as_json:
        by_reason = dict(reasons.most_common())
        click.echo(line("summary", restored=done, failed=failed, reasons=by_reason))
    else:
        why = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
        click.echo(f"{done} files restored, {failed} failed{f' ({why})' if why else ''}")
    if failed or unread:
        also = f", and {len(unread)} records cannot be read" if unread else ""
        raise QuarantineError(
            f"{failed} of {len(ids)} files were not restored{also}; see above, mend the fault of "
            "each, and run the same command again",
            reason="several",
        )
