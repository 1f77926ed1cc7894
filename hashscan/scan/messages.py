"""Defines the messages between the engine and its worker processes.

The unit of work is a directory. The process that lists a large directory hands parts of it to idle
processes, through the engine. The directory and these parts form a group. The results of a group
count only when the whole group is done. Therefore a group whose process dies is simply repeated.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hashscan.catalog.rows import FoundCandidate, FoundProblem, RawRow
    from hashscan.model import Summary
    from hashscan.scan.options import ScanOptions


#: Number of a directory's rows that a worker process sends together.
PART_FILES = 256


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """Holds the settings of the worker processes; all processes get the same settings.

    Attributes:
        options: the options of the scan.
        roots: ids of the volumes' roots in the catalog, in the order of ``options.volumes``.
        catalog: path of the catalog file.
        judged: number of the set of filters in the catalog.
        scan: number of this scan in the catalog.
        resumed: with ``options.full``, the number of the interrupted scan that this scan continues.
        judged_until: rows of scans up to this number were already checked against the filter set
            ``judged``, even if they name another set; 0: there are no such rows.
    """

    options: ScanOptions
    roots: tuple[int, ...]
    catalog: str
    judged: int
    scan: int
    resumed: int | None = None
    judged_until: int = 0


class Job(IntEnum):
    """Names the kind of work that a task does in its directory.

    ``SCAN``: list the directory and hash its files, or hash the files that the task names.
    ``FOLLOW``: hash files that were gone when a worker opened them, under their present names.
    ``SEARCH``: find subdirectories that were gone when a worker tried to list them. ``CHECK``:
    check whether the volume is still there.
    """

    SCAN = 0
    FOLLOW = 1
    SEARCH = 2
    CHECK = 3


class Task(NamedTuple):
    """Describes a directory to list and hash, or some of its files to hash.

    Attributes:
        group: number of the group that the task belongs to.
        volume: index of the directory's volume among the scan's volumes.
        directory: id of the directory in the catalog.
        path: path of the directory below the volume's root.
        fresh: the catalog has no rows of the directory.
        names: the files to hash, with their inodes; ``None``: list the directory.
        again: a process died at the directory before. Files that this scan has already stored are
            counted and not hashed again, and the worker announces each name before it opens the
            file.
        avoid: names of directory entries at which processes died.
        look: the entries in ``names`` have changed and may be files, directories or links. A file
            with a valid row in the catalog counts as unchanged, a directory is reported, and a file
            to which a process still writes goes back to the engine.
        final: if ``look`` is set: hash a file even if a process still writes to it.
        large: the entries in ``names`` are files that an earlier task left out for their size.
        job: with ``FOLLOW`` the task names lost files, with ``SEARCH`` lost subdirectories.
        inode: the inode that the directory must have for ``SEARCH``, and should have if it is
            listed; 0: any inode.
    """

    group: int
    volume: int
    directory: int
    path: bytes
    fresh: bool
    names: tuple[tuple[bytes, int], ...] | None = None
    again: bool = False
    avoid: frozenset[bytes] = frozenset()
    look: bool = False
    final: bool = False
    large: bool = False
    job: Job = Job.SCAN
    inode: int = 0


@dataclass(slots=True)
class Tally:
    """Counts the files of a scan with each outcome."""

    hashed: int = 0
    unchanged: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    problems: int = 0
    bytes_hashed: int = 0

    def add(self, other: Tally) -> None:
        """Add the counts of another tally to this tally."""
        self.hashed += other.hashed
        self.unchanged += other.unchanged
        self.problems += other.problems
        self.bytes_hashed += other.bytes_hashed
        self.skip(other.skipped)

    def subtract(self, other: Tally) -> None:
        """Subtract the counts of another tally from this tally."""
        self.hashed -= other.hashed
        self.unchanged -= other.unchanged
        self.problems -= other.problems
        self.bytes_hashed -= other.bytes_hashed
        self.skip({reason: -count for reason, count in other.skipped.items()})

    def skip(self, reasons: Mapping[str, int]) -> None:
        """Add the numbers of skipped files by reason."""
        for reason, count in reasons.items():
            self.skipped[reason] = self.skipped.get(reason, 0) + count

    def fill(self, summary: Summary) -> None:
        """Set the numbers of files with each outcome in a scan's summary."""
        summary.hashed = self.hashed
        summary.unchanged = self.unchanged
        summary.skipped = dict(sorted(self.skipped.items()))
        summary.problems = self.problems
        summary.bytes_hashed = self.bytes_hashed

    @property
    def files(self) -> int:
        """Return the number of files with any outcome."""
        return self.hashed + self.unchanged + self.problems + sum(self.skipped.values())


@dataclass(slots=True)
class Findings:
    """Holds the findings of a worker process for a part of one directory.

    Attributes:
        group: number of the group that the task belongs to.
        rows: rows of files that were hashed or ruled out.
        rejudged: name and filter hit of files that were judged again by their stored digests.
        directories: names and inodes of the directory's subdirectories.
        gone: names that are in the catalog but not in the directory any more.
        give: names and inodes of files that another process may hash.
        skipped: name and reason of skipped files that are reported, not only counted.
        unrested: names and sizes of files that a process still writes to, or wrote to just now.
        later: names and sizes of files to check again: they were hashed although a process has them
            open for writing, or they could not be read.
        large: names of files larger than ``ScanOptions.large_apart``, which were not hashed.
        lost: names and inodes of files that were gone when they were opened.
        unopened: entries without an outcome, because their directory was gone; an empty name means
            the directory itself.
        fates: for a ``SEARCH``: what happened to each lost subdirectory, by name; ``None``: the
            searched directory itself was not at its path.
        why_unknown: for a ``SEARCH``: the error because of which the search found out nothing.
        replaced: inode of the opened directory, if the listing of its parent showed another inode
            under its name; 0: both inodes are equal.
        tally: numbers of files with each outcome in the part.
        damaged: number of damaged rows of the catalog, which were ignored.
        vanished: why the volume has vanished; empty: the volume is there. A task in a vanished
            volume was not done.
        unread: the storage failed, so a directory was not listed.
        done: the task of these findings is finished.
    """

    group: int
    rows: list[RawRow] = field(default_factory=list)
    rejudged: list[tuple[bytes, bool]] = field(default_factory=list)
    candidates: list[FoundCandidate] = field(default_factory=list)
    problems: list[FoundProblem] = field(default_factory=list)
    directories: list[tuple[bytes, int]] = field(default_factory=list)
    gone: list[bytes] = field(default_factory=list)
    give: tuple[tuple[bytes, int], ...] = ()
    skipped: list[tuple[bytes, str]] = field(default_factory=list)
    unrested: list[tuple[bytes, int]] = field(default_factory=list)
    later: list[tuple[bytes, int]] = field(default_factory=list)
    large: list[bytes] = field(default_factory=list)
    lost: list[tuple[bytes, int]] = field(default_factory=list)
    unopened: tuple[bytes, ...] = ()
    fates: tuple[int, ...] | None = None
    why_unknown: str = ""
    replaced: int = 0
    tally: Tally = field(default_factory=Tally)
    damaged: int = 0
    vanished: str = ""
    unread: bool = False
    done: bool = False


class At(NamedTuple):
    """Announces the name that a worker process opens next, in a task repeated after a death."""

    group: int
    name: bytes


class Alive(NamedTuple):
    """Reports that a worker process is alive, plus the bytes read since its last report."""

    bytes_read: int


class Failed(NamedTuple):
    """Reports why a worker process cannot continue, e.g. it cannot read the catalog."""

    kind: str
    message: str


Message = list[Findings] | At | Alive | Failed
