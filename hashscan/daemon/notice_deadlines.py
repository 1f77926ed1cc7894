"""Writes a line to the audit log when a notice is due soon, and when a notice is overdue.

The file ``STATE/announced.json`` names the notices that already have an audit line, so that a
restarted daemon writes no line twice.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from hashscan.audit.events import NOTICE_DUE, NOTICE_OVERDUE
from hashscan.audit.resume import Mark
from hashscan.durable import replace_file
from hashscan.files import ANNOUNCED, ANNOUNCED_MARK
from hashscan.notices.reader import open_existing
from hashscan.text import rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable

    from hashscan.state import State

#: Largest number of audit lines that are written together.
_MOST = 1000


class DeadlineLines:
    """Remembers the notices with an audit line, by id: the event, and the deadline in the line."""

    def __init__(self, state: State, write: Callable[[str, str, str], bool]) -> None:
        """``write`` takes event, notice and deadline, and returns whether it wrote the line."""
        self._notices = state.notices
        self._path = os.path.join(state.directory, ANNOUNCED)
        self._write = write
        self._mark = Mark(state.directory, ANNOUNCED_MARK)
        self._said = _read(self._path)
        for one in self._mark.lines():
            if one.event in {NOTICE_DUE, NOTICE_OVERDUE}:
                self._said[one.facts["notice"]] = (one.event, one.facts["deadline"])

    def step(self, soon: float, now: float) -> None:
        """Write the missing audit lines about deadlines of notices.

        A notice counts as due soon from ``soon`` seconds before its deadline.

        Raises:
            StateError: the file that stores the notices cannot be read.
            OSError: the file that names the written audit lines cannot be written.
        """
        reader = open_existing(self._notices)
        if reader is None:
            return
        said: dict[str, tuple[str, str]] = {}
        new = 0
        with reader:
            for notice in reader.notices(only_open=True):  # The earliest deadline comes first.
                if notice.deadline > now + soon or new >= _MOST:
                    break
                event = NOTICE_OVERDUE if notice.deadline < now else NOTICE_DUE
                line = (event, rfc3339(notice.deadline))
                if self._said.get(notice.id) == line:
                    said[notice.id] = line
                    continue
                self._mark.set()
                if self._write(event, notice.id, line[1]):
                    said[notice.id] = line
                    new += 1
        if said != self._said:
            self._said = said
            replace_file(self._path, json.dumps(said).encode("ascii"))
        self._mark.clear()


def _read(path: str) -> dict[str, tuple[str, str]]:
    try:
        with open(path, "rb") as file:
            found = json.loads(file.read())
        return {name: (event, deadline) for name, (event, deadline) in found.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
