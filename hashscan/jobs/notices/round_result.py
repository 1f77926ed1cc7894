"""The result of a round over the items of notices, and the values that the next round needs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from hashscan.jobs.notices.hash_files import NamedSpot
    from hashscan.model import MatchEvent
    from hashscan.notices.notice import ItemState, Role


#: The longest wait, in seconds, before a round works again on an item of a notice that failed, or
#: that was left out because its volume or the service did not answer.
LONGEST_RETRY, LEFT_OUT = 900.0, 3600.0


def is_waiting(until: float, now: float, longest: float) -> bool:
    """Whether the time ``until``, until which an item waits, is still in the future.

    A time more than ``longest`` seconds ahead does not count: the clock was set back in between.
    """
    return 0 < until - now <= longest


class Done(NamedTuple):
    """The state of a located item at the end of the last round that worked on the item.

    Attributes:
        stamps: identity, size and times of each file that the notice's item names, to detect a
            change.
        known: name of the known set that judged the files of the notice's item.
        unproven: why the sender of the item's notice was not verified then, as in
            ``Notice.unproven``.
        again: time at which a round tries the item again after a failure; ``None``: no failure.
        wait: seconds until a round works on the item again after a further failure.
    """

    stamps: tuple[tuple[int, ...], ...]
    known: str
    again: float | None
    wait: float
    unproven: str = ""


@dataclass(slots=True)
class Memory:
    """Values that a round leaves for the next round. The values may be lost with the process.

    Attributes:
        done: the state of each located item, by the item's number.
        after: number of the last open item on which the last round worked; 0: begin with the first
            item.
        settled_after: for each state of settled items, the number of the last item of a notice that
            a round checked.
        searched: time of the last search of the catalog for removed content that came back.
        recovered: whether a round has finished or undone the moves into quarantine that a killed
            process began.
        left_out: for each item that rounds leave out, by its number, the time at which a round
            tries the item again.
        copies: for each item with copies still to check, the role of the copies, and the last
            checked copy.
    """

    done: dict[int, Done] = field(default_factory=dict)
    after: int = 0
    settled_after: dict[ItemState, int] = field(default_factory=dict)
    searched: float = 0.0
    recovered: bool = False
    left_out: dict[int, float] = field(default_factory=dict)
    copies: dict[int, tuple[Role, NamedSpot]] = field(default_factory=dict)


@dataclass(slots=True)
class Round:
    """The result of a round over the items of notices.

    Attributes:
        memory: the values that this round leaves for the next round.
        events: matches; and files that were moved, or held for a decision, because of a notice.
        lines: level and text of each line for the log.
        more: whether the next round should begin immediately.
        open: whether any item of a notice is still open.
    """

    memory: Memory
    events: list[MatchEvent] = field(default_factory=list)
    lines: list[tuple[str, str]] = field(default_factory=list)
    more: bool = field(init=False)
    open: bool = field(init=False)

    def say(self, text: str) -> None:
        """Add a line for the log to the result of the round."""
        self.lines.append(("info", text))
