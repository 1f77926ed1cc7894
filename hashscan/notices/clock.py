"""How urgent a notice is, and the words for it.

The caller gives the time (``now``) with each call, so that a test needs no real clock. A deadline
is stored with its notice; ``Notice.begin`` says from which time it was reckoned.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from hashscan.text import human_age, local_time

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hashscan.notices.notice import Notice

#: Seconds by which a time may be ahead of the clock of another machine, or of this one.
AHEAD = 3600.0
#: Seconds from the sending of a mail to its arrival; RFC 5321, section 4.5.4.1, tries for so long.
LONGEST_WAY = 5 * 86400.0


class Urgency(StrEnum):
    """How near the deadline of a notice is. The most urgent first."""

    OVERDUE = "overdue"
    SOON = "soon"
    LATER = "later"
    CLOSED = "closed"  #: the clock does not count any more


_ORDER = {one: number for number, one in enumerate(Urgency)}


def urgency(notice: Notice, now: float, soon: float) -> Urgency:
    """The urgency at ``now``; *soon* is at most ``soon`` seconds before the deadline."""
    if notice.closed is not None:
        return Urgency.CLOSED
    if notice.deadline < now:
        return Urgency.OVERDUE
    return Urgency.SOON if notice.deadline - now <= soon else Urgency.LATER


def by_urgency(notices: Iterable[Notice], now: float, soon: float) -> list[Notice]:
    """Sort: overdue, due soon, and later ones by their deadlines; then closed ones, newest first.

    Of overdue notices, the longest overdue is first.
    """
    return sorted(
        notices,
        key=lambda one: (
            _ORDER[urgency(one, now, soon)],
            one.deadline if one.closed is None else -one.closed,
            one.id,
        ),
    )


def due(notice: Notice, now: float) -> str:
    """When a notice must be settled, or when it was closed: ``overdue for 3 h (since …)``."""
    if notice.closed is not None:
        late = notice.closed - notice.deadline
        when = f"closed {local_time(notice.closed)}"
        return f"{when}, {human_age(late)} late" if late > 0 else f"{when}, in time"
    left = notice.deadline - now
    if left < 0:
        return f"overdue for {human_age(-left)} (since {local_time(notice.deadline)})"
    return f"due in {human_age(left)} ({local_time(notice.deadline)})"


def doubts(notice: Notice, now: float) -> list[str]:
    """Times of a notice that show that a clock is wrong, each with what follows from it."""
    found = []
    if notice.sent is not None and notice.sent > notice.received:
        found.append(
            f"the sender's time {local_time(notice.sent)} is after the arrival, so the clock"
            " counts from the arrival"
        )
    elif notice.sent is not None and notice.received - notice.sent > LONGEST_WAY:
        found.append(
            f"it arrived {human_age(notice.received - notice.sent)} after the sender's time"
            f" {local_time(notice.sent)}, from which the clock counts; if that time is wrong,"
            " take the notice again with --again and --deadline, and close this one"
        )
    if notice.received - now > AHEAD:
        found.append(
            f"it was received {human_age(notice.received - now)} in the future, so this machine's"
            " clock was wrong then or is wrong now (timedatectl), and the deadline with it"
        )
    return found
