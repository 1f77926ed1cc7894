"""Closes holds whose list was corrected: there is nothing left to decide about."""

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
    """Close the waiting holds whose digests are no longer known; return their ids.

    No file moves by this, and no digest becomes allowed: if a list has the digests again, the
    brakes count as before.

    Args:
        path: of the file of holds.
        filters: in use; none: they are not asked, so only withdrawn digests count.
        withdrawn: digests that the service withdrew.
        recorder: writes a line for each hold, before it is closed.

    Raises:
        StateError: the file of holds, or the audit log, cannot be used.
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
        return False  # of a list with too many digests to note, others are held, too
    has_digests = False
    for one in _contents(holds, hold):
        has_digests = True
        if any(hit.digest not in withdrawn for hit in hits(filters, one)):
            return False
    return has_digests and bool(filters)


def _contents(holds: Holds, hold: Hold) -> Iterator[FileDigests]:
    """The digests of each file of a hold, and those that the hold is about."""
    for file in holds.files(hold.number):
        yield file.digests
    for algorithm, text in holds.own_digests(hold.number):
        yield FileDigests()._replace(**{algorithm: bytes.fromhex(text)})
