"""Finds the lines that a killed job wrote, so that the job does not write them a second time.

A line and the note that it is written are in two files, so a kill can come in between.

    mark.set()              # before the first line: keeps the number of the log's newest line
    ...                     # write lines, and note that they are written
    mark.clear()

The next process takes ``mark.lines()`` as written.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from hashscan.audit.reader import newest, read
from hashscan.durable import remove, replace_file
from hashscan.errors import HashscanError

if TYPE_CHECKING:
    from hashscan.audit.line import AuditEvent


class Mark:
    """A place in the audit log of a state directory, in a file of it.

    If the file cannot be written, a kill can double lines, but none is lost.
    """

    def __init__(self, state_directory: str, name: str) -> None:
        """``name``: of the file, one of ``hashscan.files``."""
        self._state = state_directory
        self._path = os.path.join(state_directory, name)

    def set(self) -> None:
        """Note the number of the newest line, unless a killed job has left such a note."""
        if not os.path.lexists(self._path):
            with suppress(OSError, HashscanError):
                replace_file(self._path, b"%d" % newest(self._state))

    def clear(self) -> None:
        """Forget the place: all lines are noted as written."""
        if os.path.lexists(self._path):
            with suppress(OSError, HashscanError):
                remove(self._path)

    def lines(self) -> list[AuditEvent]:
        """The lines since ``set``, of all writers; empty: no job was killed."""
        try:
            with open(self._path, "rb") as file:
                after = int(file.read(20))
            return list(read(self._state, after))
        except (OSError, ValueError, HashscanError):
            return []
