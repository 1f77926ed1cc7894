"""Takes notices from the Maildir for the daemon, and logs the notices' deadlines.

A separate process reads the mails: the Maildir may be on a file server that does not answer, and a
mail may be hostile.
"""

from __future__ import annotations

import resource
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from hashscan.audit.recorder import Recorder
from hashscan.daemon.background_job import Background, Failure
from hashscan.daemon.notice_deadlines import DeadlineLines
from hashscan.daemon.timers import Every
from hashscan.errors import HashscanError, StateError
from hashscan.jobs.daemon_status import read_daemon_status
from hashscan.jobs.notices.deadlines import DUE_SOON, OVERDUE, deadlines_of
from hashscan.jobs.notices.mailbox import senders_of
from hashscan.machine import with_cause
from hashscan.notices.maildir import MaildirRound, take_mails
from hashscan.notices.store import NoticeStore
from hashscan.text import said_by

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from multiprocessing.connection import Connection

    from hashscan.config.settings import Settings
    from hashscan.daemon.log import Log
    from hashscan.jobs.daemon_status import MaildirStatus
    from hashscan.notices.senders import Senders
    from hashscan.state import State

#: Seconds between two readings of the Maildir, and between two checks of the deadlines.
_MAILS_EVERY, _DEADLINES_EVERY = 30.0, 60.0
#: Seconds between two log lines of the same kind.
_HOUR = 3600.0
#: Seconds that reading one mail may take, and bytes of memory that the process may use beyond the
#: daemon's.
_LONGEST, _MOST_MEMORY = 60, 1 << 30


class Notices:
    """Takes notices from the Maildir, and logs the notices' deadlines."""

    def __init__(
        self,
        settings: Settings,
        state: State,
        log: Log,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Prepare; the first ``step`` starts to read. ``clock`` returns seconds since the epoch."""
        self._state = state
        self._log = log
        self._clock = clock
        self._job: Background[MaildirRound] | None = None
        self._begun: float | None = None
        self._said: dict[str, tuple[str, float]] = _said_before(state)
        self._lines = DeadlineLines(state, log.record.deadline)
        self.use(settings)

    def use(self, settings: Settings) -> None:
        """Use these settings from now on; end a reading of the Maildir by old settings."""
        self.close()
        self._settings = settings
        self._maildir = settings.notices.maildir
        self._senders = senders_of(settings)
        self._soon = settings.notices.due_soon
        every = None if self._maildir is None else _MAILS_EVERY
        self._mails_due = Every(every, at_once=True, clock=self._clock)
        self._deadlines_due = Every(_DEADLINES_EVERY, at_once=True, clock=self._clock)
        self._round: MaildirRound | None = None
        self._ended: float | None = None
        self._stored = 0
        self._trouble = ""

    @property
    def connections(self) -> list[Connection]:
        """Return the connection that is readable when ``take`` can log the result of a reading."""
        return [] if self._job is None else [self._job.connection]

    def step(self) -> None:
        """Start to read the Maildir and check the deadlines, if it is time."""
        if self._deadlines_due.due():
            self._log_deadlines()
        maildir, path, senders = self._maildir, self._state.notices, self._senders
        if maildir is None or self._job is not None or not self._mails_due.due():
            return
        try:
            recorder = Recorder.of(self._settings, "daemon", self._state)
            self._job = Background(lambda: _round(maildir, path, senders, recorder))
            self._begun = self._clock()
        except HashscanError as error:
            self._fails(f"no mails are read: {error}; the daemon tries again within 30 s")

    def take(self, ready: Collection[object]) -> None:
        """Log the result of a reading of the Maildir, if the reading has ended."""
        job = self._job
        if job is None or job.connection not in ready:
            return
        self._job = self._begun = None
        done = job.take()
        if isinstance(done, Failure):
            self._fails(f"no mails were read: {done.message}; the daemon tries again within 30 s")
            return
        self._round, self._ended = done, self._clock()
        self._stored += len(done.stored)
        for notice in done.stored:
            message = f"notice {notice} stored from the Maildir: 'hashscan notice show {notice}'"
            self._log.limited("notice stored", "info", message)
        if done.stored:
            self._log_deadlines()
        for path, why in done.refused:
            message = f"{path}: not understood as a notice, and left unread: {why}"
            self._log.limited("mail", "warning", message)
        self._trouble = ""
        if done.trouble:
            self._fails(done.trouble)
        if done.left:
            self._mails_due.next = self._clock()

    def _fails(self, message: str) -> None:
        self._trouble = message
        self._say("mails", message)

    def _log_deadlines(self) -> None:
        try:
            found = deadlines_of(self._state, self._soon, self._clock())
        except StateError as error:
            self._say("notices", f"the deadlines of notices are unknown: {with_cause(error)}")
            return
        for kind, message in () if found is None else found.messages:
            self._say(kind, message, same=kind)
        try:
            self._lines.step(self._soon, self._clock())
        except (StateError, OSError) as error:
            self._say("notices", f"deadlines are not in the audit log: {said_by(error)}")

    def _say(self, kind: str, message: str, *, same: str = "") -> None:
        """Log a message; repeat it (or, with ``same``, log any message) only after an hour."""
        now = self._clock()
        said, at = self._said.get(kind, ("", 0.0))
        # A clock that is set back must not silence the message.
        if said == (same or message) and 0 <= now - at < _HOUR:
            return
        self._said[kind] = (same or message, now)
        self._log.limited(f"notices: {kind}", "error" if kind == OVERDUE else "warning", message)

    def facts(self) -> MaildirStatus | None:
        """Return the facts about the Maildir for the file that ``status`` reads.

        The result is ``None`` if no Maildir is configured.
        """
        if self._maildir is None:
            return None
        done = self._round or MaildirRound()
        return {
            "maildir": self._maildir,
            "time": self._ended,
            "since": self._begun,
            "stored": self._stored,
            "waiting": done.waiting,
            "examples": [{"path": one.path, "why": one.why} for one in done.examples],
            "left": done.left,
            "trouble": self._trouble,
        }

    def logged(self) -> dict[str, float]:
        """Return the times of the last log lines on deadlines, by kind, for the next daemon."""
        return {kind: self._said[kind][1] for kind in (OVERDUE, DUE_SOON) if kind in self._said}

    def close(self) -> None:
        """End a running reading of the Maildir; the next reading takes the remaining mails."""
        if self._job is not None:
            self._job.close()
            self._job = self._begun = None


def _said_before(state: State) -> dict[str, tuple[str, float]]:
    """Return times of the previous daemon's log lines on deadlines, against repetition."""
    daemon = read_daemon_status(state.directory)
    found = None if daemon is None else daemon.get("deadlines_logged")
    if not isinstance(found, dict):
        return {}
    return {kind: (kind, float(at)) for kind, at in found.items() if isinstance(at, int | float)}


def _round(maildir: str, path: str, senders: Senders, recorder: Recorder) -> MaildirRound:
    """Read the Maildir once, within bounds on memory and on the time for each mail."""
    with suppress(OSError, ValueError):
        _bound_memory()
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    with NoticeStore(path, recorder) as store:
        try:
            return take_mails(
                maildir, store, senders=senders, before_each=lambda: _bound_time(_LONGEST)
            )
        finally:
            _bound_time(0)


def _bound_time(seconds: int) -> None:
    signal.alarm(seconds)


def _bound_memory() -> None:
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        (used,) = (int(line.split()[1]) << 10 for line in file if line.startswith("VmData:"))
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (used + _MOST_MEMORY, hard))
