"""Problems that have a line in the audit log and have not ended.

A problem that goes on has one line, also over kills and over scans without a daemon. Only the
process that holds the lock of the state uses them.
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

#: Before the path of a lost volume: no name of another problem begins like this.
_VOLUME = "volume "


class Problems:
    """The problems of a state directory."""

    def __init__(self, state_directory: str, write: Callable[[str, dict[str, Any]], bool]) -> None:
        """Read which problems have a line.

        Args:
            state_directory: the state directory.
            write: writes a line, and returns whether it is in the log now.
        """
        self._write = write
        self._file = os.path.join(state_directory, PROBLEMS)
        self._mark = Mark(state_directory, PROBLEMS_MARK)
        self._kinds = _kinds_in(self._file)
        for one in self._mark.lines():  # of a killed process
            self._take(one)

    def _take(self, line: AuditEvent) -> None:
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
        """Write that something needs somebody, unless a line says so; ``kind``: of fault."""
        facts = {"what": what, "kind": kind, "message": message}
        self._begins(what, kind, events.PROBLEM, facts)

    def well(self, what: str) -> None:
        """Write that a problem has ended, if there was one."""
        self._ends(what, events.PROBLEM_ENDED, {"what": what})

    def volume_lost(self, root: bytes, why: str) -> None:
        """Write that a volume is not there, or does not answer, unless a line says so."""
        volume = os.fsdecode(root)
        facts = {"volume": volume, "message": why}
        self._begins(_VOLUME + volume, why, events.VOLUME_LOST, facts)

    def volume_back(self, root: bytes) -> None:
        """Write that a volume is there again, if it was lost."""
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
        """Have the next process report again what is wrong."""
        if self._kinds:
            self._kinds.clear()
            self._keep(written=True)

    def _keep(self, *, written: bool) -> None:
        """Keep them for the next process."""
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
