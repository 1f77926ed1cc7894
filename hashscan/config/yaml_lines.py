"""The content of a configuration file as plain data, with the line of every key."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hashscan.text import shown

Loc = tuple[str | int, ...]

#: Most characters of a key of the configuration that a message shows.
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
        data: the file's content as plain data: dicts with ``str`` keys, lists, ``str``, ``int``,
            ``float``, ``bool``, ``None``.
        lines: the number of the file's line, from 1, of each key and of each item of a list.
        faults: position, line, fault and fix of each construct that is YAML, but not allowed in a
            configuration.
        spoiled: positions whose data must not be checked, because ``faults`` already has a fault
            there.
    """

    data: Any = None
    lines: dict[Loc, int] = field(default_factory=dict)
    faults: list[tuple[Loc, int, str, str]] = field(default_factory=list)
    spoiled: set[Loc] = field(default_factory=set)

    def line(self, loc: Loc) -> int:
        """The line of the position ``loc``, or of the nearest section in the file around it."""
        while loc and loc not in self.lines:
            loc = loc[:-1]
        return self.lines.get(loc, 1)

    def is_spoiled(self, loc: Loc) -> bool:
        """Whether ``faults`` already has a fault at the position ``loc`` or around it."""
        return any(loc[:length] in self.spoiled for length in range(len(loc) + 1))


def short(key: str) -> str:
    """Write a key for a message: printable, and shortened if the key is long."""
    return shown(key if len(key) <= _LONGEST_KEY else key[: _LONGEST_KEY - 1] + "…")
