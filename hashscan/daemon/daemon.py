"""Runs ``hashscan daemon``, from taking its lock to its end, including all timed work."""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import time
from contextlib import ExitStack, suppress
from multiprocessing.connection import wait
from typing import TYPE_CHECKING

from hashscan import __version__
from hashscan.audit.reported import Reported
from hashscan.config.settings import require_service, require_volumes
from hashscan.daemon.background_job import Background
from hashscan.daemon.counters import Counters
from hashscan.daemon.log import Repeats
from hashscan.daemon.metrics_process import Exporting
from hashscan.daemon.notice_intake import Notices
from hashscan.daemon.notice_rounds import NoticeRounds
from hashscan.daemon.notification_process import NotificationProcess
from hashscan.daemon.reload import Reloading
from hashscan.daemon.retention import Housekeeping
from hashscan.daemon.session import Session
from hashscan.daemon.status_file import counted_by, status_line, write_facts
from hashscan.daemon.sync_report import NOT_SYNCED, faults_of, synced
from hashscan.daemon.systemd import ServiceManager
from hashscan.daemon.timers import Cron, Every, Files
from hashscan.errors import (
    ConfigError,
    ExitCode,
    FilterError,
    FilterExpiredError,
    HashscanError,
    InterruptError,
    LockedError,
    QuarantineError,
    StateError,
    UsageError,
)
from hashscan.files import REPORTED
from hashscan.jobs.coverage_gaps import mark_of
from hashscan.jobs.known_set import files_of, open_known_set
from hashscan.jobs.machine_limits import is_limit, limit_reached, raise_open_files
from hashscan.jobs.status import filters_of, moves_named, reports_only
from hashscan.jobs.sync import from_repository, run_sync
from hashscan.machine import fix_of, is_limited, with_cause
from hashscan.text import human_age, said_by, shown

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from hashscan.config.settings import Settings
    from hashscan.daemon.log import Log
    from hashscan.jobs.daemon_status import DaemonStatus, LastSync, SessionStatus
    from hashscan.known.sync.client import SyncReport
    from hashscan.state import State

#: Seconds between two writes of the status file.
_FACTS_AFTER = 5.0
#: Seconds between two writes of the status file if a fact in it has changed.
_FACTS_SOON = 0.5
#: Seconds without progress of the work after which the watchdog of the service manager gets no more
#: pings. A stuck worker process is replaced earlier.
_STUCK_AFTER = 900.0
#: Seconds between two checks whether local digest lists have changed.
_LISTS_AFTER = 3600.0
#: Seconds between two attempts to begin work, if a fault prevents it.
_TRY_AGAIN = 30.0


