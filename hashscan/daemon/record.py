"""The daemon's lines in the audit log.

A line that cannot be written never stops the daemon: it goes on, says so in its log, and moves no
file meanwhile, because a move needs its own line. The line is written as soon as the log can be
written again, with the time at which it was due (``delayed_since``).
"""

from __future__ import annotations

import json
import os
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from hashscan import __version__
from hashscan.audit import events
from hashscan.audit.log import Entry
from hashscan.audit.mark import Mark
from hashscan.audit.matches import MatchLines
from hashscan.audit.recorder import Recorder
from hashscan.audit.scans import ScanLines
from hashscan.durable import replace_file
from hashscan.errors import HashscanError, StateError
from hashscan.files import PROBLEMS, PROBLEMS_MARK
from hashscan.text import rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hashscan.config.settings import Settings
    from hashscan.model import MatchEvent, Summary
    from hashscan.state import State

#: Lines that wait until the log can be written; of more, the oldest are dropped.
_MOST_DELAYED = 1000


class DaemonRecord:
    """Writes the daemon's lines.

    Attributes:
        recorder: for acts, which must not happen without their line; ``None``: nothing is written.
    """

    def __init__(self, complain: Callable[[str], None]) -> None:
        """Write nothing before ``open``. ``complain``: takes why a line cannot be written."""
        self.recorder: Recorder | None = None
        self._complain = complain
        self._matches: MatchLines | None = None
        self._action = ""
        self._match_fault = ""
        self._problems: dict[str, str] = {}
        self._problems_file = ""
        self._mark: Mark | None = None
        self._delayed: deque[Entry] = deque(maxlen=_MOST_DELAYED)

    def open(self, settings: Settings, state: State) -> None:
        """Write to the audit log of a state from now on."""
        self.recorder = Recorder.of(settings, "daemon", state)
        self._action = settings.quarantine.action
        self._matches = MatchLines(self.recorder)
        if self._mark is None:
            self._read_problems(state)

    def _read_problems(self, state: State) -> None:
        """Find the problems that a killed daemon has logged."""
        self._problems_file = os.path.join(state.directory, PROBLEMS)
        self._mark = Mark(state.directory, PROBLEMS_MARK)
        self._problems = _problems_in(self._problems_file)
        for one in self._mark.lines():
            if one.event == events.PROBLEM:
                self._problems[one.facts["what"]] = one.facts["kind"]
            elif one.event == events.PROBLEM_ENDED:
                self._problems.pop(one.facts["what"], None)

    def reload(self, settings: Settings, state: State) -> None:
        """Write that the daemon uses a changed configuration, and use it here."""
        self._note(events.RELOAD, file=settings.file)
        self._save()
        self.open(settings, state)

    def _save(self) -> None:
        if self._matches is not None:
            self._matches.save()

    def started(self) -> None:
        """Write that the daemon starts."""
        self._note(events.DAEMON_STARTED, version=__version__, pid=os.getpid())

    def stopped(self) -> None:
        """Write that it ends."""
        self._save()
        # The next daemon, which somebody starts, reports again what is wrong.
        if self._problems:
            self._problems.clear()
            self._keep_problems()
        self._note(events.DAEMON_STOPPED, pid=os.getpid())

    def match(self, event: MatchEvent) -> None:
        """Write the line of a match; complain once if that is not possible.

        Raises:
            StateError: it cannot be written.
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
        """Write that a scan begins; ``None``: that was not possible."""
        if self.recorder is None:
            return None
        try:
            return ScanLines(self.recorder, roots, kind=kind, action=self._action)
        except StateError as error:
            self._unwritten(error)
            return None

    def scan_ended(self, lines: ScanLines | None, summary: Summary) -> None:
        """Write that a scan has ended."""
        self._save()
        if lines is not None:
            try:
                lines.ended(summary)
            except StateError as error:
                self._unwritten(error)

    def filters(self, name: str) -> None:
        """Write that other filters are in use from now on; ``name``: as the catalog names them."""
        self._note(events.FILTER_CHANGED, filters=name)

    def refused(self, what: str, message: str) -> None:
        """Write that something was refused and is not used."""
        self._note(events.REFUSED, what=what, message=message)

    def problem(self, what: str, kind: str, message: str) -> None:
        """Write that something needs somebody, unless a line says so; ``kind``: of fault."""
        if self._problems.get(what) != kind:
            self._begin_problems()
            self._problems[what] = kind
            self._note(events.PROBLEM, what=what, kind=kind, message=message)
            self._keep_problems()

    def well(self, what: str) -> None:
        """Write that a problem has ended, if there was one."""
        if what in self._problems:
            self._begin_problems()
            del self._problems[what]
            self._note(events.PROBLEM_ENDED, what=what)
            self._keep_problems()

    def _begin_problems(self) -> None:
        if self._mark is not None:
            self._mark.set()

    def _keep_problems(self) -> None:
        """Keep them for the next daemon if this one is killed."""
        if self._mark is not None and not self._delayed:
            with suppress(OSError, HashscanError):
                replace_file(self._problems_file, json.dumps(self._problems).encode("ascii"))
                self._mark.clear()

    def volume_lost(self, root: bytes, why: str) -> None:
        """Write that a volume is not there, or does not answer."""
        self._note(events.VOLUME_LOST, volume=os.fsdecode(root), message=why)

    def volume_back(self, root: bytes) -> None:
        """Write that it is there again."""
        self._note(events.VOLUME_BACK, volume=os.fsdecode(root))

    def deadline(self, event: str, notice: str, deadline: str) -> bool:
        """Write that a notice is due soon, or overdue; return whether the line is written."""
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
        self._write(Entry(event, self.recorder.who, facts))

    def write_delayed(self) -> None:
        """Write the lines that could not be written before, if there are any."""
        if self._delayed:
            self._write()

    def _write(self, *entries: Entry) -> None:
        """Write lines after the delayed ones, or delay them, too."""
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


def _problems_in(path: str) -> dict[str, str]:
    try:
        with open(path, "rb") as file:
            return {str(what): str(kind) for what, kind in json.loads(file.read()).items()}
    except (OSError, ValueError, AttributeError):
        return {}
