"""What the engine and its worker processes say to each other.

The unit is a directory. The process that lists a large one gives parts of it away to idle
processes, through the engine; the directory and what was given away form a group, and only a group
that is done as a whole is counted. So one whose process dies is simply done again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hashscan.catalog.rows import FoundCandidate, FoundProblem, RawRow
    from hashscan.fs.volume import Volume
    from hashscan.model import Algorithm, Filter, Identity, Summary
    from hashscan.scan.throttle import Turns


#: So many rows are sent at a time.
PART_FILES = 256


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """All that a worker process needs to know; the same for each.

    Attributes:
        roots: ids of the volumes' roots in the catalog.
        catalog: path of the catalog.
        filters: after all their checks; a fork shares their memory.
        algorithms: what is computed for each file.
        judged: number of the set of filters in the catalog.
        scan: number of this scan.
        full: hash what did not change, too.
        resumed: with ``full``, the interrupted scan that this one goes on with.
        own: identities of directories that hold hashscan's state; never entered.
        max_file_size: in bytes; larger files are skipped.
        max_rate, max_files: bytes and files a second, of all processes that share ``turns``.
        pause_above_io_pressure: share of time; see ``throttle``.
        turns: see ``throttle``.
        others: volumes that are not scanned now, and are not entered from outside either.
        identities: of the volumes' roots when the scan began; a root that has another one now, or
            cannot be opened any more, has vanished. A root without one may be any directory.
        judged_until: the last scan before all that was in the catalog was judged by the set of
            filters ``judged``, whatever a row says; 0: none.
        step_aside: with the lowest priority.
        large_apart: bytes; larger files are handed back, so that they can be looked at apart.
    """

    volumes: tuple[Volume, ...]
    roots: tuple[int, ...]
    catalog: str
    filters: tuple[Filter, ...]
    algorithms: frozenset[Algorithm]
    judged: int
    scan: int
    full: bool = False
    resumed: int | None = None
    own: frozenset[tuple[int, int]] = frozenset()
    max_file_size: int | None = None
    max_rate: float | None = None
    max_files: float | None = None
    pause_above_io_pressure: float | None = None
    judged_until: int = 0
    step_aside: bool = False
    large_apart: int | None = None
    turns: Turns | None = None
    others: tuple[Volume, ...] = ()
    identities: Mapping[bytes, Identity] = field(default_factory=dict)


class Job(IntEnum):
    """The work in a task's directory.

    ``SCAN``: list it and hash its files, or the files that the task names. ``FOLLOW``: hash files
    that were gone when they were opened, under their present names. ``SEARCH``: find subdirectories
    that were gone when they were to be listed. ``CHECK``: check whether the volume is still there.
    """

    SCAN = 0
    FOLLOW = 1
    SEARCH = 2
    CHECK = 3


class Task(NamedTuple):
    """A directory to list and hash, or some of its files to hash.

    Attributes:
        group: what this belongs to.
        volume: index of the volume.
        directory: id in the catalog.
        path: below the volume's root.
        fresh: the catalog knows nothing of it.
        names: the files to hash, with their inodes; ``None``: list the directory.
        again: a process died over this before: files already stored by this scan are counted,
            not hashed again, and each name is announced before it is touched.
        avoid: names over which processes died.
        look: the names are those of entries that changed, whatever they are: files that the
            catalog knows as they are count as unchanged, directories are told, and a file that is
            not whole yet is handed back.
        final: with ``look``: a file is hashed even where it is not whole yet.
        large: the names are those of files that were handed back for their size.
        job: with ``FOLLOW`` the task names lost files, with ``SEARCH`` lost subdirectories.
        inode: the inode that the directory must have with ``SEARCH``, and should have if it is
            listed; 0: any.
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
    """Counts of outcomes."""

    hashed: int = 0
    unchanged: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    problems: int = 0
    bytes_hashed: int = 0

    def add(self, other: Tally) -> None:
        """Add another's counts to this one's."""
        self.hashed += other.hashed
        self.unchanged += other.unchanged
        self.problems += other.problems
        self.bytes_hashed += other.bytes_hashed
        self.skip(other.skipped)

    def subtract(self, other: Tally) -> None:
        """Subtract another tally's counts."""
        self.hashed -= other.hashed
        self.unchanged -= other.unchanged
        self.problems -= other.problems
        self.bytes_hashed -= other.bytes_hashed
        self.skip({reason: -count for reason, count in other.skipped.items()})

    def skip(self, reasons: Mapping[str, int]) -> None:
        """Add counts of outcome ``skipped`` by reason."""
        for reason, count in reasons.items():
            self.skipped[reason] = self.skipped.get(reason, 0) + count

    def fill(self, summary: Summary) -> None:
        """Set the outcomes of a summary."""
        summary.hashed = self.hashed
        summary.unchanged = self.unchanged
        summary.skipped = dict(sorted(self.skipped.items()))
        summary.problems = self.problems
        summary.bytes_hashed = self.bytes_hashed

    @property
    def files(self) -> int:
        """All outcomes."""
        return self.hashed + self.unchanged + self.problems + sum(self.skipped.values())


@dataclass(slots=True)
class Findings:
    """What a process found in a part of one directory.

    Attributes:
        rejudged: name and hit of files that were judged again by their kept digests.
        directories: names and inodes of subdirectories.
        gone: names that the catalog has and the directory has not.
        give: names and inodes of files that another process may hash.
        skipped: name and reason of files whose skipping is told, not only counted.
        unrested: names and sizes of files that somebody still writes to, or wrote to just now.
        later: names and sizes of files that are to be looked at once more: they were hashed
            although somebody has them open, or could not be read.
        large: names of files that are larger than ``WorkerSettings.large_apart``, not looked at.
        lost: names and inodes of files that were gone when they were opened.
        unopened: entries without an outcome, because the directory was gone; an empty name is the
            directory itself.
        fates: of a ``SEARCH``: the fate of each name; ``None``: the directory itself was not at its
            place.
        why_unknown: of a ``SEARCH``: the error that left all fates unknown.
        replaced: inode of the directory that was opened, if another one was listed with its name;
            0: it is the one that was listed.
        damaged: number of damaged rows of the catalog, which were ignored.
        vanished: why the volume is not there any more; empty: it is there. If set, the task is not
            done.
        unread: the storage failed, so a directory was not listed.
        done: the task is finished.
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
    """The name that a process is about to touch, in a task that is done again."""

    group: int
    name: bytes


class Alive(NamedTuple):
    """A sign of life during a long read, or of a pause: bytes since the last sign."""

    bytes_read: int


class Failed(NamedTuple):
    """A process cannot go on (e.g. the catalog cannot be read); why."""

    kind: str
    message: str


Message = list[Findings] | At | Alive | Failed
