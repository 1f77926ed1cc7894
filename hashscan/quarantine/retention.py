"""What is done in a quarantine from time to time, without anybody asking."""

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
        done: number of removed contents.
        doubtful: number of contents that are too old by the wall clock only, and were kept.
    """

    done: int = 0
    doubtful: int = 0


def purge_older(directory: bytes, seconds: float, recorder: Recorder | None = None) -> Purged:
    """Remove contents that have been in the quarantine for longer than ``seconds``.

    Records stay. What cannot be removed (e.g. a displaced file of a customer) is left alone.

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
            # Once: it reads every record. A job that is left unfinished from now on is no matter to
            # the others, and its own record is not purged.
            with store.lock():
                recover(store)
        for record_id in found.old:
            # The lock is given back in between: a match must not wait for a thousand removals.
            with store.lock():
                try:
                    purge(store, record_id, because=f"quarantine.retention, {human_age(seconds)}")
                except QuarantineError as error:
                    if error.reason == "no-audit-log":
                        raise
                else:
                    done += 1
    return Purged(done, len(found.doubtful))
