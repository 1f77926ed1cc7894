"""The states of a candidate, and SQL conditions on them."""

from __future__ import annotations

from enum import StrEnum


class CandidateState(StrEnum):
    """A candidate's state in the queue: the column ``state``.

    The column ``error`` says why for some states: why there is no verdict (``WAITING``), why the
    match was not moved (``UNMOVED``, ``REPORTED``), why its last move failed (``ACTING``), or the
    id of the hold (``HELD``).
    """

    #: The candidate has no verdict of the service yet.
    WAITING = "waiting"
    #: The verdict is ``known``, and the match must be acted on.
    MATCH = "match"
    #: An action on the match is running. After a kill, the match's file may be in quarantine
    #: already.
    ACTING = "acting"
    #: The match could not be moved; hashscan tries the move again.
    UNMOVED = "unmoved"
    #: The candidate left the queue; its row is kept until the end of the scan.
    DONE = "done"
    #: The match was only reported. ``status`` counts the match until a scan does not find its file.
    REPORTED = "reported"
    #: A brake holds the match. A scan that finds the match's file acts on the match again; a scan
    #: that does not find the file removes the match's row.
    HELD = "held"


def is_in(*states: CandidateState) -> str:
    """The SQL condition that a candidate is in one of the given states."""
    return f"state IN ({', '.join(repr(state.value) for state in states)})"


_STATE = CandidateState
IS_WAITING = is_in(_STATE.WAITING)
UNMOVED = is_in(_STATE.UNMOVED)
REPORTED = is_in(_STATE.REPORTED)
#: Reported matches that a one-off scan could not move.
NOT_MOVED = f"{REPORTED} AND error IS NOT NULL"
#: Candidates that leave the queue if no scan finds them again.
UNTIL_MISSED = is_in(_STATE.REPORTED, _STATE.HELD)
#: Matches that could not be moved, also while hashscan tries their move again: the reason of the
#: last failure is kept until the move succeeds.
COULD_NOT_MOVE = f"({UNMOVED} OR ({is_in(_STATE.ACTING)} AND error IS NOT NULL))"
#: Candidates that wait for a verdict, and matches that wait for their first action.
PENDING = f"({is_in(_STATE.WAITING, _STATE.MATCH, _STATE.ACTING)} AND NOT {COULD_NOT_MOVE})"
#: All candidates in the queue.
QUEUED = is_in(_STATE.WAITING, _STATE.MATCH, _STATE.ACTING, _STATE.UNMOVED)
#: Matches on which no process is acting.
NOT_BEGUN = is_in(_STATE.MATCH, _STATE.UNMOVED)
#: Candidates in the queue with the verdict ``known``.
KNOWN = is_in(_STATE.MATCH, _STATE.ACTING, _STATE.UNMOVED)
#: Matches whose file is still in its place on the volume.
IN_PLACE = is_in(_STATE.MATCH, _STATE.ACTING, _STATE.UNMOVED, _STATE.REPORTED)
