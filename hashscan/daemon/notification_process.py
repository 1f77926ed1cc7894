"""Sends notifications in a separate process, so that no receiver ever delays the daemon."""

from __future__ import annotations

import socket
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from hashscan.audit.events import DAEMON_STOPPED
from hashscan.audit.reader import newest
from hashscan.audit.recorder import Recorder
from hashscan.daemon.timers import Every
from hashscan.errors import HashscanError, StateError
from hashscan.jobs.daemon_status import read_daemon_status
from hashscan.jobs.machine_limits import is_limit, limit_reached
from hashscan.jobs.notifications import lock_of
from hashscan.machine import as_machine_error
from hashscan.notify.daily import Daily
from hashscan.notify.dispatch import Dispatcher, DispatchLog, Line
from hashscan.notify.outbox import Outbox
from hashscan.processes import Child
from hashscan.state import Lock
from hashscan.text import rfc3339

if TYPE_CHECKING:
    from collections.abc import Collection
    from multiprocessing.connection import Connection

    from hashscan.config.notify import ReceiverSettings
    from hashscan.config.settings import Settings
    from hashscan.daemon.log import Level, Log
    from hashscan.state import State

#: Seconds between two checks of the audit log for new events.
_EVERY = 1.0
#: Seconds until a process that died, or cannot use the outbox, is started again.
_AGAIN = 30.0
#: Seconds for which the process may send waiting notifications when the daemon ends.
_AT_THE_END = 4.0


class NotificationProcess:
    """Runs the process that sends notifications, if the configuration has receivers."""

    def __init__(self, settings: Settings, state: State, log: Log) -> None:
        """Prepare; the first ``step`` starts the process that sends notifications."""
        self._state = state
        self._log = log
        self._receivers = settings.notify
        self._recorder = Recorder.of(settings, "daemon", state)
        self._child: Child | None = None
        self._due = Every(_AGAIN, at_once=True)
        self._begin = 0
        self._crashed = _ended_unnoticed(state)
        if self._receivers:
            with suppress(StateError):  # The sending process reports this error.
                self._begin = newest(state.directory)

    @property
    def connections(self) -> list[Connection]:
        """Return the connection that is readable when ``take`` can log messages of the process."""
        return [] if self._child is None else [self._child.connection]

    def use(self, settings: Settings) -> None:
        """Use these settings for notifications from now on."""
        self._recorder = Recorder.of(settings, "daemon", self._state)
        if settings.notify == self._receivers:
            return
        self.close()
        self._receivers = settings.notify
        self._due = Every(_AGAIN, at_once=True)
        with suppress(StateError):
            self._begin = newest(self._state.directory)

    def step(self) -> None:
        """Start the sending process if it is needed and not running; first note the last crash."""
        if self._crashed is not None:
            seen, self._crashed = self._crashed, None
            try:
                self._recorder.write(DAEMON_STOPPED, clean=False, seen=seen)
            except StateError as error:
                self._log.limited("notify", "warning", f"notify: {error}")
        if not self._receivers or self._child is not None or not self._due.due():
            return
        try:
            self._child = Child(_main, self._receivers, self._state, self._begin, self._recorder)
        except OSError as error:
            if not is_limit(error):
                raise
            message = f"notify: {limit_reached(error)}; tried again in {_AGAIN:.0f} s"
            self._log.limited("notify", "warning", message)

    def take(self, ready: Collection[object]) -> None:
        """Log the reports of the sending process; note if the process has ended."""
        if self._child is None or self._child.connection not in ready:
            return
        connection = self._child.connection
        try:
            while connection.poll():
                line: Line = connection.recv()
                self._log.limited(f"notify {line.kind}", _LEVELS[line.level], line.text)
        except (EOFError, OSError):
            self.close(0.0)
            self._due = Every(_AGAIN)
            self._log.limited(
                "notify",
                "error",
                f"notify: the process that sends notifications has ended; it starts again in"
                f" {_AGAIN:.0f} s; see the kernel's log (out of memory?)",
            )

    def close(self, seconds: float = _AT_THE_END) -> None:
        """Let the sending process work for ``seconds`` at most, then end the process."""
        child, self._child = self._child, None
        if child is None:
            return
        if seconds:
            with suppress(OSError):
                child.connection.send("end")
            child.wait(seconds + 3.0)
        child.end()


def _ended_unnoticed(state: State) -> str | None:
    """Return the time of the previous daemon's last sign of life if that daemon crashed.

    The result is ``None`` if the previous daemon ended because somebody requested it.
    """
    before = read_daemon_status(state.directory)
    if before is None or before.get("stopped") or not isinstance(before.get("time"), int | float):
        return None
    return rfc3339(before["time"])


_LEVELS: dict[str, Level] = {"info": "info", "warning": "warning", "error": "error"}


def _main(
    connection: Connection,
    receivers: tuple[ReceiverSettings, ...],
    state: State,
    begin: int,
    recorder: Recorder,
) -> None:
    with suppress(EOFError, OSError):
        while not _session(connection, receivers, state, begin, recorder):
            pass


def _session(
    connection: Connection,
    receivers: tuple[ReceiverSettings, ...],
    state: State,
    begin: int,
    recorder: Recorder,
) -> bool:
    """Send until the daemon ends (True), or until the outbox cannot be used for now (False)."""
    try:
        with Lock(lock_of(state)), Outbox(state.directory) as outbox:
            outbox.begin_at(begin)
            dispatcher = Dispatcher(
                receivers, outbox, DispatchLog(state.directory), socket.gethostname()
            )
            times = {one.daily for one in receivers if "daily" in one.events}
            daily = Daily(state.directory, times, recorder)
            try:
                while not connection.poll(_EVERY):
                    daily.step()
                    dispatcher.step()
                    for line in dispatcher.take_lines():
                        connection.send(line)
                dispatcher.finish(_AT_THE_END)
            finally:
                dispatcher.stop()
            return True
    except (HashscanError, OSError) as error:
        if isinstance(error, (BrokenPipeError, ConnectionError)):
            raise  # The connection ends if the daemon has ended.
        why = error if isinstance(error, HashscanError) else as_machine_error(error) or error
        connection.send(Line("error", "outbox", f"notify: {why}"))
        end_of_wait = time.monotonic() + _AGAIN
        while (left := end_of_wait - time.monotonic()) > 0:
            if connection.poll(left):
                return True
        return False
