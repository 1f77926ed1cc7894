"""A directory under way, and what was learned of it before it counts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from hashscan.catalog.rows import QueuedDirectory
from hashscan.scan.frontier import Waiting
from hashscan.scan.work import Job, Tally, Task

if TYPE_CHECKING:
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
        check: instead of all else it is seen whether the volume is still there.
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
    check: bool = False

    def task(self, number: int) -> Task:
        """Return the task that does this group, which has the number ``number``."""
        volume, directory, _ = self.waiting
        task = Task(number, volume, directory.number, directory.path, directory.fresh)
        search = self.search
        if search is not None:
            return task._replace(job=Job.SEARCH, names=search.names, inode=search.inode)
        if self.check:
            return task._replace(job=Job.CHECK)
        if self.names is None:
            return task
        return task._replace(names=self.names, look=True, final=self.final, large=self.large)

    def again(self) -> Group:
        """Return the group that does once more what this one, which failed, was to do."""
        return Group(
            self.waiting,
            deaths=self.deaths,
            avoid=self.avoid if self.at is None else self.avoid | {self.at},
            names=self.names,
            final=self.final,
            large=self.large,
            check=self.check,
        )

    @property
    def is_bulk(self) -> bool:
        """Whether it may take long: all of a directory, or a large file."""
        return (self.names is None and self.search is None) or self.large


def group_of(search: Search) -> Group:
    """The group that does a search."""
    directory = QueuedDirectory(search.directory, search.path, fresh=False)
    return Group(Waiting(search.volume, directory, 0.0), search=search)


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
