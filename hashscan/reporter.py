"""The output stage: a scan's reports while it works, and its progress."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hashscan.model import MatchEvent, PendingEvent, ProblemEvent, Summary


class Expected(NamedTuple):
    """The work of a scan, as far as earlier scans of the same volumes show it.

    Attributes:
        files: number of files, skipped and unchanged ones included.
        hashed: number of files to hash; ``None``: it depends on what changed.
        bytes: size of the files to hash; if ``hashed`` is ``None``, size of all candidates for it.
        costs: seconds for a file, for hashing it, and for a byte, as the last scan learnt them.
    """

    files: int
    hashed: int | None
    bytes: int
    costs: Sequence[float] | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """The state of a running scan.

    Attributes:
        files: number of finished files: hashed, unchanged, skipped, or a problem.
        hashed: number of hashed files.
        unchanged: number of files that are as the catalog has them.
        bytes_hashed: including bytes of files that are being read.
        fraction: finished part of the tree of directories, an estimate from 0 to 1.
        matches: number of matches.
        expected: ``None``: no earlier scan of these volumes came to its end.
        seconds: time in which the scan could work.
        remaining: estimated seconds to the end; ``None``: unknown.
    """

    files: int
    hashed: int
    unchanged: int
    bytes_hashed: int
    fraction: float
    matches: int
    expected: Expected | None
    seconds: float = 0.0
    remaining: float | None = None


class Reporter(Protocol):
    """The output stage."""

    def match(self, event: MatchEvent) -> None:
        """Report a match."""
        ...

    def problem(self, event: ProblemEvent) -> None:
        """Report a file that could not be judged."""
        ...

    def skipped(self, event: ProblemEvent) -> None:
        """Report a file that is not read because of its size or its holes."""
        ...

    def pending(self, event: PendingEvent) -> None:
        """Report a candidate that still waits for its verdict."""
        ...

    def notice(self, message: str) -> None:
        """Report another event, once."""
        ...

    def progress(self, progress: Progress) -> None:
        """Show how far the scan is; called a few times a second."""
        ...

    def summary(self, summary: Summary) -> None:
        """Report the counts, after everything else."""
        ...
