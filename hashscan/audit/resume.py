"""Finds the audit lines that a killed job wrote, so that no line is written twice.

A job writes a line to the audit log, and then notes in another file that the line is written. A
kill may happen between the two writes.

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
    """A position in the audit log of a state directory, saved in a file of the state directory.

    If the file cannot be written, a kill can cause duplicate lines, but no line is lost.
    """

    def __init__(self, state_directory: str, name: str) -> None:
        """Save the position in the state directory's file ``name``, see ``hashscan.files``."""
        self._state = state_directory
        self._path = os.path.join(state_directory, name)

    def set(self) -> None:
        """Save the number of the log's newest line, unless a killed job has left a saved number."""
        if not os.path.lexists(self._path):
            with suppress(OSError, HashscanError):
                replace_file(self._path, b"%d" % newest(self._state))

    def clear(self) -> None:
        """Remove the saved line number, because the job has noted all its lines."""
        if os.path.lexists(self._path):
            with suppress(OSError, HashscanError):
                remove(self._path)

    def lines(self) -> list[AuditEvent]:
        """The audit log's lines of all writers since ``set``; empty: no job was killed."""
        try:
            with open(self._path, "rb") as file:
                after = int(file.read(20))
            return list(read(self._state, after))
        except (OSError, ValueError, HashscanError):
            return []
