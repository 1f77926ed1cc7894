"""The interface of the output stage: a scan's results and its progress."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hashscan.model import MatchEvent, PendingEvent, ProblemEvent, Summary


class Expected(NamedTuple):
    """The expected work of a scan, from earlier scans of the same volumes.

    Attributes:
        files: number of files, skipped and unchanged ones included.
        hashed: number of files to hash; ``None``: unknown, because it depends on the changed files.
        bytes: size of the files to hash; if ``hashed`` is ``None``, size of all files that may have
            to be hashed.
        costs: seconds for a file, for the hashing of a file, and for a byte, measured by the last
            scan.
    """

    files: int
    hashed: int | None
    bytes: int
    costs: Sequence[float] | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a running scan.

    Attributes:
        files: number of finished files: hashed, unchanged, skipped, or a problem.
        hashed: number of hashed files.
        unchanged: number of files whose stamp in the catalog is still right.
        bytes_hashed: number of hashed bytes, bytes of files that are being read included.
        fraction: finished part of all directories, an estimate from 0 to 1.
        matches: number of matches.
        expected: the expected work; ``None``: no earlier scan of these volumes was completed.
        seconds: duration of the scan so far, without the time in which the scan could not work.
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
    """Receives the results of a scan, and shows them."""

    def match(self, event: MatchEvent) -> None:
        """Report a match."""
        ...

    def problem(self, event: ProblemEvent) -> None:
        """Report a file that could not be hashed or checked."""
        ...

    def skipped(self, event: ProblemEvent) -> None:
        """Report a file that is not read because of its size or its holes."""
        ...

    def pending(self, event: PendingEvent) -> None:
        """Report a candidate that still waits for its verdict."""
        ...

    def notice(self, message: str) -> None:
        """Report an event of any other kind, once."""
        ...

    def progress(self, progress: Progress) -> None:
        """Show the progress of the scan; called a few times a second."""
        ...

    def summary(self, summary: Summary) -> None:
        """Report the counts of the scan, after all other results."""
        ...
