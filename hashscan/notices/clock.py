"""Computes how urgent a notice is from its deadline.

The caller passes the current time as ``now``, so that a test needs no real clock. A notice's
deadline is the time by which all items of the notice must be settled. A provider must remove
reported content within 24 hours, which begin at ``Notice.begin``.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from hashscan.text import human_age, local_time

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hashscan.notices.notice import Notice

#: The time at which a notice arrived may be this many seconds ahead of this machine's clock.
AHEAD = 3600.0
#: The longest time in seconds from the sending of a mail to its arrival. Mail servers try for this
#: time to deliver a mail (RFC 5321, section 4.5.4.1).
LONGEST_WAY = 5 * 86400.0


class Urgency(StrEnum):
    """How near the deadline of a notice is; the most urgent value comes first."""

    OVERDUE = "overdue"
    SOON = "soon"
    LATER = "later"
    CLOSED = "closed"  #: the notice is closed, so its deadline no longer counts


_ORDER = {one: number for number, one in enumerate(Urgency)}


def urgency(notice: Notice, now: float, soon: float) -> Urgency:
    """The urgency of a notice at ``now``; ``SOON``: its deadline is within ``soon`` seconds."""
    if notice.closed is not None:
        return Urgency.CLOSED
    if notice.deadline < now:
        return Urgency.OVERDUE
    return Urgency.SOON if notice.deadline - now <= soon else Urgency.LATER


def by_urgency(notices: Iterable[Notice], now: float, soon: float) -> list[Notice]:
    """Open notices sorted by deadline, then closed notices, the latest closed first."""
    return sorted(
        notices,
        key=lambda one: (
            _ORDER[urgency(one, now, soon)],
            one.deadline if one.closed is None else -one.closed,
            one.id,
        ),
    )


def due(notice: Notice, now: float) -> str:
    """A notice's deadline or time of closing in words, e.g. ``overdue for 3 h (since …)``."""
    if notice.closed is not None:
        late = notice.closed - notice.deadline
        when = f"closed {local_time(notice.closed)}"
        return f"{when}, {human_age(late)} late" if late > 0 else f"{when}, in time"
    left = notice.deadline - now
    if left < 0:
        return f"overdue for {human_age(-left)} (since {local_time(notice.deadline)})"
    return f"due in {human_age(left)} ({local_time(notice.deadline)})"


def doubts(notice: Notice, now: float) -> list[str]:
    """Remarks on a notice's times that show a wrong clock, and on what the wrong clock changes."""
    found = []
    if notice.sent is not None and notice.sent > notice.received:
        found.append(
            f"the time of sending, {local_time(notice.sent)}, is after the arrival, so the"
            " deadline counts from the arrival"
        )
    elif notice.sent is not None and notice.received - notice.sent > LONGEST_WAY:
        found.append(
            f"it arrived {human_age(notice.received - notice.sent)} after the time of sending,"
            f" {local_time(notice.sent)}, from which the deadline counts; if that time is wrong,"
            " add the notice again with --again and --deadline, and close this one"
        )
    if notice.received - now > AHEAD:
        found.append(
            f"the arrival is {human_age(notice.received - now)} in the future: this machine's clock"
            " was wrong then, or is wrong now (timedatectl), and so is the deadline"
        )
    return found
