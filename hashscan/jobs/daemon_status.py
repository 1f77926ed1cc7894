"""The daemon's status file ``STATE/daemon.json``: its keys, and how other commands read it.

The daemon writes the file every few seconds (``daemon/status_file.py``). The types are those of the
JSON object, because ``status --json`` prints the object as it was written. Times are in seconds
since the epoch, paths are text with ``surrogateescape`` (``os.fsdecode``).
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, TypedDict, cast

from hashscan.files import DAEMON_STATUS
from hashscan.state import holder_of

if TYPE_CHECKING:
    from hashscan.state import State


class VolumeStatus(TypedDict):
    """The watch of one volume.

    Attributes:
        path: resolved path of the volume.
        backend: ``fanotify``, ``inotify``, ``off``, or ``starting``: the watch is not active yet.
        starting: since when the watch has been starting; ``None``: it is active.
        directories: number of watched directories; 0: the whole file system is watched, or nothing.
        unwatched: number of directories that are not watched.
        example: path of one of them; "": none.
        message: why they are not watched.
        blind: changes that the watch cannot report; "": none.
        away: why the volume cannot be scanned; ``None``: it can.
    """

    path: str
    backend: str
    starting: float | None
    directories: int
    unwatched: int
    example: str
    message: str
    blind: str
    away: str | None


class FilterInForce(TypedDict):
    """A filter that the daemon uses: category, version, number of digests, path of its file."""

    category: str
    version: str | None
    digests: int
    path: str | None


class RunningScan(TypedDict):
    """The scan that runs: its kind, start, number of files so far, and done part (0 to 1)."""

    kind: str
    started: float
    files: int
    fraction: float


class PendingStatus(TypedDict):
    """Candidates without a verdict.

    Attributes:
        candidates: their number.
        oldest: when the first of them was found; ``None``: there is none.
        why: why the service gave no verdict; ``None``: the question is on its way.
        next_try: seconds until the next question; ``None``: none is planned.
    """

    candidates: int
    oldest: float | None
    why: str | None
    next_try: float | None


class LastSync(TypedDict):
    """The last sync of filters.

    Attributes:
        time: its end; ``None``: there was none.
        message: its faults; "": none.
        failing_since: the end of the first of several failed syncs; ``None``: the last was good.
        refused: a sync brought a filter that the daemon cannot use.
    """

    time: float | None
    message: str
    failing_since: float | None
    refused: bool


class SyncStatus(LastSync):
    """The last sync, and the time of the next; ``None``: no sync is planned."""

    next: float | None


class MailExample(TypedDict):
    """A mail that is not understood as a notice: its path, and why not."""

    path: str
    why: str


class MaildirStatus(TypedDict):
    """The reading of mails from the Maildir.

    Attributes:
        maildir: its path.
        time: end of the last round; ``None``: there was none.
        since: start of the round that runs; ``None``: none runs.
        stored: number of notices that the daemon has stored since its start.
        waiting: number of mails that are not understood as notices.
        examples: some of these mails.
        left: number of mails for the next round.
        trouble: why mails cannot be read; "": no trouble.
    """

    maildir: str
    time: float | None
    since: float | None
    stored: int
    waiting: int
    examples: list[MailExample]
    left: int
    trouble: str


class NoticeRoundsStatus(TypedDict):
    """The search for files that notices name: end of the last round, and why a later one failed."""

    time: float | None
    trouble: str


class LostOutput(TypedDict):
    """Results that the reader of standard output did not take: why, since when, how many."""

    message: str
    since: float
    lost: int


class WorkCounts(TypedDict):
    """Counts of files, changes and scans since the daemon's start; see docs/metrics.md for each."""

    files: dict[str, int]
    skipped: dict[str, int]
    hashed_bytes: int
    events: int
    losses: int
    scans: int
    candidates: int
    false_positives: int


class LogCounts(TypedDict):
    """Log lines by level, matches by action, and problems by reason since the daemon's start."""

    log: dict[str, int]
    matches: dict[str, int]
    problems: dict[str, int]


class CountersStatus(WorkCounts, LogCounts):
    """Counts since the daemon's start, for metrics."""


class SessionStatus(TypedDict, total=False):
    """The work with one configuration; without a usable known set the file has none of these keys.

    Attributes:
        volumes: the watch of each volume.
        events: number of changes that the watch reported.
        lost: number of times that changes were lost; each loss requests a scan.
        backlog: number of changes that wait.
        waits_for: seconds that the oldest of them has waited.
        hashed, bytes_hashed: files hashed after a change, and their bytes.
        rate: files hashed a second since the last writing of the file.
        problems: number of changed files that could not be read.
        matches, quarantined, held, allowed: matches, and what was done with them.
        counting_since: start of these counts.
        filters: the filters in force.
        rejudged: number of hashed files that were checked against a newer filter.
        scan: the scan that runs; ``None``: none runs.
        pending: candidates without a verdict.
        next_move: seconds until unmoved matches are tried again; ``None``: there is none.
    """

    volumes: list[VolumeStatus]
    events: int
    lost: int
    backlog: int
    waits_for: float
    hashed: int
    rate: float
    bytes_hashed: int
    problems: int
    matches: int
    quarantined: int
    held: int
    allowed: int
    counting_since: float
    filters: list[FilterInForce]
    rejudged: int
    scan: RunningScan | None
    pending: PendingStatus
    next_move: float | None


class DaemonStatus(SessionStatus):
    """The whole file.

    Attributes:
        version: of hashscan.
        pid: of the daemon.
        started: start of the daemon.
        time: when the file was written.
        stopped: the daemon ended as it was asked to.
        trouble: why nothing is scanned; "": the daemon works.
        limit: a limit of the machine is the reason.
        settings: digest of the configuration in use (``coverage_gaps.mark_of``).
        reports_only: why matches are only reported, not moved; "": they are moved.
        moves_named: a file is moved only because a notice names it.
        reload_refused: why the last reload was refused; "": it was not.
        output: results that standard output did not take; ``None``: it takes results.
        sync: the last sync, and the next.
        next_scan: time of the next scan by schedule; ``None``: there is no schedule.
        scan_every: seconds between two scans by schedule.
        notices: the reading of mails; ``None``: there is no Maildir.
        deadlines_logged: times of the last log lines on deadlines, by kind.
        notice_rounds: the search for files that notices name.
        counters: counts for metrics.
    """

    version: str
    pid: int
    started: float
    time: float
    stopped: bool
    trouble: str
    limit: bool
    settings: str
    reports_only: str
    moves_named: bool
    reload_refused: str
    output: LostOutput | None
    sync: SyncStatus
    next_scan: float | None
    scan_every: float | None
    notices: MaildirStatus | None
    deadlines_logged: dict[str, float]
    notice_rounds: NoticeRoundsStatus
    counters: CountersStatus


def read_daemon_status(directory: str) -> DaemonStatus | None:
    """Return the daemon's status file in a state directory; ``None``: there is no readable file."""
    try:
        with open(os.path.join(directory, DAEMON_STATUS), "rb") as file:
            found = json.loads(file.read())
    except (OSError, ValueError):
        return None
    return cast("DaemonStatus", found) if isinstance(found, dict) else None


def status_of_running_daemon(state: State) -> DaemonStatus | None:
    """Return the status file of the daemon that works with ``state``; ``None``: none works."""
    running = holder_of(state.lock_file)
    daemon = None if running is None else read_daemon_status(state.directory)
    return None if daemon is None or daemon.get("pid") != running else daemon
