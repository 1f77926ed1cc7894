"""The states of a candidate, and SQL conditions on them."""

from __future__ import annotations

from enum import StrEnum


class CandidateState(StrEnum):
    """A candidate's state in the queue: the column ``state``.

    The column ``error`` says why for some states: why there is no verdict (``WAITING``), why the
    match was not moved (``UNMOVED``, ``REPORTED``), or the id of the hold (``HELD``).
    """

    #: It has no verdict.
    WAITING = "waiting"
    #: Its verdict is ``known``, and it is to be acted on.
    MATCH = "match"
    #: It is being acted on. After a kill, its file may be in quarantine already.
    ACTING = "acting"
    #: A match that is still in its place although it should have been moved; it is tried again.
    UNMOVED = "unmoved"
    #: It is not in the queue any more; the row stays to the end of the scan.
    DONE = "done"
    #: A match that stays in its place. It is counted until a scan does not find it.
    REPORTED = "reported"
    #: A match that a brake holds. Each scan that finds it acts on it again, and a scan that does
    #: not find it forgets it.
    HELD = "held"


def is_in(*states: CandidateState) -> str:
    """A condition in SQL: the candidate is in one of these states."""
    return f"state IN ({', '.join(repr(one.value) for one in states)})"


_STATE = CandidateState
IS_WAITING = is_in(_STATE.WAITING)
UNMOVED = is_in(_STATE.UNMOVED)
REPORTED = is_in(_STATE.REPORTED)
#: Reported matches that a scan by hand should have moved and could not.
NOT_MOVED = f"{REPORTED} AND error IS NOT NULL"
#: Candidates that leave the queue if no scan finds them again.
UNTIL_MISSED = is_in(_STATE.REPORTED, _STATE.HELD)
#: Candidates that wait for a verdict, or for the action that it asks for.
PENDING = is_in(_STATE.WAITING, _STATE.MATCH, _STATE.ACTING)
#: All candidates in the queue.
QUEUED = is_in(_STATE.WAITING, _STATE.MATCH, _STATE.ACTING, _STATE.UNMOVED)
#: Matches whose verdict nobody acts on now.
NOT_BEGUN = is_in(_STATE.MATCH, _STATE.UNMOVED)
#: Candidates that have a verdict ``known`` and are in the queue.
KNOWN = is_in(_STATE.MATCH, _STATE.ACTING, _STATE.UNMOVED)
#: Matches that are still in their place.
IN_PLACE = is_in(_STATE.MATCH, _STATE.ACTING, _STATE.UNMOVED, _STATE.REPORTED)
