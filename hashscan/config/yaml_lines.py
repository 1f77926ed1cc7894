"""The content of a configuration file as plain data, with the line of every key."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hashscan.text import shown

Loc = tuple[str | int, ...]

#: Number of characters of a key that a message shows.
_LONGEST_KEY = 60


class TextError(Exception):
    """The text is not YAML, because of a fault on line ``line`` (from 1)."""

    def __init__(self, line: int, what: str, fix: str) -> None:
        self.line = line
        self.fix = fix
        super().__init__(what)


@dataclass(slots=True)
class Document:
    """The content of a configuration file.

    Attributes:
        data: plain data: dicts with ``str`` keys, lists, ``str``, ``int``, ``float``, ``bool``,
            ``None``.
        lines: the line of each key and of each item of a list, from 1.
        faults: place, fault and fix of everything that is YAML, but not allowed here.
        spoiled: places whose data mean nothing, because a fault of them is already reported.
    """

    data: Any = None
    lines: dict[Loc, int] = field(default_factory=dict)
    faults: list[tuple[Loc, int, str, str]] = field(default_factory=list)
    spoiled: set[Loc] = field(default_factory=set)

    def line(self, loc: Loc) -> int:
        """The line of ``loc``, or of the nearest written section around ``loc``."""
        while loc and loc not in self.lines:
            loc = loc[:-1]
        return self.lines.get(loc, 1)

    def is_spoiled(self, loc: Loc) -> bool:
        """Whether ``loc`` is in a place with a fault that is already reported."""
        return any(loc[:length] in self.spoiled for length in range(len(loc) + 1))


def short(key: str) -> str:
    """A key for a message: printable, and no longer than a line."""
    return shown(key if len(key) <= _LONGEST_KEY else key[: _LONGEST_KEY - 1] + "…")
