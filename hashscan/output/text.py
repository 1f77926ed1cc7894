"""Prints results as lines for a person: one fact a line; no file name can forge a line."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from typing import IO, TYPE_CHECKING

from hashscan.output import emit
from hashscan.text import counted, human_size, shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from hashscan.model import MatchEvent, PendingEvent, ProblemEvent, Summary
    from hashscan.reporter import Progress

#: Largest number of lines of one kind of result; ``--json`` lists all results.
MOST_LINES = 200


class TextReporter:
    """Writes matches, problems and pending candidates to ``out``, notices to ``log``."""

    def __init__(
        self,
        out: IO[str],
        log: IO[str],
        *,
        quiet: bool = False,
        on_progress: Callable[[Progress], None] = lambda _: None,
        on_line: Callable[[], None] = lambda: None,
    ) -> None:
        """Call ``on_line`` before each line, and ``on_progress`` for each progress report.

        ``quiet`` leaves out the notices, and the summary if it asks for no step of an
        administrator.
        """
        self._out = out
        self._log = log
        self._quiet = quiet
        self._on_progress = on_progress
        self._on_line = on_line
        self._lines: dict[str, int] = {}
        self._failed = 0
        self._holds: Counter[str] = Counter()

    def _write(self, text: str, event: MatchEvent | None = None) -> None:
        self._on_line()
        emit(text, self._out, event)

    def _write_limited(self, kind: str, text: str) -> None:
        count = self._lines[kind] = self._lines.get(kind, 0) + 1
        if count <= MOST_LINES:
            self._write(text)
        elif count == MOST_LINES + 1:
            self._write(f"{kind}: more than {MOST_LINES}; --json lists them all")

    def match(self, event: MatchEvent) -> None:
        """Write a match, the action, and how to undo the action."""
        match, acted = event.match, event.acted
        if self._quiet and acted.action == "allowed":
            return  # an administrator has decided about this file already
        self._failed += acted.problem is not None
        if acted.hold is not None:
            self._holds[acted.hold] += 1
            if self._holds[acted.hold] > 1:
                return  # The summary has the number of held matches, and the hold has their names.
        what: str = acted.action
        if acted.quarantine_id and acted.action == "quarantined":
            what = f"quarantined as {acted.quarantine_id}"
        path = shown(match.candidate.full_path)
        if acted.message:
            what += f" ({acted.message.removeprefix(path + ': ')})"
        if acted.remaining_links:
            what += f"; {acted.remaining_links} more names of it are outside what was scanned"
        self._write(f"MATCH {path}: {what} [{match.why}]", event)

    def problem(self, event: ProblemEvent) -> None:
        """Write a problem with a file as a line."""
        self._write_limited(
            "PROBLEM", f"PROBLEM {shown(event.path)}: {event.reason}: {event.message}"
        )

    def skipped(self, event: ProblemEvent) -> None:
        """Write a file that was not read because of its size or its holes, as a line."""
        self._write_limited(
            "SKIPPED", f"SKIPPED {shown(event.path)}: {event.reason}: {event.message}"
        )

    def pending(self, event: PendingEvent) -> None:
        """Write a candidate without a verdict as a line."""
        self._write_limited(
            "PENDING", f"PENDING {shown(event.candidate.full_path)}: {event.message}"
        )

    def notice(self, message: str) -> None:
        """Write a notice for the administrator to the log."""
        if not self._quiet:
            self._on_line()
            with suppress(OSError):  # A log that cannot be written must not end a scan.
                print(f"hashscan: {message}", file=self._log, flush=True)

    def progress(self, progress: Progress) -> None:
        """Pass the scan's progress to ``on_progress``, if the caller gave this function."""
        self._on_progress(progress)

    def summary(self, summary: Summary) -> None:
        """Write the scan's counts, and the commands to run next."""
        undecided = summary.undecided
        if self._quiet and not (undecided or summary.problems or summary.pending):
            return
        skipped = ", ".join(f"{count:,} {reason}" for reason, count in summary.skipped.items())
        skipped_total = sum(summary.skipped.values())
        ended = "Interrupted after" if summary.interrupted else "Scanned"
        self._write(
            f"{ended} {summary.files:,} files in {summary.seconds:.1f} s: "
            f"{summary.hashed:,} hashed ({human_size(summary.bytes_hashed)}), "
            f"{summary.unchanged:,} unchanged, {skipped_total:,} skipped"
            f"{f' ({skipped})' if skipped else ''}, {summary.problems:,} problems."
        )
        self._write(
            f"Candidates {summary.candidates:,}: {summary.matches:,} matches, "
            f"{summary.false_positives:,} false positives, {summary.pending:,} pending. "
            f"Quarantined {summary.quarantined:,}, held {summary.held:,}"
            f"{f', allowed {summary.allowed:,}' if summary.allowed else ''}."
        )
        for hold, number in self._holds.items():
            files = counted(number, "match", "matches")
            self._write(
                f"{files} held by {hold}: 'hashscan hold show {hold}' shows them; then decide."
            )
        if summary.quarantined:
            self._write(
                "See 'hashscan quarantine list'; "
                "'hashscan quarantine restore ID' puts a file back as it was."
            )
        elif self._failed:
            self._write(f"{self._failed:,} matches could not be moved; see above for why.")
        elif undecided > summary.held - summary.restored:
            self._write(
                "Nothing was moved; the same command with --action quarantine isolates matches."
            )
        if summary.pending:
            self._write("The next scan asks for the pending candidates again.")
        if summary.interrupted:
            self._write("What was hashed is kept; the same command goes on from here.")
