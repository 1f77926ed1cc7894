"""Writes the daemon's lines to the audit log.

A line that cannot be written never stops the daemon. The daemon logs the fault and continues, but
moves no file meanwhile, because each move needs its own line in the audit log. The daemon writes
the delayed line as soon as the audit log can be written again, with the time at which the line was
due (``delayed_since``).
"""

from __future__ import annotations

import os
from collections import deque
from typing import TYPE_CHECKING, Any

from hashscan import __version__
from hashscan.audit import events
from hashscan.audit.log import EventEntry
from hashscan.audit.matches import MatchLines
from hashscan.audit.problems import Problems
from hashscan.audit.recorder import Recorder
from hashscan.audit.scans import ScanLines
from hashscan.errors import StateError
from hashscan.text import rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hashscan.config.settings import Settings
    from hashscan.model import MatchEvent, Summary
    from hashscan.state import State

#: Largest number of lines that wait until the audit log can be written; if there are more, the
#: oldest lines are dropped.
_MOST_DELAYED = 1000


class DaemonRecord:
    """Writes the daemon's lines to the audit log.

    Attributes:
        recorder: writes the audit lines of acts, which must not happen without their line;
            ``None``: no audit lines are written.
    """

    def __init__(self, complain: Callable[[str], None]) -> None:
        """Prepare without an audit log; ``open`` names the log.

        ``complain`` receives the reason why a line was not written to the audit log.
        """
        self.recorder: Recorder | None = None
        self._complain = complain
        self._matches: MatchLines | None = None
        self._action = ""
        self._match_fault = ""
        self._problems: Problems | None = None
        self._delayed: deque[EventEntry] = deque(maxlen=_MOST_DELAYED)

    def open(self, settings: Settings, state: State) -> None:
        """Write to the audit log of the state directory from now on."""
        self.recorder = Recorder.of(settings, "daemon", state)
        self._action = settings.quarantine.action
        self._matches = MatchLines(self.recorder)
        if self._problems is None:
            self._problems = Problems(state.directory, self._is_noted)

    def _is_noted(self, event: str, facts: dict[str, Any]) -> bool:
        """Write an audit line; return whether the log contains the line, and no line is delayed."""
        self._note(event, **facts)
        return not self._delayed

    def reload(self, settings: Settings, state: State) -> None:
        """Note the use of a changed configuration in the audit log, and use it for later lines."""
        self._note(events.RELOAD, file=settings.file)
        self._save()
        self.open(settings, state)

    def _save(self) -> None:
        if self._matches is not None:
            self._matches.save()

    def started(self) -> None:
        """Write the audit line that the daemon starts."""
        self._note(events.DAEMON_STARTED, version=__version__, pid=os.getpid())

    def stopped(self) -> None:
        """Write the audit line that the daemon ends."""
        self._save()
        # The next daemon reports persisting problems again.
        if self._problems is not None and not self._delayed:
            self._problems.forget()
        self._note(events.DAEMON_STOPPED, pid=os.getpid())

    def match(self, event: MatchEvent) -> None:
        """Write the audit line of a match; complain once if the line cannot be written.

        Raises:
            StateError: the audit line cannot be written.
        """
        if self._matches is None:
            return
        try:
            self._matches.write(event)
        except StateError as error:
            if str(error) != self._match_fault:
                self._unwritten(error)
            self._match_fault = str(error)
            raise
        self._match_fault = ""

    def scan(self, roots: Iterable[bytes], *, kind: str) -> ScanLines | None:
        """Write the audit line that a scan begins.

        The result is ``None`` if the audit line could not be written.
        """
        if self.recorder is None:
            return None
        try:
            return ScanLines(self.recorder, roots, kind=kind, action=self._action)
        except StateError as error:
            self._unwritten(error)
            return None

    def scan_ended(self, lines: ScanLines | None, summary: Summary) -> None:
        """Write the audit line that a scan has ended."""
        self._save()
        if lines is not None:
            try:
                lines.ended(summary)
            except StateError as error:
                self._unwritten(error)

    def filters(self, name: str) -> None:
        """Write the audit line that other filters are in use from now on.

        ``name`` is the catalog's name for the set of filters.
        """
        self._note(events.FILTER_CHANGED, filters=name)

    def refused(self, what: str, message: str) -> None:
        """Write the audit line that ``what`` (a filter, a configuration) is not used."""
        self._note(events.REFUSED, what=what, message=message)

    def problem(self, what: str, kind: str, message: str) -> None:
        """Write the audit line that a problem needs the sysadmin, unless a line reports it already.

        ``kind`` names the kind of fault that is the problem.
        """
        if self._problems is not None:
            self._problems.problem(what, kind, message)

    def well(self, what: str) -> None:
        """Write the audit line that a problem has ended, if there was a problem."""
        if self._problems is not None:
            self._problems.problem_ended(what)

    def volume_lost(self, root: bytes, why: str) -> None:
        """Write the audit line that a volume is missing or silent, unless one exists."""
        if self._problems is not None:
            self._problems.volume_lost(root, why)

    def volume_back(self, root: bytes) -> None:
        """Write the audit line that a volume is there again, if the volume was missing."""
        if self._problems is not None:
            self._problems.volume_back(root)

    def deadline(self, event: str, notice: str, deadline: str) -> bool:
        """Write the audit line that a notice is due soon or overdue; return true if written."""
        if self.recorder is None:
            return False
        try:
            self.recorder.write(event, notice=notice, deadline=deadline)
        except StateError as error:
            self._unwritten(error)
            return False
        return True

    def _note(self, event: str, **facts: Any) -> None:
        if self.recorder is None:
            return
        self._write(EventEntry(event, self.recorder.who, facts))

    def write_delayed(self) -> None:
        """Write the delayed audit lines, if there are any."""
        if self._delayed:
            self._write()

    def _write(self, *entries: EventEntry) -> None:
        """Write audit lines after the delayed lines; if that fails, delay ``entries``, too."""
        assert self.recorder is not None
        try:
            self.recorder.log.append_all([*self._delayed, *entries])
        except StateError as error:
            now = rfc3339()
            self._delayed += [
                one._replace(facts={**one.facts, "delayed_since": now}) for one in entries
            ]
            self._unwritten(error)
        else:
            self._delayed.clear()

    def _unwritten(self, error: StateError) -> None:
        self._complain(f"{error}; the daemon goes on, but moves no file until it can be written")
