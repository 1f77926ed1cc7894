"""Writes a line to the audit log when a problem begins or ends; saves the current problems.

A problem that continues gets only one line, even if hashscan is killed or several scans run
meanwhile. Only the process that holds the state directory's lock uses this module.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from hashscan.audit import events
from hashscan.audit.resume import Mark
from hashscan.durable import replace_file
from hashscan.errors import HashscanError
from hashscan.files import PROBLEMS, PROBLEMS_MARK

if TYPE_CHECKING:
    from collections.abc import Callable

    from hashscan.audit.line import AuditEvent

#: Prefix of the name of a lost volume's problem; no other problem's name begins with it.
_VOLUME = "volume "


class Problems:
    """The current problems, saved in the state directory; each gets one line in the audit log."""

    def __init__(self, state_directory: str, write: Callable[[str, dict[str, Any]], bool]) -> None:
        """Read the saved problems, which have a line in the audit log.

        Args:
            state_directory: path of the state directory with the saved problems.
            write: writes a line to the audit log, and returns whether the line is in the log now.
        """
        self._write = write
        self._file = os.path.join(state_directory, PROBLEMS)
        self._mark = Mark(state_directory, PROBLEMS_MARK)
        self._kinds = _kinds_in(self._file)
        for line in self._mark.lines():  # a killed process may have written the line
            self._apply(line)

    def _apply(self, line: AuditEvent) -> None:
        facts = line.facts
        if line.event == events.PROBLEM:
            self._kinds[facts["what"]] = facts["kind"]
        elif line.event == events.PROBLEM_ENDED:
            self._kinds.pop(facts["what"], None)
        elif line.event == events.VOLUME_LOST:
            self._kinds[_VOLUME + facts["volume"]] = facts["message"]
        elif line.event == events.VOLUME_BACK:
            self._kinds.pop(_VOLUME + facts["volume"], None)

    def problem(self, what: str, kind: str, message: str) -> None:
        """Write the line that a problem has begun, unless the audit log has the line already.

        Args:
            what: name of the problem that has begun.
            kind: kind of the problem; a problem with another kind than before gets a new line.
            message: a sentence about the problem, for the administrator.
        """
        facts = {"what": what, "kind": kind, "message": message}
        self._begins(what, kind, events.PROBLEM, facts)

    def problem_ended(self, what: str) -> None:
        """Write the line that the problem ``what`` has ended, if the problem had begun."""
        self._ends(what, events.PROBLEM_ENDED, {"what": what})

    def volume_lost(self, root: bytes, why: str) -> None:
        """Write that a volume is missing or does not answer, unless the log has this line."""
        volume = os.fsdecode(root)
        facts = {"volume": volume, "message": why}
        self._begins(_VOLUME + volume, why, events.VOLUME_LOST, facts)

    def volume_back(self, root: bytes) -> None:
        """Write the line that a lost volume has come back; no line if the volume was not lost."""
        volume = os.fsdecode(root)
        self._ends(_VOLUME + volume, events.VOLUME_BACK, {"volume": volume})

    def _begins(self, name: str, kind: str, event: str, facts: dict[str, Any]) -> None:
        if self._kinds.get(name) != kind:
            self._mark.set()
            self._kinds[name] = kind
            self._keep(written=self._write(event, facts))

    def _ends(self, name: str, event: str, facts: dict[str, Any]) -> None:
        if name in self._kinds:
            self._mark.set()
            del self._kinds[name]
            self._keep(written=self._write(event, facts))

    def forget(self) -> None:
        """Forget all problems, so that the next process reports the problems again."""
        if self._kinds:
            self._kinds.clear()
            self._keep(written=True)

    def _keep(self, *, written: bool) -> None:
        """Save the problems whose line was written, for the next process."""
        if written:
            with suppress(OSError, HashscanError):
                replace_file(self._file, json.dumps(self._kinds).encode("ascii"))
                self._mark.clear()


def _kinds_in(path: str) -> dict[str, str]:
    try:
        with open(path, "rb") as file:
            return {str(what): str(kind) for what, kind in json.loads(file.read()).items()}
    except (OSError, ValueError, AttributeError):
        return {}
