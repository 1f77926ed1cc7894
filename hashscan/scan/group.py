"""A directory under way, and what was learned of it before it counts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from hashscan.scan.work import Tally

if TYPE_CHECKING:
    from hashscan.scan.frontier import Waiting
    from hashscan.scan.lost import Search


@dataclass(slots=True)
class Group:
    """A directory under way, with what was given away of it.

    Attributes:
        names: only these of its entries are looked at; ``None``: all are.
        final: files among them are hashed even where they are not whole yet.
        large: they are large files.
        unrested: names and sizes of files among them that are not whole yet.
        later: names and sizes of those that are to be looked at once more.
        elsewhere: large files among them, which are looked at by themselves.
        forgotten: it is not done again where it fails.
        lost: names and inodes of files that were gone when they were opened.
        unopened: entries that have no outcome since the directory was gone.
        search: what is looked for in it, instead of all else.
    """

    waiting: Waiting
    tally: Tally = field(default_factory=Tally)
    open: int = 1
    failed: bool = False
    deaths: int = 0
    at: bytes | None = None
    avoid: frozenset[bytes] = frozenset()
    names: tuple[tuple[bytes, int], ...] | None = None
    final: bool = False
    large: bool = False
    unrested: list[tuple[bytes, int]] = field(default_factory=list)
    later: list[tuple[bytes, int]] = field(default_factory=list)
    elsewhere: set[bytes] = field(default_factory=set)
    forgotten: bool = False
    lost: list[tuple[bytes, int]] = field(default_factory=list)
    unopened: list[bytes] = field(default_factory=list)
    search: Search | None = None

    @property
    def is_bulk(self) -> bool:
        """Whether it may take long: all of a directory, or a large file."""
        return (self.names is None and self.search is None) or self.large


class Looked(NamedTuple):
    """What a look at some entries of a directory came to.

    Attributes:
        directory: path below the volume's root.
        names: that were looked at.
        unrested: names and sizes of files among them that are not whole yet.
        later: names and sizes of files that are to be looked at once more as they are.
    """

    volume: int
    directory: bytes
    names: list[bytes]
    unrested: list[tuple[bytes, int]]
    later: list[tuple[bytes, int]]
