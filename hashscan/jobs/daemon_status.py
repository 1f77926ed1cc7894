"""Defines the keys of the daemon's status file ``STATE/daemon.json``, and reads the file.

The daemon writes the file every few seconds (``daemon/status_file.py``). The types are the types of
the JSON object, because ``status --json`` prints the object as the daemon wrote it. Times are in
seconds since the epoch; paths are text with ``surrogateescape`` (``os.fsdecode``).
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
    """Holds the state of the watch of one volume for the status file.

    Attributes:
        path: path of the volume, with links resolved.
        backend: the kernel interface of the watch: ``fanotify``, ``inotify``, ``off``, or
            ``starting`` if the watch is not active yet.
        starting: time since which the watch has been starting; ``None``: the watch is active.
        directories: number of watched directories; 0: the watch covers the whole file system, or
            nothing.
        unwatched: number of directories that the watch does not cover.
        example: path of a directory that the watch does not cover; "": no such directory exists.
        message: why the watch does not cover these directories.
        blind: kinds of changes that the watch cannot report; "": the watch reports all changes.
        away: why the volume cannot be scanned; ``None``: the volume can be scanned.
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
    """Describes a filter in use: the filter's category, version, number of digests, path."""

    category: str
    version: str | None
    digests: int
    path: str | None


class RunningScan(TypedDict):
    """Describes the running scan: its kind, start, number of files, and done part (0 to 1)."""

    kind: str
    started: float
    files: int
    fraction: float


class PendingStatus(TypedDict):
    """Describes the candidates without a verdict.

    Attributes:
        candidates: number of candidates without a verdict.
        oldest: time at which a scan found the candidate that has waited longest; ``None``: no
            candidate waits.
        why: why the service gave no verdict; ``None``: the service has not answered yet.
        next_try: seconds until the service is asked again; ``None``: no retry is planned.
    """

    candidates: int
    oldest: float | None
    why: str | None
    next_try: float | None


class LastSync(TypedDict):
    """Describes the last sync of filters.

    Attributes:
        time: end of the last sync of filters; ``None``: there was no sync.
        message: faults of the last sync of filters; "": there were no faults.
        failing_since: end of the first of several failed syncs; ``None``: the last sync succeeded.
        refused: a sync brought a filter that the daemon cannot use.
    """

    time: float | None
    message: str
    failing_since: float | None
    refused: bool


class SyncStatus(LastSync):
    """Describes the last sync, and the time of the next sync.

    The value is ``None`` if no sync of filters is planned.
    """

    next: float | None


class MailExample(TypedDict):
    """Describes a mail that hashscan cannot read as a notice: the mail's path, and the reason."""

    path: str
    why: str


class MaildirStatus(TypedDict):
    """Describes the reading of mails from the Maildir.

    Attributes:
        maildir: path of the Maildir.
        time: end of the last round of reading the Maildir; ``None``: there was no round.
        since: start of the running round of reading the Maildir; ``None``: no round runs.
        stored: number of notices that the daemon has stored since its start.
        waiting: number of mails that hashscan cannot read as notices.
        examples: some of the mails that hashscan cannot read as notices.
        left: number of mails that the daemon reads in the next round.
        trouble: why mails cannot be read; "": mails can be read.
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
    """Describes the search for files that notices name.

    The keys are the end of the last search, and why a later search failed.
    """

    time: float | None
    trouble: str


class LostOutput(TypedDict):
    """Describes results that no process read from standard output: reason, time, number."""

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
    """Counts log lines by level, matches by action, problems by reason since the daemon's start."""

    log: dict[str, int]
    matches: dict[str, int]
    problems: dict[str, int]


class CountersStatus(WorkCounts, LogCounts):
    """Holds counts since the daemon's start, for metrics."""


class SessionStatus(TypedDict, total=False):
    """Describes the daemon's work with one configuration.

    The status file lacks these keys if the daemon has no usable known set.

    Attributes:
        volumes: the state of the watch of each volume.
        events: number of changes that the watch reported.
        lost: number of times that changes were lost; each time requests a scan.
        backlog: number of changed entries that wait for a check.
        waits_for: seconds for which the oldest change in the backlog has waited.
        hashed, bytes_hashed: number of files hashed after a change, and their size in bytes.
        rate: files hashed a second since the status file was last written.
        problems: number of changed files that could not be read.
        matches, quarantined, held, allowed: numbers of matches, and of matches by action.
        counting_since: time at which the session's counts began.
        filters: the filters that the daemon uses.
        rejudged: number of hashed files that were checked against a newer filter.
        scan: the running scan; ``None``: no scan runs.
        pending: candidates without a verdict.
        next_move: seconds until unmoved matches are tried again; ``None``: no match waits.
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
    """Describes the whole status file of the daemon.

    Attributes:
        version: version of hashscan.
        pid: process id of the daemon.
        started: time of the daemon's start.
        time: time at which the daemon wrote the status file.
        stopped: the daemon ended because the sysadmin or the service manager requested it.
        trouble: why the daemon scans nothing; "": the daemon works.
        limit: a limit of the machine is the reason why the daemon scans nothing.
        settings: digest of the configuration in use (``coverage_gaps.mark_of``).
        reports_only: why matches are only reported, not moved; "": matches are moved.
        moves_named: a file is moved only because a notice names it.
        reload_refused: why the last reload was refused; "": the last reload succeeded.
        output: results that standard output did not take; ``None``: standard output takes results.
        sync: the last sync of filters, and the time of the next sync.
        next_scan: time of the next scan by schedule; ``None``: there is no schedule.
        scan_every: seconds between two scans by schedule.
        notices: the reading of mails with notices; ``None``: no Maildir is configured.
        deadlines_logged: times of the last log lines on deadlines, by kind.
        notice_rounds: the search for files that notices name.
        counters: counts since the daemon's start, for metrics.
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
    """Return the daemon's status file in a state directory.

    The result is ``None`` if the directory has no readable status file.
    """
    try:
        with open(os.path.join(directory, DAEMON_STATUS), "rb") as file:
            found = json.loads(file.read())
    except (OSError, ValueError):
        return None
    return cast("DaemonStatus", found) if isinstance(found, dict) else None


def status_of_running_daemon(state: State) -> DaemonStatus | None:
    """Return the status file of the daemon that works with the state directory ``state``.

    The result is ``None`` if no daemon works with the state directory.
    """
    running = holder_of(state.lock_file)
    daemon = None if running is None else read_daemon_status(state.directory)
    return None if daemon is None or daemon.get("pid") != running else daemon
