"""Reads from files on disk for ``hashscan status`` whether hashscan works.

The command creates nothing, fetches nothing, and no other process waits for it.

The daemon writes ``STATE/daemon.json`` every few seconds; the lock shows whether that daemon is
still running.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hashscan.audit.quick_check import fault_of
from hashscan.catalog.status_overview import Overview, overview
from hashscan.config.loader import load_or_default
from hashscan.errors import ConfigError, HashscanError, QuarantineError, StateError, UsageError
from hashscan.jobs.complaint_reasons import Reason, ReasonFault
from hashscan.jobs.coverage_gaps import VolumeFacts, gaps, troubles
from hashscan.jobs.daemon_status import read_daemon_status
from hashscan.jobs.notices.deadlines import Deadlines, deadlines_of
from hashscan.jobs.sync import from_repository, source_of
from hashscan.known.sync.synced_filters import open_kept
from hashscan.machine import is_limited, with_cause
from hashscan.model import join
from hashscan.notify.receiver_state import ReceiverState, receiver_states
from hashscan.quarantine.holds import waiting_holds
from hashscan.quarantine.manage import passed, why_doubtful
from hashscan.quarantine.recheck_answers import held_withdrawals
from hashscan.quarantine.records import WITHDRAWN
from hashscan.quarantine.store import Store
from hashscan.quarantine.summary import briefs
from hashscan.service.intake.running import Running, running_intake
from hashscan.state import State, holder_of
from hashscan.text import counted, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashscan.config.settings import Settings
    from hashscan.jobs.daemon_status import DaemonStatus, MaildirStatus, SyncStatus
    from hashscan.known.filters.open_filter import FilterFile
    from hashscan.quarantine.hold_types import Hold


_DOUBTFUL = "doubtful"


@dataclass(frozen=True, slots=True)
class FilterStatus:
    """Describes one filter for ``status``.

    Attributes:
        name: category of the filter, or the path of a configured file.
        version, digests, path: facts of the filter; ``None`` if the filter cannot be used.
        created: RFC 3339 UTC time at which the filter was made.
        verified: time at which the filter's repository last confirmed the filter as the newest, in
            seconds since the epoch; ``None`` for a filter file.
        age: seconds since the filter was verified, or made; ``filter.max_age`` limits this age.
        trouble: why the filter cannot be used, and how to mend it.
        tiers: the tiers that the filter has.
        tiers_unused: why hashscan does not use further tiers of the filter.
    """

    name: str
    version: str | None = None
    digests: int | None = None
    path: str | None = None
    created: str | None = None
    verified: float | None = None
    age: float | None = None
    trouble: str | None = None
    tiers: tuple[str, ...] = ()
    tiers_unused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Status:
    """Describes the state directory for ``status``.

    Attributes:
        state: path of the state directory.
        running: id of the process that scans with the state directory now.
        source: words that describe where the filters come from.
        filters: the filters that the configuration names.
        catalog: figures of the catalog; ``None`` if no scan has run yet.
        quarantine: number of records by their state; damaged records have the state ``damaged``.
        trouble: faults that the sysadmin must mend, other than faults of filters.
        daemon: the daemon's status file; ``None``: no daemon has worked with this state directory.
        alive: the daemon that wrote the status file is running.
        reports_only: why matches are only reported, not moved; empty: matches are moved.
        moves_named: a file is moved only because a notice names it.
        retention: seconds after which contents of the quarantine are removed for good.
        uncovered: volumes that are not watched or were not scanned; see ``coverage_gaps``.
        refusals: why a scan would reject the configuration.
        deadlines: deadlines of notices; ``None``: no notice ever arrived.
        maildir: path of the configured Maildir.
        holds: holds that wait for an administrator's decision.
        intake: state of the process that takes notices over HTTP; ``None``: no sender has a token
            for it.
        receivers: receivers of notifications in the configuration that got messages or have waiting
            messages.
    """

    state: str
    running: int | None
    source: str
    filters: tuple[FilterStatus, ...]
    catalog: Overview | None
    quarantine: dict[str, int]
    trouble: tuple[ReasonFault, ...]
    daemon: DaemonStatus | None = None
    alive: bool = False
    uncovered: tuple[ReasonFault, ...] = ()
    reports_only: str = ""
    moves_named: bool = False
    retention: float | None = None
    refusals: tuple[str, ...] = ()
    deadlines: Deadlines | None = None
    maildir: str | None = None
    intake: Running | None = None
    holds: tuple[Hold, ...] = ()
    receivers: tuple[ReceiverState, ...] = ()

    @property
    def mail(self) -> MaildirStatus | None:
        """Return the running daemon's facts on the Maildir.

        The result is ``None`` if no Maildir is configured or no daemon runs.
        """
        return self.daemon.get("notices") if self.daemon and self.alive else None

    @property
    def sync(self) -> SyncStatus | None:
        """Return the facts on the running daemon's last sync; ``None`` if no daemon runs."""
        return self.daemon.get("sync") if self.daemon and self.alive else None

    @property
    def refused(self) -> str:
        """Return the service's answer that refused the password; empty: no such answer came."""
        return (self.catalog.refused or "") if self.catalog else ""

    @property
    def at_a_limit(self) -> bool:
        """Return whether a limit of the machine stops the daemon, not the lack of a filter."""
        return bool(self.alive and self.daemon and self.daemon.get("limit"))

    @property
    def unmoved(self) -> tuple[int, bytes, str] | None:
        """Return the number of matches that could not be moved, the path of one, and the reason.

        The result is ``None`` if all matches were moved.
        """
        return self.catalog.unmoved if self.catalog else None

    @property
    def stands_still(self) -> str:
        """Return why the running daemon scans nothing: it has no known set; empty: it scans."""
        return str(self.daemon.get("trouble") or "") if self.alive and self.daemon else ""

    @property
    def reported(self) -> int:
        """Return the matches that remain at their places because the configuration only reports.

        If a daemon works, only matches in the daemon's volumes count: the sysadmin may have scanned
        other volumes as a trial.
        """
        if not self.reports_only or self.catalog is None:
            return 0
        volumes = self.daemon.get("volumes", []) if self.daemon else []
        roots = tuple(_below(os.fsencode(one["path"])) for one in volumes) or (b"",)
        return sum(
            count
            for volume, count in self.catalog.reported.items()
            if _below(volume).startswith(roots)
        )


