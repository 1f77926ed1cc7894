"""Describes a directory being scanned; its results count only when the whole directory is done."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from hashscan.catalog.rows import QueuedDirectory
from hashscan.scan.directory_queue import WaitingDirectories
from hashscan.scan.messages import Job, Tally, Task

if TYPE_CHECKING:
    from hashscan.scan.lost_directories import Search


@dataclass(slots=True)
class DirectoryGroup:
    """Describes a directory being scanned, plus the parts of the directory at other workers.

    Attributes:
        waiting: the directory that the group scans.
        tally: counts of the outcomes in the directory's finished parts.
        open: number of the directory's unfinished parts.
        failed: a worker process died while it worked on a part of the directory.
        deaths: number of worker processes that died while they worked on the directory.
        at: name of the directory entry that a worker process was about to open.
        avoid: names of the directory entries at which worker processes died.
        names: the only directory entries to handle, with their inodes; ``None``: all entries.
        final: files among ``names`` are hashed even if a process still writes to them.
        large: the entries in ``names`` are large files.
        unrested: names and sizes of files among ``names`` to which a process still writes.
        later: names and sizes of files among ``names`` that must be checked again.
        elsewhere: names of large files among ``names``, which have their own groups.
        forgotten: the group is not repeated if a worker process dies over it.
        lost: names and inodes of files that were gone when a worker opened them.
        unopened: directory entries without an outcome, because the directory was gone.
        replaced: the directory's inode, if the listing of its parent showed another inode; see
            ``Findings``.
        search: lost directories to find in the directory; such a group does no other work.
        check: the group only checks whether the volume is still there.
        since: monotonic time at which the watch requested the check of ``names``; 0: the watch did
            not request the check.
    """

    waiting: WaitingDirectories
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
    replaced: int = 0
    search: Search | None = None
    check: bool = False
    since: float = 0.0

    def task(self, number: int) -> Task:
        """Return the task that does the work of this group; ``number`` is the group's number."""
        volume, directory, _ = self.waiting
        task = Task(number, volume, directory.number, directory.path, directory.fresh)
        search = self.search
        if search is not None:
            return task._replace(job=Job.SEARCH, names=search.names, inode=search.inode)
        if self.check:
            return task._replace(job=Job.CHECK)
        if self.names is None:
            return task._replace(inode=directory.inode)
        return task._replace(names=self.names, look=True, final=self.final, large=self.large)

    def again(self) -> DirectoryGroup:
        """Return a new group that repeats the work of this group after a failure."""
        return DirectoryGroup(
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
        """Return whether the group's work may take long: a whole directory, or a large file."""
        return (self.names is None and self.search is None) or self.large


def group_of(search: Search) -> DirectoryGroup:
    """Return the group that carries out the search for lost directories."""
    directory = QueuedDirectory(search.directory, search.path, fresh=False)
    return DirectoryGroup(WaitingDirectories(search.volume, directory, 0.0), search=search)


class CheckedEntries(NamedTuple):
    """Holds the result of checking some entries of a directory.

    Attributes:
        directory: path of the directory below the volume's root.
        names: names of the checked entries.
        unrested: names and sizes of the checked files to which a process still writes.
        later: names and sizes of the checked files to check again even if they do not change.
    """

    volume: int
    directory: bytes
    names: list[bytes]
    unrested: list[tuple[bytes, int]]
    later: list[tuple[bytes, int]]
