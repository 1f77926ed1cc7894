"""Restores withdrawn files, and removes the verdicts about their digests from the catalogs."""

from __future__ import annotations

import os
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hashscan import files
from hashscan.catalog.forget import forget_verdicts
from hashscan.errors import HashscanError, LockedError, QuarantineError, StateError
from hashscan.quarantine.recover import recover
from hashscan.quarantine.restore import restore
from hashscan.quarantine.restore_selection import Selection
from hashscan.quarantine.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from hashscan.audit.recorder import Recorder
    from hashscan.model import Digest
    from hashscan.state import State

#: Seconds to wait until another process releases the quarantine's lock.
_PATIENCE = 30.0


def forget(state: State, digests: Iterable[Digest], notice: Callable[[str], None]) -> None:
    """Remove the verdicts about ``digests`` from the catalogs in the state directory ``state``.

    There may be two catalogs: one of the state, and one of scans that run beside the daemon. A
    remembered verdict would move a restored file again. ``notice`` receives a message if a catalog
    cannot be changed.
    """
    digests = list(digests)
    for above in ((), (files.BESIDE,)):
        try:
            forget_verdicts(os.path.join(state.directory, *above, files.CATALOG), digests)
        except StateError as error:
            notice(f"restored files may move again, because verdicts are not forgotten: {error}")


@dataclass(slots=True)
class PutBack:
    """Holds the result of one call of ``put_back``.

    Attributes:
        done: number of files that were restored.
        failed: messages about files that could not be restored, by the file's id.
        reasons: number of files that could not be restored, by reason.
        left: number of withdrawn files that wait for the next call.
        notices: messages about faults that do not prevent a restore.
    """

    done: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    reasons: Counter[str] = field(default_factory=Counter)
    left: int = 0
    notices: list[str] = field(default_factory=list)


def put_back(
    directory: bytes,
    seconds: float,
    skip: Collection[str],
    recorder: Recorder | None,
    state: State | None = None,
) -> PutBack:
    """Restore withdrawn files for about ``seconds``; overwrite nothing.

    Args:
        directory: path of the quarantine.
        seconds: time after which the remaining files wait for the next call.
        skip: ids of files that could not be restored before.
        recorder: writes events to the audit log.
        state: the state directory, whose catalogs lose the verdicts about the files.

    Raises:
        QuarantineError, LockedError: the quarantine cannot be used.
    """
    until = time.monotonic() + seconds
    found = PutBack()
    if not os.path.lexists(directory):
        return found
    with Store.open(directory, create=False, recorder=recorder) as store:
        with store.lock(_PATIENCE):
            recover(store)
        chosen = Selection(withdrawn=True).selected(store)
        ids = [one for one in chosen.ids if one not in skip]
        if ids and state is not None:
            forget(state, chosen.withdrawn, found.notices.append)
        for count, record_id in enumerate(ids):
            if time.monotonic() > until:
                found.left = len(ids) - count
                break
            try:
                with store.lock(_PATIENCE):
                    restore(store, record_id)
                found.done += 1
            except LockedError:
                raise
            except HashscanError as error:
                found.failed[record_id] = str(error)
                reason = error.reason if isinstance(error, QuarantineError) else "refused"
                found.reasons[reason] += 1
    return found
