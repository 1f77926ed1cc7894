"""Closes holds whose digests a corrected list does not contain, so no decision is needed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hashscan.audit import events
from hashscan.jobs.brakes import facts_of
from hashscan.model import FileDigests, hits
from hashscan.quarantine.hold_types import HoldKind
from hashscan.quarantine.holds import Holds, waiting_holds

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from hashscan.audit.recorder import Recorder
    from hashscan.model import Digest, Filter
    from hashscan.quarantine.hold_types import Hold

_WHY = "no filter has its digests any more, or the service withdrew them"


def close_corrected(
    path: str,
    filters: Sequence[Filter],
    withdrawn: Collection[Digest],
    recorder: Recorder,
) -> list[str]:
    """Close the holds without a decision whose digests are no longer known; return their ids.

    No file moves when a hold closes, and no digest becomes allowed: if a list contains the digests
    again, the brakes count them as before.

    Args:
        path: path of the file that stores the holds.
        filters: the filters in use; if empty, only withdrawn digests count as no longer known.
        withdrawn: digests that the service withdrew.
        recorder: writes an audit line for each hold, before the hold is closed.

    Raises:
        StateError: the file that stores the holds, or the audit log, cannot be used.
    """
    closed: list[str] = []
    waiting = waiting_holds(path) if os.path.lexists(path) else ()
    if not waiting:
        return closed
    gone = frozenset(withdrawn)
    with Holds(path) as holds:
        for hold in waiting:
            if _is_corrected(holds, hold, filters, gone):
                digests = holds.digests(hold.number)
                recorder.write(events.HOLD_CLOSED, **facts_of(hold, digests), because=_WHY)
                holds.close_hold(hold.number, why=_WHY)
                closed.append(hold.id)
    return closed


def _is_corrected(
    holds: Holds, hold: Hold, filters: Sequence[Filter], withdrawn: frozenset[Digest]
) -> bool:
    if hold.has_one_content and not withdrawn.isdisjoint(holds.digests(hold.number)):
        return True
    if hold.kind is HoldKind.LIST and not holds.own_digests(hold.number):
        # A hold notes only some digests of a long list, but may cover files with other digests.
        return False
    has_digests = False
    for one in _contents(holds, hold):
        has_digests = True
        if any(hit.digest not in withdrawn for hit in hits(filters, one)):
            return False
    return has_digests and bool(filters)


def _contents(holds: Holds, hold: Hold) -> Iterator[FileDigests]:
    """Return the digests of each held file, and the digests that the hold is about."""
    for file in holds.files(hold.number):
        yield file.digests
    for algorithm, text in holds.own_digests(hold.number):
        yield FileDigests()._replace(**{algorithm: bytes.fromhex(text)})
