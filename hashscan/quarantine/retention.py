"""Removes old contents from the quarantine, after the configured retention."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hashscan.errors import QuarantineError
from hashscan.quarantine.manage import aged, purge
from hashscan.quarantine.recover import recover
from hashscan.quarantine.store import Store
from hashscan.text import human_age

if TYPE_CHECKING:
    from hashscan.audit.recorder import Recorder


@dataclass(frozen=True, slots=True)
class Purged:
    """The result of ``purge_older``.

    Attributes:
        done: number of contents that were removed from the quarantine.
        doubtful: number of contents that were kept, because only the wall clock says that the
            contents are too old.
    """

    done: int = 0
    doubtful: int = 0


def purge_older(directory: bytes, seconds: float, recorder: Recorder | None = None) -> Purged:
    """Remove contents that have been in the quarantine for longer than ``seconds``.

    Records are kept. A content that cannot be removed (e.g. of a displaced file) is skipped.

    Raises:
        QuarantineError, LockedError: the quarantine cannot be used.
    """
    try:
        store = Store.open(directory, create=False, recorder=recorder)
    except QuarantineError as error:
        if error.reason == "no-store":
            return Purged()
        raise
    done = 0
    with store:
        with store.lock():
            store.keep_timeline()
        found = aged(store, seconds)
        if found.old:
            # Recover only once, because ``recover`` reads every record. A job that becomes
            # unfinished later does not affect other records, and ``purge`` refuses its record.
            with store.lock():
                recover(store)
        for record_id in found.old:
            # Release the lock after each removal: a match must not wait for a thousand removals.
            with store.lock():
                try:
                    purge(store, record_id, because=f"quarantine.retention, {human_age(seconds)}")
                except QuarantineError as error:
                    if error.reason == "no-audit-log":
                        raise
                else:
                    done += 1
    return Purged(done, len(found.doubtful))
