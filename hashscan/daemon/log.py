"""Writes the daemon's log: one line for each fact, and a limited number of lines.

Lines for people go to stderr: with syslog's levels if the journal reads them (sd-daemon(3)), with
the time otherwise. With ``--json`` results are JSON lines on stdout, like those of a scan, and the
log is JSON lines on stderr. Names are escaped in both, so that no file name can forge a line.

Of each kind of line, only the first ``MOST_LINES`` lines are logged in ``WINDOW`` seconds, then the
number of the suppressed lines; all problems are in the catalog. A moved match is always logged.
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import IO, TYPE_CHECKING, Literal

from hashscan.daemon.audit_lines import DaemonRecord
from hashscan.errors import OutputError
from hashscan.output.jsonl import JsonReporter, line
from hashscan.text import counted, one_line, rfc3339, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hashscan.audit.reported import Reported
    from hashscan.jobs.daemon_status import LogCounts, LostOutput
    from hashscan.model import MatchEvent, PendingEvent, ProblemEvent, Summary
    from hashscan.reporter import Progress

Level = Literal["error", "warning", "info"]
_ORDER: dict[Level, int] = {"error": 3, "warning": 4, "info": 6}
#: Largest number of log lines of a kind in a time window, and length of a window in seconds.
MOST_LINES = 20
WINDOW = 600.0
#: The only limited kind of log line that needs no attention of the sysadmin.
_ALLOWED = "match allowed"


def reaches_the_journal(stream: IO[str]) -> bool:
    """Return whether systemd connected this stream to the journal (systemd.exec(5))."""
    device, _, inode = os.environ.get("JOURNAL_STREAM", "").partition(":")
    try:
        status = os.fstat(stream.fileno())
        return (status.st_dev, status.st_ino) == (int(device), int(inode))
    except (OSError, ValueError):
        return False


class FloodGuard:
    """Counts log lines by kind, and decides which lines are too many."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Start without counts; ``clock`` returns seconds."""
        self._clock = clock
        self._windows: dict[str, tuple[float, int]] = {}

    def admits(self, kind: str) -> bool:
        """Count a log line of this kind; return whether the line may be logged now."""
        now = self._clock()
        began, count = self._windows.get(kind, (now, 0))
        self._windows[kind] = (began, count + 1)
        return count < MOST_LINES

    def over(self, *, everything: bool) -> list[tuple[str, int]]:
        """End the windows of time that are over; return kinds and suppressed lines."""
        now = self._clock()
        ended = [
            kind
            for kind, (began, _) in self._windows.items()
            if everything or now - began >= WINDOW
        ]
        counts = [(kind, self._windows.pop(kind)[1] - MOST_LINES) for kind in ended]
        return [(kind, count) for kind, count in counts if count > 0]


@dataclass(slots=True)
class OutputTrouble:
    """Describes results of the daemon that standard output did not take.

    Attributes:
        message: why standard output did not take the results.
        since: time of the first lost result, in seconds since the epoch.
        lost: number of lost results, which are in the log instead.
    """

    message: str
    since: float
    lost: int = 0


