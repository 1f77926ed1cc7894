"""What a round over the items of notices takes from the last one, and what it comes to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from hashscan.model import MatchEvent
    from hashscan.notices.notice import ItemState


class Done(NamedTuple):
    """A located item as the last round left it.

    Attributes:
        stamps: of its named files.
        known: name of the known set that judged them.
        unproven: as the notice was: see ``notices.notice.Notice``.
        again: when to try again what failed; ``None``: nothing failed.
        wait: seconds that the next failure waits.
    """

    stamps: tuple[tuple[int, ...], ...]
    known: str
    again: float | None
    wait: float
    unproven: str = ""


@dataclass(slots=True)
class Memory:
    """What one round leaves to the next; nothing in it must survive the process.

    Attributes:
        done: located items, by their numbers.
        after: number of the last open item of the last round; 0: the next round begins anew.
        settled_after: likewise of settled items, by state.
        searched: when the catalog was searched last for content that is back.
        recovered: moves that a killed process began are finished or undone.
        left_out: items that are left alone, and until when.
    """

    done: dict[int, Done] = field(default_factory=dict)
    after: int = 0
    settled_after: dict[ItemState, int] = field(default_factory=dict)
    searched: float = 0.0
    recovered: bool = False
    left_out: dict[int, float] = field(default_factory=dict)


@dataclass(slots=True)
class Round:
    """The result of a round.

    Attributes:
        memory: for the next round.
        events: matches, and files that were moved or held because of a notice.
        lines: level and text for the log.
        more: there is more to do at once.
        open: there are open items.
    """

    memory: Memory
    events: list[MatchEvent] = field(default_factory=list)
    lines: list[tuple[str, str]] = field(default_factory=list)
    more: bool = False
    open: bool = False

    def say(self, text: str) -> None:
        """Add a line for the log."""
        self.lines.append(("info", text))
