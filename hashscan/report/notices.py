"""Computes the report's figures of notices and their items."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from hashscan.notices.notice import SETTLED, ItemState
from hashscan.report.removal import RemovalTally, share

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hashscan.notices.reader import Outcome
    from hashscan.report.removal import Removal

#: Largest number of senders with a row of their own; all other senders share one row.
MOST_SENDERS = 50
#: Largest number of open items of notices that the report lists.
MOST_OPEN = 200
#: Pattern for the first word of a reason of ``not-here``: ``no-site: img.example is in no site``.
_KIND = re.compile(r"([a-z][a-z-]{0,30})(?::|$)")
OTHER = "other"


@dataclass(frozen=True, slots=True)
class Sender:
    """Figures of the notices of one sender.

    Attributes:
        name: the sender's name; ``None``: an anonymous sender.
    """

    name: str | None
    notices: int
    items: int
    states: dict[ItemState, int]


@dataclass(frozen=True, slots=True)
class Month:
    """Figures of the notices that were received in one month, by UTC.

    Attributes:
        month: the month in the form ``2026-11``.
        from_sent, from_received: figures of the month as in ``NoticeFigures``.
    """

    month: str
    notices: int
    items: int
    from_sent: Removal
    from_received: Removal


@dataclass(frozen=True, slots=True)
class OpenItem:
    """An item of a notice that is open when the report is made."""

    notice: str
    value: str
    deadline: float
    overdue: bool


@dataclass(frozen=True, slots=True)
class NoticeFigures:
    """Figures of the notices received in the period, with the present states of their items.

    Attributes:
        open_notices: number of notices that are not closed.
        states: number of items of notices by state.
        senders: the senders with the largest numbers of items.
        other_senders: number of all other senders; ``others`` adds up the items of these senders.
        from_sent: figures of the hours to removal, from the time of sending, or from the receipt if
            the notice gives no time of sending.
        from_received: figures of the hours to removal, from the receipt of the notice.
        without_sent: number of items whose notice gives no time of sending.
        within_deadline: share of items whose removals were all by their deadlines, among the items
            that are removed, or open and overdue.
        repeats: number of items that an earlier notice had named.
        reopened: number of items that were received again after they were settled.
        overdue: number of open items whose deadline has passed.
        open_before: number of open items of notices received before the period.
        overdue_before: number of overdue items of notices received before the period.
        not_here: number of items with the state ``not-here``, by the kind of the reason.
        open_items: the first open items with their values; empty without the option ``--names``.
    """

    notices: int
    open_notices: int
    items: int
    states: dict[ItemState, int]
    senders: tuple[Sender, ...]
    other_senders: int
    others: Sender | None
    from_sent: Removal
    from_received: Removal
    without_sent: int
    within_deadline: float | None
    months: tuple[Month, ...]
    repeats: int
    reopened: int
    overdue: int
    open_before: int
    overdue_before: int
    not_here: dict[str, int]
    open_items: tuple[OpenItem, ...]

    @property
    def open(self) -> int:
        """Return the number of open items of the notices."""
        return self.items - sum(self.states.get(one, 0) for one in SETTLED)


def month_of(seconds: float) -> str:
    """Return the month of a time, by UTC: ``2026-11``."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m}"


def reason_kind(reason: str) -> str:
    """Return the first word of a reason; the rest may have paths and names of customers."""
    found = _KIND.match(reason)
    return found[1] if found else OTHER


class _Group:
    """Adds up the items of one sender, or the items of one month."""

    def __init__(self) -> None:
        self.notices = 0
        self.items = 0
        self.states: Counter[ItemState] = Counter()
        self.from_sent = RemovalTally()
        self.from_received = RemovalTally()

    def include(self, other: _Group) -> None:
        self.notices += other.notices
        self.items += other.items
        self.states += other.states

    def sender(self, name: str | None) -> Sender:
        return Sender(name, self.notices, self.items, dict(self.states))


