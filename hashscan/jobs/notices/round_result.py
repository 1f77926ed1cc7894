"""The result of a round over the items of notices, and what it leaves to the next round."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from hashscan.jobs.notices.hash_files import NamedSpot
    from hashscan.model import MatchEvent
    from hashscan.notices.notice import ItemState, Role


#: Longest wait in seconds until an item that failed, or stood still, is tried again.
LONGEST_RETRY, LEFT_OUT = 900.0, 3600.0


def is_waiting(until: float, now: float, longest: float) -> bool:
    """Whether ``until`` is still ahead.

    A wait of more than ``longest`` seconds is over: the clock was set back meanwhile.
    """
    return 0 < until - now <= longest


class Done(NamedTuple):
    """A located item as the last round left it.

    Attributes:
        stamps: of its named files.
        known: name of the known set that judged them.
        unproven: ``Notice.unproven`` at that time.
        again: time of the next try after a failure; ``None``: nothing failed.
        wait: seconds until the next try after a further failure.
    """

    stamps: tuple[tuple[int, ...], ...]
    known: str
    again: float | None
    wait: float
    unproven: str = ""


@dataclass(slots=True)
class Memory:
    """Values for the next round. They may be lost with the process.

    Attributes:
        done: located items, by their numbers.
        after: number of the last open item of the last round; 0: begin with the first item.
        settled_after: number of the last settled item, by state.
        searched: time of the last search of the catalog for content that is back.
        recovered: moves that a killed process began are finished or undone.
        left_out: for each item that is left out, the time until then.
        copies: for each item with copies for the next round, their role, and the last copy that
            this round worked on.
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
    """The result of a round.

    Attributes:
        memory: for the next round.
        events: matches, and files that were moved or held because of a notice.
        lines: level and text for the log.
        more: the next round should begin immediately.
        open: there are open items.
    """

    memory: Memory
    events: list[MatchEvent] = field(default_factory=list)
    lines: list[tuple[str, str]] = field(default_factory=list)
    more: bool = field(init=False)
    open: bool = field(init=False)

    def say(self, text: str) -> None:
        """Add a line for the log."""
        self.lines.append(("info", text))
