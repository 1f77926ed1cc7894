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
        files: number of files, including skipped and unchanged files.
        hashed: number of files to hash; ``None``: unknown, because only the scan finds the changed
            files.
        bytes: size of the files to hash; if ``hashed`` is ``None``, size of all files that may have
            to be hashed.
        costs: seconds that the last scan needed for a file, for the hashing of a file, and for a
            byte.
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
        unchanged: number of files whose stamp is the stamp in the catalog.
        bytes_hashed: number of hashed bytes, including the hashed bytes of files that are being
            read.
        fraction: finished part of all directories, an estimate from 0 to 1.
        matches: number of matches that the scan has found.
        expected: the expected work of the scan; ``None``: no earlier scan of the volumes ended.
        seconds: duration of the scan so far, without the time in which the scan could not work.
        remaining: estimated seconds to the end of the scan; ``None``: unknown.
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
        """Report a match of the scan."""
        ...

    def problem(self, event: ProblemEvent) -> None:
        """Report a file that could not be hashed or checked."""
        ...

    def skipped(self, event: ProblemEvent) -> None:
        """Report a file that is not read because of its size or its holes."""
        ...

    def pending(self, event: PendingEvent) -> None:
        """Report a candidate that has no verdict yet."""
        ...

    def notice(self, message: str) -> None:
        """Report an event that is no match, no problem, no unread file and no candidate, once."""
        ...

    def progress(self, progress: Progress) -> None:
        """Show the progress of the scan; the scan calls this method a few times a second."""
        ...

    def summary(self, summary: Summary) -> None:
        """Report the counts of the scan, after all other results."""
        ...
