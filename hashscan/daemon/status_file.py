"""Builds and writes the status file that ``status`` reads, and detects changes of its facts."""

from __future__ import annotations

import errno
import json
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from hashscan.daemon.counters import Counters
from hashscan.files import DAEMON_STATUS, temporary
from hashscan.fs.beneath import closing

if TYPE_CHECKING:
    from hashscan.catalog.store import Catalog
    from hashscan.daemon.changed_files import ChangedFiles
    from hashscan.daemon.rejudge import RejudgeProcesses
    from hashscan.daemon.retry import Retry
    from hashscan.daemon.session_scan import SessionScan
    from hashscan.daemon.watch_coverage import Coverages
    from hashscan.jobs.daemon_status import DaemonStatus, SessionStatus
    from hashscan.jobs.known_set import KnownSet
    from hashscan.model import Summary

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC


class ObservedSession(Protocol):
    """Lists the parts of a session that the status file and the counters read, and never change."""

    @property
    def began(self) -> float:
        """Return the start of the session, in seconds since the epoch."""

    @property
    def known(self) -> KnownSet:
        """Return the known set that the session uses."""

    @property
    def coverage(self) -> Coverages:
        """Return the watched parts of each volume."""

    @property
    def changed_files(self) -> ChangedFiles:
        """Return the object that checks changed files in worker processes."""

    @property
    def rejudging(self) -> RejudgeProcesses:
        """Return the check of hashed files against newer filters."""

    @property
    def retry(self) -> Retry:
        """Return the object that plans the next question and the next move."""

    @property
    def running_scan(self) -> SessionScan | None:
        """Return the scan that the session runs now.

        The result is ``None`` if the session runs no scan now.
        """

    @property
    def found(self) -> Summary:
        """Return the numbers of matches and candidates of this session."""

    @property
    def ended(self) -> Counters:
        """Return the counts of the session's scans that have ended."""

    @property
    def scans(self) -> int:
        """Return the number of the session's scans that ended without an interruption."""

    @property
    def events(self) -> int:
        """Return the number of changes that the watch reported."""

    @property
    def lost(self) -> int:
        """Return the number of times that changes were lost; each loss requested a scan."""


class SessionFacts:
    """Builds the session's part of the status file, and detects changes in that part."""

    def __init__(self, work: ObservedSession, catalog: Catalog) -> None:
        """Start without earlier facts."""
        self._work = work
        self._catalog = catalog
        self._measured = (time.monotonic(), 0)
        self._news: tuple[object, ...] = ()
        self._counts: tuple[int, ...] = ()

    def has_news(self) -> bool:
        """Return whether ``status`` should immediately show a change since ``collect``."""
        return self._news_now() != self._news

    def has_counted(self) -> bool:
        """Return whether ``status`` should soon show a change since ``collect``."""
        return self._counts_now() != self._counts

    def _news_now(self) -> tuple[object, ...]:
        return (self._work.scans, self._work.running_scan is None, self._work.coverage.said)

    def _counts_now(self) -> tuple[int, ...]:
        # Events are not included: a state directory inside a volume would cause endless events.
        return (
            self._work.lost,
            self._work.changed_files.tally.hashed,
            self._work.found.matches,
            self._work.found.quarantined,
        )

    def collect(self) -> SessionStatus:
        """Return the session's part of the status file."""
        self._news, self._counts = self._news_now(), self._counts_now()
        pending, oldest, why = self._catalog.waiting()
        running_scan = self._work.running_scan
        tally = self._work.changed_files.tally
        return {
            "volumes": self._work.coverage.facts(),
            "events": self._work.events,
            "lost": self._work.lost,
            "backlog": self._work.changed_files.backlog,
            "waits_for": round(self._work.changed_files.waits_for, 1),
            "hashed": tally.hashed,
            "rate": self._rate(tally.hashed),
            "bytes_hashed": tally.bytes_hashed,
            "problems": tally.problems,
            "matches": self._work.found.matches,
            "quarantined": self._work.found.quarantined,
            "held": self._work.found.held,
            "allowed": self._work.found.allowed,
            "counting_since": self._work.began,
            "filters": [
                {
                    "category": one.category,
                    "version": one.version,
                    "digests": one.metadata.digests,
                    "path": one.path,
                }
                for one in self._work.known.filters
            ],
            "rejudged": self._work.rejudging.files,
            "scan": None
            if running_scan is None
            else {
                "kind": running_scan.kind,
                "started": running_scan.started,
                "files": running_scan.files,
                "fraction": round(running_scan.fraction, 3),
            },
            "pending": {
                "candidates": pending,
                "oldest": oldest,
                "why": why,
                "next_try": self._work.retry.next_try,
            },
            "next_move": self._work.retry.next_move,
        }

    def _rate(self, hashed: int) -> float:
        """Return the number of files hashed a second since the last call."""
        now = time.monotonic()
        at, before = self._measured
        self._measured = (now, hashed)
        return round((hashed - before) / max(0.1, now - at), 1)


def counted_by(work: ObservedSession | None, before: Counters) -> Counters:
    """Return the counts of the daemon's work so far.

    The result is the counts ``before`` plus the counts of the present session ``work``.
    """
    counted = Counters()
    counted.add(before)
    if work is None:
        return counted
    counted.add(work.ended)
    if work.running_scan is not None:
        counted.tally.add(work.running_scan.tally)
    found = work.found
    changes = Counters(
        work.changed_files.tally,
        work.events,
        work.lost,
        candidates=found.candidates,
        false_positives=found.false_positives,
    )
    counted.add(changes)
    return counted


def status_line(work: ObservedSession) -> str:
    """Return the line that ``systemctl status`` shows."""
    running_scan = work.running_scan
    parts = [f"{work.changed_files.backlog:,} changes wait"]
    if running_scan is not None:
        parts.append(
            f"scan ({running_scan.kind}) {running_scan.fraction:.0%}, {running_scan.files:,} files"
        )
    parts.append(f"{work.found.matches:,} matches")
    if work.retry.in_trouble:
        refused = work.retry.is_refused
        parts.append(f"the service {'refuses the password' if refused else 'does not answer'}")
    return "; ".join(parts)


def write_facts(directory: str, facts: DaemonStatus) -> None:
    """Replace the status file, which ``hashscan status`` reads.

    Raises:
        OSError: the status file cannot be written.
    """
    # The file is not synced to the disk: after a power cut its content would be out of date anyway.
    path = os.path.join(directory, DAEMON_STATUS)
    beside = os.path.join(directory, temporary(DAEMON_STATUS))
    text = json.dumps(facts, separators=(",", ":")).encode()
    try:
        with open(os.open(beside, _FLAGS, 0o600), "wb") as file:
            file.write(text)
        os.replace(beside, path)
    except OSError as error:
        if error.errno != errno.ENOSPC or not os.path.lexists(path):
            with suppress(OSError):
                os.unlink(beside)
            raise
        # The old file would wrongly show that all is well.
        with suppress(OSError):
            os.unlink(beside)
        _overwrite(path, text)


def _overwrite(path: str, text: bytes) -> None:
    """Write a text over an old text, within the blocks of the old text.

    The blocks are not freed first, because another process would take them.

    Raises:
        OSError: the text is longer than the old text, which then remains unchanged; or the file
            cannot be written.
    """
    with closing(os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)) as fd:
        status = os.fstat(fd)
        if len(text) > max(status.st_size, status.st_blocks * 512):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        # The spaces cover the old text's end, if another process reads meanwhile.
        os.pwrite(fd, text.ljust(status.st_size), 0)
        os.ftruncate(fd, len(text))
