"""The result of a round over the items of notices, and values for the next round."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from hashscan.jobs.notices.hash_files import NamedSpot
    from hashscan.model import MatchEvent
    from hashscan.notices.notice import ItemState, Role


#: The longest wait in seconds before a round works again on an item that failed, and on an item
#: that is left out because its volume or the service did not answer.
LONGEST_RETRY, LEFT_OUT = 900.0, 3600.0


def is_waiting(until: float, now: float, longest: float) -> bool:
    """Whether the time ``until`` is still in the future.

    A time more than ``longest`` seconds ahead does not count: the clock was set back meanwhile.
    """
    return 0 < until - now <= longest


class Done(NamedTuple):
    """The state of a located item at the end of the last round.

    Attributes:
        stamps: stamps of the item's named files.
        known: name of the known set that judged the files.
        unproven: ``Notice.unproven`` at that time.
        again: time of the next try after a failure; ``None``: no failure.
        wait: seconds until the next try after a further failure.
    """

    stamps: tuple[tuple[int, ...], ...]
    known: str
    again: float | None
    wait: float
    unproven: str = ""


@dataclass(slots=True)
class Memory:
    """Values for the next round, which may be lost with the process.

    Attributes:
        done: located items, by their numbers.
        after: number of the last open item of the last round; 0: begin with the first item.
        settled_after: for each state of settled items, the number of the last item that was
            checked.
        searched: time of the last search of the catalog for content that came back.
        recovered: whether the moves that a killed process began are finished or undone.
        left_out: for each item that is left out, the time at which a round tries it again.
        copies: for each item with unfinished copies, the role of the copies, and the last finished
            copy.
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
        memory: values for the next round.
        events: matches, and files that were moved or held because of a notice.
        lines: level and text for the log.
        more: the next round should begin immediately.
        open: whether open items exist.
    """

    memory: Memory
    events: list[MatchEvent] = field(default_factory=list)
    lines: list[tuple[str, str]] = field(default_factory=list)
    more: bool = field(init=False)
    open: bool = field(init=False)

    def say(self, text: str) -> None:
        """Add a line for the log."""
        self.lines.append(("info", text))
