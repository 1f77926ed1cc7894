"""JSON lines: one object a line, ``event`` first (README.md, "Exit codes and JSON").

Paths are ``os.fsdecode``d and escaped. So ``os.fsencode`` of the parsed text returns the path's
bytes, also if they are not UTF-8.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Any

from hashscan.output import emit
from hashscan.text import rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable

    from hashscan.model import MatchEvent, PendingEvent, ProblemEvent, Summary
    from hashscan.reporter import Progress


def line(event: str, **values: Any) -> str:
    """Return an event as a JSON line without newline; ASCII only, so no name can break the line."""
    return json.dumps({"event": event, **values}, separators=(",", ":"))


class JsonReporter:
    """Writes each event of a scan immediately as a JSON line; notices and progress go elsewhere."""

    def __init__(
        self,
        out: IO[str],
        log: IO[str],
        *,
        on_progress: Callable[[Progress], None] = lambda _: None,
        on_line: Callable[[], None] = lambda: None,
    ) -> None:
        """Write events to ``out``, and notices to ``log``.

        ``on_progress`` and ``on_line`` are called as ``TextReporter`` calls them.
        """
        self._on_progress = on_progress
        self._on_line = on_line
        self._out = out
        self._log = log

    def _write(self, event: str, **values: Any) -> None:
        self._on_line()
        emit(line(event, **values), self._out)

    def match(self, event: MatchEvent) -> None:
        """Write a match as a JSON line."""
        candidate, acted = event.match.candidate, event.acted
        text = line(
            "match",
            path=os.fsdecode(candidate.full_path),
            size=candidate.stamp.size,
            digests=candidate.digests.as_dict(),
            algorithm=event.match.hit.digest.algorithm,
            category=event.match.category,
            action=acted.action,
            quarantine_id=acted.quarantine_id,
            uid=candidate.uid,
            time=rfc3339(),
            filter_version=event.match.hit.filter_version,
            service=event.match.service,
            message=acted.message,
            problem=acted.problem,
            remaining_links=acted.remaining_links,
            authority=None if event.match.authority is None else event.match.authority.as_dict(),
            hold=acted.hold,
        )
        self._on_line()
        emit(text, self._out, event)

    def problem(self, event: ProblemEvent) -> None:
        """Write a problem with a file as a JSON line."""
        self._write(
            "problem", path=os.fsdecode(event.path), reason=event.reason, message=event.message
        )

    def skipped(self, event: ProblemEvent) -> None:
        """Write a file that was not read because of its size or its holes, as a JSON line."""
        self._write(
            "skipped", path=os.fsdecode(event.path), reason=event.reason, message=event.message
        )

    def pending(self, event: PendingEvent) -> None:
        """Write a candidate without a verdict as a JSON line."""
        candidate = event.candidate
        self._write(
            "pending",
            path=os.fsdecode(candidate.full_path),
            size=candidate.stamp.size,
            digests=candidate.digests.as_dict(),
            message=event.message,
        )

    def notice(self, message: str) -> None:
        """Write a notice for the administrator to the log."""
        with suppress(OSError):  # A log that cannot be written must not end a scan.
            print(f"hashscan: {message}", file=self._log, flush=True)

    def progress(self, progress: Progress) -> None:
        """Pass the scan's progress to ``on_progress``, if the caller gave this function."""
        self._on_progress(progress)

    def summary(self, summary: Summary) -> None:
        """Write the scan's counts as a JSON line."""
        self._write(
            "summary",
            files=summary.files,
            hashed=summary.hashed,
            unchanged=summary.unchanged,
            skipped=summary.skipped,
            problems=summary.problems,
            bytes_hashed=summary.bytes_hashed,
            candidates=summary.candidates,
            false_positives=summary.false_positives,
            matches=summary.matches,
            quarantined=summary.quarantined,
            held=summary.held,
            pending=summary.pending,
            seconds=round(summary.seconds, 3),
            interrupted=summary.interrupted,
            allowed=summary.allowed,
        )