class Log:
    """Writes the log of the daemon, to which the scans and the watch report.

    Attributes:
        reported: matches that were logged before; ``None``: all matches are logged.
    """

    def __init__(
        self,
        out: IO[str],
        err: IO[str],
        *,
        as_json: bool = False,
        verbosity: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Write log lines to the stream ``err``.

        If ``verbosity`` is -1, only warnings and matches are written; from 0 on, all lines are
        written.
        """
        self._err = err
        self._as_json = as_json
        self._most = _ORDER["warning" if verbosity < 0 else "info"]
        self._journal = not as_json and reaches_the_journal(err)
        self._guard = FloodGuard(clock)
        self._results = JsonReporter(out, err)
        self.reported: Reported | None = None
        self.record = DaemonRecord(partial(self.limited, "audit log", "error"))
        self._holds: set[str] = set()
        self._output: OutputTrouble | None = None
        self._lines: Counter[str] = Counter()
        self._matches: Counter[str] = Counter()
        self._problems: Counter[str] = Counter()

    # Log lines

    def write(self, level: Level, message: str) -> None:
        """Write one line about one fact to the daemon's log."""
        self._lines[level] += 1
        if _ORDER[level] > self._most:
            return
        text = one_line(message)
        if self._as_json:
            text = line("log", level=level, time=rfc3339(), message=message)
        elif self._journal:
            text = f"<{_ORDER[level]}>{text}"
        else:
            text = f"{rfc3339()} {level}: {text}"
        with suppress(OSError, ValueError):  # A log that cannot be written must not end the daemon.
            print(text, file=self._err, flush=True)

    def error(self, message: str) -> None:
        """Log a fault that the sysadmin must mend."""
        self.write("error", message)

    def warning(self, message: str) -> None:
        """Log a warning: the sysadmin should check something."""
        self.write("warning", message)

    def info(self, message: str) -> None:
        """Log what the daemon does."""
        self.write("info", message)

    def limited(self, kind: str, level: Level, message: str) -> None:
        """Log a fact of a kind that may occur a million times, within the limit of its kind."""
        if self._guard.admits(kind):
            self.write(level, message)

    def tick(self, *, everything: bool = False) -> None:
        """Log the number of suppressed lines of each time window that is over."""
        for kind, count in self._guard.over(everything=everything):
            level: Level = "info" if kind == _ALLOWED else "warning"
            self.write(level, f"{kind}: {count:,} more such lines were left out")

    # The output stage (model.Reporter)

    def match(self, event: MatchEvent) -> None:
        """Log a match and the action taken."""
        self._matches[event.acted.action] += 1
        if self._as_json and self._result(lambda: self._results.match(event)):
            return
        match, acted = event.match, event.acted
        if acted.hold is not None and self._is_known_hold(acted.hold):
            return
        # A file that is not moved is reported by every scan, and there may be a million such files.
        stays = acted.action != "quarantined"
        kind = f"match {acted.action} {acted.problem or ''}".strip()
        meant = stays and acted.problem is None
        if meant and self.reported is not None and not self.reported.is_new(event):
            return
        if stays and not self._guard.admits(kind):
            return
        what: str = acted.action
        if acted.quarantine_id and acted.action == "quarantined":
            what += f" as {acted.quarantine_id}"
        path = shown(match.candidate.full_path)
        if acted.message:
            what += f" ({acted.message.removeprefix(path + ': ')})"
        if acted.remaining_links:
            what += f"; {acted.remaining_links} more names of it are elsewhere"
        level: Level = "warning" if acted.problem is None else "error"
        if acted.action == "allowed":
            level = "info"
        self.write(
            level,
            f"match {path}: {what} [{match.why}]",
        )

    def _is_known_hold(self, hold: str) -> bool:
        """Return whether the log has a line for this hold, which covers all files of the hold."""
        is_known = hold in self._holds
        self._holds.add(hold)
        return is_known

    def problem(self, event: ProblemEvent) -> None:
        """Log that a file could not be checked."""
        self._problems[event.reason] += 1
        self._event("problem", "warning", event)

    def skipped(self, event: ProblemEvent) -> None:
        """Log that a file was not read because of its size or its holes."""
        self._event("skipped", "info", event)

    def _event(self, kind: str, level: Level, event: ProblemEvent) -> None:
        if not self._guard.admits(f"{kind} {event.reason}"):
            return
        tell = self._results.problem if kind == "problem" else self._results.skipped
        if not (self._as_json and self._result(lambda: tell(event))):
            self.write(level, f"{kind} {shown(event.path)}: {event.reason}: {event.message}")

    def pending(self, event: PendingEvent) -> None:
        """Log that a candidate has no verdict."""
        if self._guard.admits("pending"):
            if self._as_json and self._result(lambda: self._results.pending(event)):
                return
            path = shown(event.candidate.full_path)
            self.write("warning", f"pending {path}: {event.message}")

    def notice(self, message: str) -> None:
        """Log any other message of a scan."""
        self.limited("notice", "info", message)

    def progress(self, progress: Progress) -> None:
        """Log nothing; the command ``status`` shows a scan's progress."""

    def summary(self, summary: Summary) -> None:
        """Log the results of a scan."""
        if self._as_json and self._result(lambda: self._results.summary(summary)):
            return
        skipped = sum(summary.skipped.values())
        ended = "interrupted after" if summary.interrupted else "scanned"
        self.info(
            f"{ended} {summary.files:,} files in {summary.seconds:.1f} s: {summary.hashed:,} "
            f"hashed, {summary.unchanged:,} unchanged, {skipped:,} skipped, {summary.problems:,} "
            f"problems; {summary.matches:,} matches, {summary.false_positives:,} false positives, "
            f"{summary.pending:,} pending; quarantined {summary.quarantined:,}, held "
            f"{summary.held:,}, allowed {summary.allowed:,}"
        )
        if self.reported is not None:
            if self.reported.again:
                number = counted(self.reported.again, "match", "matches")
                self.info(f"{number} in place as logged before; 'hashscan scan' names all")
            self.reported.save()

    def counts(self) -> LogCounts:
        """Return the numbers of lines by level, matches by action and problems by reason.

        A match or problem counts even if the log leaves out its line.
        """
        return {
            "log": dict(self._lines),
            "matches": dict(self._matches),
            "problems": dict(self._problems),
        }

    def output_trouble(self) -> LostOutput | None:
        """Return the results that standard output did not take.

        The result is ``None`` if standard output takes results.
        """
        found = self._output
        if found is None:
            return None
        return {"message": found.message, "since": found.since, "lost": found.lost}

    def _result(self, tell: Callable[[], None]) -> bool:
        """Return whether standard output took a result; if not, the caller writes it to the log.

        The daemon continues without a reader: known files must be isolated even if nobody reads the
        results.
        """
        try:
            tell()
        except (OutputError, OSError, ValueError) as error:
            why = error.why if isinstance(error, OutputError) else str(error)
            if self._output is None:
                self._output = OutputTrouble(why, time.time())
                self.error(
                    f"{why}; the daemon goes on, and writes its results to this log until"
                    " standard output works again; restart it with a reader. 'hashscan quarantine"
                    " list' names every moved file"
                )
            self._output.lost += 1
            return False
        if self._output is not None:
            self.warning(
                f"standard output works again; {self._output.lost:,} results since"
                f" {rfc3339(self._output.since)} are in this log only"
            )
            self._output = None
        return True


def standard_log(*, as_json: bool, verbosity: int) -> Log:
    """Return a log that writes to the process's own streams."""
    return Log(sys.stdout, sys.stderr, as_json=as_json, verbosity=verbosity)


class Repeats:
    """Logs the messages of a repeated job: each message once, as long as every run has it."""

    def __init__(self, log: Log) -> None:
        """Start without logged messages."""
        self._log = log
        self._before: set[str] = set()

    @contextmanager
    def run(self) -> Iterator[Callable[[str], None]]:
        """Begin a run of the job; yield the function that takes the run's messages."""
        said: set[str] = set()

        def notice(message: str) -> None:
            if message not in said | self._before:
                self._log.notice(message)
            said.add(message)

        try:
            yield notice
        except BaseException:
            said |= self._before  # If the job ended early, it may not have given all its messages.
            raise
        finally:
            self._before = said
