"""What is done in a quarantine from time to time, without anybody asking."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from hashscan.errors import QuarantineError
from hashscan.quarantine.recover import recover
from hashscan.quarantine.store import Store
from hashscan.quarantine.upkeep import aged, purge


@dataclass(frozen=True, slots=True)
class Purged:
    """The result of ``purge_older``.

    Attributes:
        done: number of removed contents.
        doubtful: number of contents that are too old by the wall clock only, and were kept.
    """

    done: int = 0
    doubtful: int = 0


def purge_older(directory: bytes, seconds: float) -> Purged:
    """Remove contents that have been in the quarantine for longer than ``seconds``.

    Records stay. What cannot be removed (e.g. a displaced file of a customer) is left alone.

    Raises:
        QuarantineError, LockedError: the quarantine cannot be used.
    """
    try:
        store = Store.open(directory, create=False)
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
            with store.lock(), suppress(QuarantineError):
                purge(store, record_id)
                done += 1
    return Purged(done, len(found.doubtful))
