"""What the daemon has counted since its start, whatever configuration it worked with meanwhile."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hashscan.scan.messages import Tally

if TYPE_CHECKING:
    from hashscan.model import Summary


@dataclass(slots=True)
class Counters:
    """Counts of one configuration's work, or of several.

    Attributes:
        tally: files by their outcomes, of changes and scans; a scan that runs counts, too.
        events: changes that the watch reported.
        losses: how often changes were lost; each made a scan necessary.
        scans: scans that ended, also those that were interrupted.
        candidates: files with a digest in a filter.
        false_positives: candidates that are not known, of changes and of scans that ended.
    """

    tally: Tally = field(default_factory=Tally)
    events: int = 0
    losses: int = 0
    scans: int = 0
    candidates: int = 0
    false_positives: int = 0

    def add(self, other: Counters) -> None:
        """Add another's counts to these."""
        self.tally.add(other.tally)
        self.events += other.events
        self.losses += other.losses
        self.scans += other.scans
        self.candidates += other.candidates
        self.false_positives += other.false_positives

    def add_scan(self, summary: Summary) -> None:
        """Count what a scan found that ended."""
        self.tally.add(
            Tally(
                summary.hashed,
                summary.unchanged,
                summary.skipped,
                summary.problems,
                summary.bytes_hashed,
            )
        )
        self.scans += 1
        self.candidates += summary.candidates
        self.false_positives += summary.false_positives

    def facts(self) -> dict[str, Any]:
        """For the file that ``status`` reads."""
        tally = self.tally
        return {
            "files": {
                "hashed": tally.hashed,
                "unchanged": tally.unchanged,
                "skipped": sum(tally.skipped.values()),
                "problem": tally.problems,
            },
            "skipped": tally.skipped,
            "hashed_bytes": tally.bytes_hashed,
            "events": self.events,
            "losses": self.losses,
            "scans": self.scans,
            "candidates": self.candidates,
            "false_positives": self.false_positives,
        }