def filters_of(settings: Settings, state: State) -> tuple[str, tuple[FilterStatus, ...]]:
    """Return where the configured filters come from, and each filter after all its checks."""
    if settings.filter is None:
        if settings.service is None:
            return "none is configured: give digest lists with --known", ()
        return "made from the lists of service.known", tuple(
            FilterStatus(path, trouble=why)
            for path in settings.service.known
            if (why := _unreadable(path))
        )
    if not from_repository(settings):
        return settings.filter.source, (_file(settings),)
    source = source_of(settings)
    found = []
    for category in source.categories:
        try:
            (kept,) = open_kept(
                replace(source, categories=(category,)),
                state.filters,
                max_age=settings.filter.max_age,
            )
        except HashscanError as error:
            found.append(FilterStatus(category, trouble=with_cause(error)))
        else:
            found.append(_filter(category, kept.loaded, kept.verified))
    return source.url, tuple(found)


def _unreadable(path: str) -> str:
    """Return why a digest list cannot be opened.

    The next scan and ``doctor`` check the content of the list.
    """
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
    except OSError as error:
        return f"{shown(path)}: {(error.strerror or str(error)).lower()}; put the list there"
    return ""


def _file(settings: Settings) -> FilterStatus:
    from hashscan.jobs.known_set import open_file  # noqa: PLC0415 - heavy

    assert settings.filter is not None
    path = settings.filter.source
    try:
        one = open_file(settings.filter)
    except HashscanError as error:
        return FilterStatus(path, trouble=with_cause(error))
    return _filter(one.category, one, None)


def _filter(name: str, one: FilterFile, verified: float | None) -> FilterStatus:
    since = one.metadata.created_seconds if verified is None else verified
    return FilterStatus(
        name,
        version=one.version,
        digests=one.metadata.digests,
        path=one.path,
        created=one.metadata.created,
        verified=verified,
        age=max(0.0, time.time() - since),
        tiers=one.tiers.names,
        tiers_unused=one.tiers_unused,
    )