class Daemon:
    """Runs one instance of the daemon, from its start to its end."""

    def __init__(
        self, settings: Settings, state: State, load: Callable[[], Settings], log: Log
    ) -> None:
        """Prepare the daemon. ``load`` reads the configuration again for a reload.

        Raises:
            ConfigError: no volume, or no service for verdicts, is configured.
        """
        require_volumes(settings)
        require_service(settings)
        self._settings = settings
        self._state = state
        self._load = load
        self._log = log
        self._notifier = ServiceManager()
        self._stop = self._is_ready = self._in_turn = False
        self._reload = False
        self._session: Session | None = None
        self._trouble, self._reload_refused, self._limit = "", "", False
        self._started = time.time()
        self._synced: LastSync = {**NOT_SYNCED}
        self._sync: Background[SyncReport] | None = None
        self._opening = Repeats(log)
        self._reloading = Reloading(state, log, self._opening)
        self._housekeeping = Housekeeping(settings, log, state)
        self._notices = Notices(settings, state, log)
        self._notice_rounds = NoticeRounds(settings, state, log)
        self._exporting = Exporting(settings, log)
        self._notifications = NotificationProcess(settings, state, log)
        self._facts_at = self._facts_soon = self._ping_at = 0.0
        self._progress = (time.monotonic(), -1)
        self._unwritten = ""
        self._good_until = 0.0
        self._counted = Counters()
        self._set_timers()

    def _set_timers(self) -> None:
        settings = self._settings
        self._scan = Cron(settings.scan.schedule)
        # Without a configured filter, a filter is made from local lists, which may change as well.
        refresh = settings.filter.refresh if settings.filter is not None else _LISTS_AFTER
        self._refresh = Every(refresh, at_once=from_repository(settings))
        self._again = Every(_TRY_AGAIN)
        self._lists = Files(files_of(settings))
        self._expiry = Every(_TRY_AGAIN, at_once=True)

    def run(self) -> ExitCode:
        """Do the daemon's work until SIGTERM or SIGINT.

        Raises:
            LockedError: another instance works with this state directory.
            StateError: the state directory cannot be used (any more).
            HashscanError: worker processes cannot run.
        """
        raise_open_files()
        with ExitStack() as stack:
            stack.enter_context(self._state.lock())
            self._wake, waker = multiprocessing.Pipe(duplex=False)
            for end in (self._wake, waker):
                os.set_blocking(end.fileno(), False)
                stack.callback(end.close)
            stack.callback(signal.set_wakeup_fd, signal.set_wakeup_fd(waker.fileno()))
            for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                stack.callback(signal.signal, name, signal.signal(name, self._signalled))
            stack.callback(self._end)
            self._log.record.open(self._settings, self._state)
            self._log.record.started()
            self._log.reported = Reported(os.path.join(self._state.directory, REPORTED))
            self._log.info(f"hashscan {__version__} starts, state {shown(self._state.directory)}")
            self._exporting.step()  # The fork happens before this process opens files of its own.
            with suppress(InterruptError):
                self._within_limits(self._refresh_known)
                self._notifier.ready(self._status_line())
                self._is_ready = True
                while not self._stop:
                    self._within_limits(self._turn)
        return ExitCode.NOTHING_FOUND

    def _within_limits(self, job: Callable[[], None]) -> None:
        """Run ``job``; if a limit of the machine stops ``job``, report the limit and continue."""
        try:
            job()
        except (OSError, MemoryError) as error:
            if not is_limit(error):
                raise
            self._without(limit_reached(error), limit=True)

    def _signalled(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGHUP:
            self._reload = True
        else:
            self._stop = True

    def _end(self) -> None:
        self._notifier.stopping()
        self._reloading.close()
        self._housekeeping.close()
        self._notices.close()
        self._notice_rounds.close()
        self._exporting.close()
        if self._sync is not None:
            self._sync.close()
        self._close_session()
        self._log.tick(everything=True)
        self._log.record.stopped()
        self._notifications.close()
        self._log.info("ended; what changes from now on is found by the scan of the next start")
        with suppress(OSError):
            write_facts(self._state.directory, self._facts(stopped=True))
        self._notifier.close()

    # Main loop

    def _turn(self) -> None:
        jobs = [*self._housekeeping.connections, *self._notices.connections]
        jobs += [*self._notice_rounds.connections, *self._reloading.connections]
        if self._sync is not None:
            jobs.append(self._sync.connection)
        jobs += [*self._exporting.connections, *self._notifications.connections]
        listen = [*jobs, self._wake]
        if self._session is not None:
            try:
                ready = self._session.turn(listen)
            except StateError as error:
                # E.g. after a full disk, committed work is kept, and the daemon tries again.
                ready = []
                self._without(with_cause(error), limit=is_limited(error))
        else:
            woken = set(wait(listen, 1.0))
            ready = [one for one in listen if one in woken]
        with suppress(BlockingIOError):
            os.read(self._wake.fileno(), 4096)
        if self._stop:
            return
        if self._sync is not None and self._sync.connection in ready:
            self._take_sync(self._sync)
        if any(one in ready for one in self._reloading.connections):
            self._take_fetched()
        self._housekeeping.take(ready)
        self._notices.take(ready)
        self._notice_rounds.take(ready)
        self._exporting.take(ready)
        self._notifications.take(ready)
        if self._reload:
            self._reload = False
            self._load_anew()
        self._by_the_clock()
        self._ping_and_write()

    def _during_a_turn(self, goes_on: bool) -> None:
        """Update status and watchdog during a long turn, e.g. the move of a large match.

        Raises:
            InterruptError: SIGTERM or SIGINT requests that the daemon ends.
        """
        if self._stop:
            raise InterruptError("the daemon ends")
        if goes_on:
            self._progress = (time.monotonic(), -1)
        if self._is_ready:
            self._in_turn = True
            try:
                self._ping_and_write()
            finally:
                self._in_turn = False

    def _by_the_clock(self) -> None:
        if self._scan.due() and self._session is not None:
            self._session.request_all("schedule")
        if self._refresh.due():
            if from_repository(self._settings):
                self._begin_sync()
            else:
                self._refresh_known()
        if self._lists.changed() and self._sync is None:
            self._refresh_known()
        if self._session is None and self._again.due():
            self._refresh_known()
        if self._session is not None and time.time() > self._good_until and self._expiry.due():
            self._refresh_known()
        self._exporting.step()
        self._housekeeping.step(self._session)
        self._notices.step()
        self._notice_rounds.step(self._session, self._trouble)
        self._notifications.step()

    # Filters

    def _begin_sync(self) -> None:
        if self._sync is None:
            settings, state = self._settings, self._state
            try:
                self._sync = Background(lambda: run_sync(settings, state, by="daemon"))
            except HashscanError as error:
                again = human_age(self._refresh.failed())
                self._log.limited("sync", "warning", f"no sync: {error}; again in {again}")

    def _take_sync(self, job: Background[SyncReport]) -> None:
        self._sync = None
        trouble, wait = faults_of(job.take(), self._log)
        self._synced = synced(trouble, time.time(), self._synced)
        if trouble:
            self._log.record.problem("sync", "; ".join(sorted(trouble)), "; ".join(trouble))
            again = self._refresh.failed(wait)
            for message in trouble:
                self._log.limited("sync", "warning", f"{message}; again in {human_age(again)}")
        else:
            self._refresh.succeeded()
            self._log.record.well("sync")
        self._refresh_known()

    def _refresh_known(self, kind: str = "start") -> None:
        """Open and check the filters, and use them if they differ from the filters in use.

        If a filter fails, the filters in use remain as long as they are recent enough. ``kind`` is
        the kind of the scan that follows if no session is running.
        """
        try:
            with self._opening.run() as notice:
                known = open_known_set(self._settings, self._state, (), notice)
        except (FilterError, ConfigError, UsageError, StateError) as error:
            expired = isinstance(error, FilterExpiredError) or time.time() > self._good_until
            if self._session is None or expired:
                self._without(with_cause(error), limit=is_limited(error))
            else:
                why = f"the filters in use stay, for: {error}"
                self._log.limited("filter", "error", why)
                if not self._synced["refused"]:
                    self._log.record.refused("filter", str(error))
                since = self._synced["failing_since"] or time.time()
                self._synced |= {"message": why, "failing_since": since, "refused": True}
                self._facts_at = 0.0
            return
        if self._synced["refused"]:
            self._synced |= {"message": "", "failing_since": None, "refused": False}
        self._good_until = self._good_for()
        session = self._session
        try:
            if session is None:
                self._session = Session(
                    self._settings,
                    self._state,
                    known,
                    self._log,
                    tick=self._during_a_turn,
                    kind=kind,
                )
                self._trouble = ""
                self._log.record.well("scanning")
            elif session.newest.name != known.name:
                self._log.info("another set of filters is used: " + known.name)
                self._log.record.filters(known.name)
                session.swap(known)
        except (
            FilterError,
            ConfigError,
            UsageError,
            LockedError,
            StateError,
            QuarantineError,
        ) as error:
            self._without(with_cause(error), limit=is_limited(error))

    def _good_for(self) -> float:
        """Return until when the opened filters may be used, in seconds since the epoch."""
        section = self._settings.filter
        if section is None or section.max_age is None:
            return math.inf
        _, found = filters_of(self._settings, self._state)
        return time.time() + min((section.max_age - (one.age or 0.0) for one in found), default=0)

    def _without(self, why: str, *, limit: bool = False) -> None:
        """Stop all work with filters for the reason ``why``, and report the reason."""
        if self._trouble != why:
            self._log.error(f"nothing is scanned: {why}")
            self._log.record.problem("scanning", why, why)
        self._trouble, self._limit = why, limit
        self._facts_at = 0.0
        self._close_session()

    def _close_session(self) -> None:
        if self._session is not None:
            session, self._session = self._session, None
            try:
                session.close()
            except StateError as error:
                self._log.limited("close", "error", str(error))
            self._counted = counted_by(session, self._counted)

    # Reload

    def _load_anew(self) -> None:
        self._notifier.reloading()
        try:
            settings = self._reloading.begin(self._load(), self._settings)
        except HashscanError as error:
            self._refuse(error)
        else:
            if settings is not None:
                self._take_over(settings)

    def _take_fetched(self) -> None:
        try:
            settings = self._reloading.take()
        except HashscanError as error:
            self._refuse(error)
        else:
            self._take_over(settings)

    def _take_over(self, settings: Settings) -> None:
        self._log.info("the configuration was read anew; all volumes are scanned")
        self._log.record.reload(settings, self._state)
        self._reload_refused = ""
        self._facts_at = 0.0
        self._close_session()
        if self._sync is not None:
            self._sync.close()
            self._sync = None
        self._settings = settings
        self._set_timers()
        self._housekeeping.use(settings)
        self._notices.use(settings)
        self._notice_rounds.use(settings)
        self._exporting.use(settings)
        self._notifications.use(settings)
        self._refresh_known("reload")
        self._notifier.ready(self._status_line())

    def _refuse(self, error: HashscanError) -> None:
        self._log.error(f"reload refused, the old configuration stays: {error}")
        self._log.record.refused("configuration", str(error))
        self._reload_refused = str(error)
        self._facts_at = 0.0
        self._notifier.ready(self._status_line())

    # Status reports

    def _ping_and_write(self) -> None:
        now = time.monotonic()
        interval = self._notifier.watchdog_interval
        if interval is not None and now >= self._ping_at and self._goes_on(now):
            self._ping_at = now + interval
            self._notifier.watchdog()
        session = self._session
        changed = session is not None and (
            session.facts.has_news() or (now >= self._facts_soon and session.facts.has_counted())
        )
        if now < self._facts_at and not changed:
            return
        self._facts_at, self._facts_soon = now + _FACTS_AFTER, now + _FACTS_SOON
        self._log.tick()
        self._log.record.write_delayed()
        self._notifier.status(self._status_line())
        self._write_status()

    def _write_status(self) -> None:
        """Write the status file; log once that writing fails, and once that writing works again."""
        why = ""
        try:
            write_facts(self._state.directory, self._facts())
        except OSError as error:
            why = f"{said_by(error)}; {fix_of(error)}; the daemon goes on by itself"
        if why != self._unwritten:
            tell = self._log.error if why else self._log.info
            what = f"cannot be written: {why}" if why else "is written again"
            tell(f"{shown(self._state.directory)}: the daemon's status {what}")
        self._unwritten = why

    def _goes_on(self, now: float) -> bool:
        """Return whether waiting work makes progress; if not, systemd's watchdog gets no ping."""
        session = self._session
        since, turns = self._progress
        if self._in_turn:
            return now - since < _STUCK_AFTER
        if session is None or session.turns != turns or not session.changed_files.busy:
            self._progress = (now, -1 if session is None else session.turns)
            return True
        return now - since < _STUCK_AFTER

    def _status_line(self) -> str:
        if self._session is None:
            return f"nothing is scanned: {self._trouble}"
        return status_line(self._session)

    def _facts(self, *, stopped: bool = False) -> DaemonStatus:
        session: SessionStatus = {}
        if self._session is not None:
            with suppress(StateError):
                session = self._session.facts.collect()
        counted = counted_by(self._session, self._counted).facts()
        return {
            "version": __version__,
            "pid": os.getpid(),
            "started": self._started,
            "time": time.time(),
            "stopped": stopped,
            "trouble": self._trouble,
            "limit": self._limit and bool(self._trouble),
            "settings": mark_of(self._settings),
            "reports_only": reports_only(self._settings),
            "moves_named": moves_named(self._settings),
            "reload_refused": self._reload_refused,
            "output": self._log.output_trouble(),
            "sync": {**self._synced, "next": self._refresh.next},
            "next_scan": self._scan.next,
            "scan_every": self._scan.interval,
            "notices": self._notices.facts(),
            "deadlines_logged": self._notices.logged(),
            "notice_rounds": self._notice_rounds.facts(),
            "counters": {**counted, **self._log.counts()},
            **session,
        }


def run_daemon(
    settings: Settings, state: State, load: Callable[[], Settings], log: Log
) -> ExitCode:
    """Watch volumes, scan by schedule, sync filters and confirm matches, until SIGTERM.

    Raises:
        HashscanError: the daemon cannot start or continue; the error's class names the fault.
    """
    return Daemon(settings, state, load, log).run()
