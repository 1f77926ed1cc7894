"""Counts the open, due soon and overdue notices, for ``status`` and the daemon's log."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hashscan.notices import unread_inputs as unread
from hashscan.notices.clock import AHEAD, due
from hashscan.notices.reader import open_existing
from hashscan.text import counted, human_age, shown

if TYPE_CHECKING:
    from hashscan.notices.notice import Notice
    from hashscan.state import State


#: The kinds of messages in ``Deadlines.messages``.
OVERDUE, DUE_SOON = "overdue", "due soon"


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Numbers and deadlines of the open notices at one moment, for ``status`` and the log.

    Attributes:
        open: number of open notices.
        items: number of open items of the open notices.
        due_soon: number of open notices that are due soon.
        overdue: number of open notices that are overdue.
        next_deadline: the earliest deadline of an open notice, in seconds since the epoch;
            ``None``: no notice is open.
        messages: for the overdue notices and for the notices that are due soon, a kind (``OVERDUE``
            or ``DUE_SOON``) and a text.
        ahead: number of open notices whose time of arrival is in the future, because this machine's
            clock was wrong.
        unread: number of kept mails and files in which hashscan found no notice.
        unapproved: a sentence about notices that move files only after an administrator's approval;
            "": each notice may move its files.
    """

    open: int = 0
    items: int = 0
    due_soon: int = 0
    overdue: int = 0
    next_deadline: float | None = None
    messages: tuple[tuple[str, str], ...] = ()
    ahead: int = 0
    unread: int = 0
    unapproved: str = ""


def deadlines_of(state: State, soon: float, now: float) -> Deadlines | None:
    """Numbers and deadlines of the open notices at ``now``; ``None``: nothing ever arrived.

    ``soon``: a notice with at most this many seconds left counts as due soon.

    Raises:
        StateError: the file of notices cannot be read.
    """
    kept = len(unread.names(state.directory))
    reader = open_existing(state.notices)
    if reader is None:
        return Deadlines(unread=kept) if kept else None
    with reader:
        counts = reader.counts(now, soon)
        messages = []
        late = reader.first_due(-math.inf, math.nextafter(now, -math.inf))
        if late is not None:
            messages.append((OVERDUE, _message(counts.overdue, "overdue", late, now)))
        near = reader.first_due(now, now + soon)
        if near is not None:
            within = f"due within {human_age(soon)}"
            messages.append((DUE_SOON, _message(counts.due_soon, within, near, now)))
        number, first = reader.first_unapproved()
        unapproved = ""
        if first is not None:
            how = "waiting for your approval, because the sender is not proven"
            unapproved = (
                f"{_message(number, how, first, now)}; then 'hashscan notice approve {first.id} "
                "--reason TEXT', or close it"
            )
        return Deadlines(
            counts.open,
            counts.items,
            counts.due_soon,
            counts.overdue,
            counts.next_deadline,
            tuple(messages),
            reader.received_after(now + AHEAD),
            kept,
            unapproved,
        )


def _message(number: int, how: str, first: Notice, now: float) -> str:
    sender = shown((first.authority or first.sender or "anonymous")[:60])
    return (
        f"{counted(number, 'notice')} {'is' if number == 1 else 'are'} {how}, the first is "
        f"{first.id} of {sender}, {due(first, now)}: 'hashscan notice show {first.id}'"
    )