class _NoticeTally:
    """Adds up items of notices one by one; keeps 24 bytes for each removed item."""

    def __init__(self, made: float, *, names: bool) -> None:
        self._made = made
        self._names = names
        self._last_notice: str | None = None
        self._senders: dict[str | None, _Group] = {}
        self._months: dict[str, _Group] = {}
        self._all = _Group()
        self._counts: Counter[str] = Counter()
        self._not_here: Counter[str] = Counter()
        self._open: list[OpenItem] = []

    def add(self, outcome: Outcome) -> None:
        sender = self._senders.setdefault(outcome.sender, _Group())
        month = self._months.setdefault(month_of(outcome.received), _Group())
        for group in (sender, month, self._all):
            group.notices += outcome.notice != self._last_notice
            group.items += 1
            group.states[outcome.state] += 1
        self._counts["open_notices"] += outcome.is_open and outcome.notice != self._last_notice
        self._last_notice = outcome.notice
        self._counts["without_sent"] += outcome.sent is None
        self._counts["repeats"] += outcome.is_repeat
        self._counts["reopened"] += outcome.reopened > 0
        if outcome.state is ItemState.NOT_HERE:
            self._not_here[reason_kind(outcome.reason)] += 1
        elif outcome.state is ItemState.REMOVED and outcome.removed is not None:
            for group in (month, self._all):
                group.from_sent.add_removed(outcome.removed - outcome.begin)
                group.from_received.add_removed(outcome.removed - outcome.received)
            self._counts["in_time"] += not outcome.late
        elif outcome.state not in SETTLED:
            for group in (month, self._all):
                group.from_sent.add_open(self._made - outcome.begin)
                group.from_received.add_open(self._made - outcome.received)
            self._add_open(outcome)

    def _add_open(self, outcome: Outcome) -> None:
        overdue = outcome.deadline < self._made
        self._counts["overdue"] += overdue
        if self._names and len(self._open) < MOST_OPEN:
            self._open.append(OpenItem(outcome.notice, outcome.value, outcome.deadline, overdue))

    def result(self, open_before: int, overdue_before: int) -> NoticeFigures:
        ranked = sorted(
            self._senders.items(), key=lambda one: (-one[1].items, one[0] is None, one[0] or "")
        )
        rest = ranked[MOST_SENDERS:]
        others = _Group()
        for _, group in rest:
            others.include(group)
        from_sent = self._all.from_sent.result()
        counts = self._counts
        return NoticeFigures(
            notices=self._all.notices,
            open_notices=counts["open_notices"],
            items=self._all.items,
            states=dict(self._all.states),
            senders=tuple(group.sender(name) for name, group in ranked[:MOST_SENDERS]),
            other_senders=len(rest),
            others=others.sender(None) if rest else None,
            from_sent=from_sent,
            from_received=self._all.from_received.result(),
            without_sent=counts["without_sent"],
            within_deadline=share(counts["in_time"], from_sent.removed + counts["overdue"]),
            months=tuple(
                Month(
                    name,
                    group.notices,
                    group.items,
                    group.from_sent.result(),
                    group.from_received.result(),
                )
                for name, group in sorted(self._months.items())
            ),
            repeats=counts["repeats"],
            reopened=counts["reopened"],
            overdue=counts["overdue"],
            open_before=open_before,
            overdue_before=overdue_before,
            not_here=dict(self._not_here.most_common()),
            open_items=tuple(self._open),
        )


def notice_figures(
    outcomes: Iterable[Outcome],
    made: float,
    *,
    open_before: tuple[int, int] = (0, 0),
    names: bool = False,
) -> NoticeFigures:
    """Return the figures of the items of a period's notices, with the items' states at ``made``.

    Args:
        outcomes: items from ``Reader.outcomes``; the items of one notice follow each other.
        made: time at which the report is made, in seconds since the epoch.
        open_before: numbers from ``Reader.open_before``.
        names: True to list the open items with their values.
    """
    tally = _NoticeTally(made, names=names)
    for one in outcomes:
        tally.add(one)
    return tally.result(*open_before)
