"""Counts the daemon's work since its start, also across reloads of the configuration."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hashscan.scan.messages import Tally

if TYPE_CHECKING:
    from hashscan.jobs.daemon_status import WorkCounts
    from hashscan.model import Summary


@dataclass(slots=True)
class Counters:
    """Holds counts of the daemon's work with one configuration, or with several.

    Attributes:
        tally: numbers of files by outcome, from changes and scans, including a running scan.
        events: number of changes that the watch reported.
        losses: number of times that changes were lost; each loss made a scan necessary.
        scans: number of scans that ended, including interrupted scans.
        candidates: number of files with a digest in a filter.
        false_positives: number of candidates that the service does not know, from changes and from
            scans that ended.
    """

    tally: Tally = field(default_factory=Tally)
    events: int = 0
    losses: int = 0
    scans: int = 0
    candidates: int = 0
    false_positives: int = 0

    def add(self, other: Counters) -> None:
        """Add the counts of ``other`` to these counts."""
        self.tally.add(other.tally)
        self.events += other.events
        self.losses += other.losses
        self.scans += other.scans
        self.candidates += other.candidates
        self.false_positives += other.false_positives

    def add_scan(self, summary: Summary) -> None:
        """Add the results of a scan that has ended to these counts."""
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

    def facts(self) -> WorkCounts:
        """Return the counts for the status file."""
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