def status_of(settings: Settings) -> Status:
    """Read the status of all that the configuration names; unreadable parts count as faults.

    Raises:
        HashscanError: a limit of this process, e.g. of open files, prevents the reading.
    """
    trouble: list[ReasonFault] = []
    unread = False
    catalog: Overview | None = None
    running: int | None = None
    source = "unknown: the state directory cannot be used"
    filters: tuple[FilterStatus, ...] = ()
    try:
        state = State(settings.state, make=False)
        running = holder_of(state.lock_file)
        source, filters = filters_of(settings, state)
        catalog = overview(state.catalog)
    except HashscanError as error:
        unread = True
        trouble.append(_trouble_of(error))
    deadlines: Deadlines | None = None
    intake: Running | None = None
    receivers: tuple[ReceiverState, ...] = ()
    with suppress(UsageError):  # ``trouble`` already reports an unusable state directory.
        state = State(settings.state, make=False)
        try:
            deadlines = deadlines_of(state, settings.notices.due_soon, time.time())
        except StateError as error:
            trouble.append(_trouble_of(error))
        try:
            intake = running_intake(state)
        except HashscanError as error:
            trouble.append(_trouble_of(error))
        try:
            receivers = tuple(receiver_states(state.directory, time.time()))
        except StateError as error:
            trouble.append(_trouble_of(error))
        if what := fault_of(state.directory):
            trouble.append(ReasonFault(Reason.AUDIT, what))
    holds: tuple[Hold, ...] = ()
    with suppress(UsageError):
        try:
            holds = waiting_holds(State(settings.state, make=False).holds)
        except StateError as error:
            trouble.append(_trouble_of(error))
    counts: Counter[str] = Counter()
    retention = settings.quarantine.retention
    try:
        counts = quarantine_counts(settings.quarantine_directory, retention)
    except HashscanError as error:
        trouble.append(_trouble_of(error, Reason.QUARANTINE))
    doubtful = counts.pop(_DOUBTFUL, 0)
    if counts["damaged"]:
        trouble.append(
            ReasonFault(
                Reason.QUARANTINE,
                f"{counts['damaged']:,} records of the quarantine are damaged: 'hashscan "
                "quarantine verify' names them",
            )
        )
    daemon = read_daemon_status(settings.state)
    alive = daemon is not None and running is not None and daemon.get("pid") == running
    seen = VolumeFacts(settings, catalog, running, daemon, alive=alive, unread=unread)
    trouble += troubles(seen)
    uncovered = gaps(seen)
    if doubtful and retention is not None:
        message = f"quarantine: {why_doubtful(doubtful, retention)}"
        uncovered = (*uncovered, ReasonFault(Reason.QUARANTINE, message))
    uncovered = (*uncovered, *_withdrawn(settings, counts))
    return Status(
        settings.state,
        running,
        source,
        filters,
        catalog,
        dict(counts),
        tuple(trouble),
        daemon,
        alive,
        uncovered,
        daemon.get("reports_only", "") if daemon and alive else reports_only(settings),
        bool(daemon.get("moves_named")) if daemon and alive else moves_named(settings),
        retention,
        refusals=_refusals(settings),
        deadlines=deadlines,
        maildir=settings.notices.maildir,
        intake=intake,
        holds=holds,
        receivers=receivers,
    )


def _withdrawn(settings: Settings, counts: Counter[str]) -> Iterator[ReasonFault]:
    """Return the withdrawn files that wait for their restore, and the stopped withdrawals."""
    waiting = counts[WITHDRAWN]
    if waiting:
        auto = settings.quarantine.restore_withdrawn == "auto"
        what = "the daemon puts them back" if auto else "they are innocent by now, so put them back"
        yield ReasonFault(
            Reason.WITHDRAWN,
            f"{counted(waiting, 'file')} in quarantine whose digest the service withdrew; {what}: "
            "'hashscan quarantine restore --withdrawn'",
        )
    try:
        held, why = held_withdrawals(State(settings.state, make=False).withdrawn)
    except HashscanError as error:
        yield _trouble_of(error)
        return
    if held:
        yield ReasonFault(
            Reason.WITHDRAWN,
            f"{counted(held, 'digest')} in quarantine turned unknown, and nothing is withdrawn: "
            f"{why} If all is right: 'hashscan quarantine withdrawn --accept'",
        )


def _refusals(settings: Settings) -> tuple[str, ...]:
    """Return why a scan, or a start of the daemon, would reject the present configuration."""
    if settings.file is None:
        return ()
    try:
        load_or_default(settings.file, state=settings.state)
    except ConfigError as error:
        return tuple(str(one) for one in error.findings) or (str(error),)
    return ()


def _trouble_of(error: HashscanError, reason: Reason = Reason.STATE) -> ReasonFault:
    if is_limited(error):
        raise error
    return ReasonFault(reason, with_cause(error))


def _below(root: bytes) -> bytes:
    return join(root, b"x")[:-1]


def reports_only(settings: Settings) -> str:
    """Return why matches are only reported, not moved; empty: matches are moved."""
    if settings.quarantine.action == "report":
        return "quarantine.action is 'report'"
    return "service.test is true" if settings.is_test else ""


def moves_named(settings: Settings) -> bool:
    """Return whether a file is moved only because a notice names it."""
    return settings.notices.action == "quarantine" and not settings.is_test


def quarantine_counts(directory: str, retention: float | None) -> Counter[str]:
    """Return the number of the quarantine's records by state.

    The state ``_DOUBTFUL`` counts contents that are too old by the system clock only.

    Raises:
        QuarantineError: the quarantine cannot be used.
    """
    try:
        store = Store.open(os.fsencode(directory), create=False)
    except QuarantineError as error:
        if error.reason == "no-store":
            return Counter()
        raise
    counts: Counter[str] = Counter()
    with store:
        timeline = store.timeline()
        for _, brief, _ in briefs(store):
            counts["damaged" if brief is None else brief.word] += 1
            if brief is not None and retention is not None:
                counts[_DOUBTFUL] += passed(brief, retention, timeline) == _DOUBTFUL
    return counts
