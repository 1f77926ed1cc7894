"""The audit of a service: questions, users and answers, in one SQLite table.

The audit commits its rows once a second; if the process is killed, the audit loses at most the rows
of the last second.
"""

from __future__ import annotations

import contextlib
import math
import os
import sqlite3
import threading
from typing import TYPE_CHECKING

from hashscan.durable import replace_file
from hashscan.errors import StateError
from hashscan.text import said_by, shown
from hashscan.timeline import FILE, Timeline, instant

if TYPE_CHECKING:
    from hashscan.service.data import Data

_FILE = "audit.sqlite3"
#: Largest number of rows that wait to be committed; at this number, the service answers no
#: question.
_WAITING = 200_000
#: Number of the latest rows of the audit that the service reads at its start.
_LATEST = 100_000
_DAY = 86400.0


class AuditRecord:
    """The audit of a running service. Subclasses name the table.

    Attributes:
        trouble: the reason why rows cannot be committed; empty if rows can be committed. As long as
            rows cannot be committed, the service answers no question: each answer must be on
            record.
    """

    #: Name of the table, and its columns with types; the columns must include ``time``, ``user``
    #: and ``address``.
    table: str
    columns: str
    #: Additional SQL statements for a new table.
    more: tuple[str, ...] = ()

    def __init__(self, data: Data, *, days: float | None = None) -> None:
        """Open the audit's file, and remove rows older than ``days``.

        Raises:
            StateError: the file of the audit cannot be opened.
        """
        self.trouble = ""
        self._where = shown(data.path(_FILE))
        self._days = days
        self._clock = data.path(FILE)
        self._rows: list[tuple[object, ...]] = []
        self._lock = threading.Lock()
        self._insert = (
            f"INSERT INTO {self.table} VALUES"  # noqa: S608 - our own names
            f" ({', '.join('?' * len(self.columns.split(',')))})"
        )
        self._delete = f"DELETE FROM {self.table} WHERE time < ?"  # noqa: S608
        try:
            self._prepare(data)
            descriptor = os.open(data.path(_FILE), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            os.close(descriptor)
            self._connection = sqlite3.connect(
                data.path(_FILE), isolation_level=None, check_same_thread=False, timeout=30
            )
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self._connection.execute(f"CREATE TABLE IF NOT EXISTS {self.table} ({self.columns})")
            for statement in self.more:
                self._connection.execute(statement)
            self._timeline = _read_timeline(self._clock)
            (rows,) = self._connection.execute(
                f"SELECT EXISTS (SELECT 1 FROM {self.table})"  # noqa: S608
            ).fetchone()
            #: True if the audit was empty at the start: then all times in the audit come from the
            #: present clock.
            self._fresh = "" if rows else self._timeline.span
        except (OSError, sqlite3.Error) as error:
            raise StateError(
                f"{self._where}: the audit cannot be opened: {said_by(error)}; make room or mend "
                "the permissions there"
            ) from error

    def _prepare(self, data: Data) -> None:
        """Read or make the files that belong to the audit beside the audit's table.

        Raises:
            OSError: a file of the audit cannot be read or made.
        """

    def users(self) -> list[tuple[str, str]]:
        """Return the users and addresses of the latest rows, oldest row first."""
        rows = self._connection.execute(
            f"SELECT user, address FROM (SELECT rowid, user, address FROM {self.table}"  # noqa: S608
            " ORDER BY rowid DESC LIMIT ?) GROUP BY user, address ORDER BY max(rowid)",
            (_LATEST,),
        )
        return [(user, address) for user, address in rows]

    def note(self, row: tuple[object, ...]) -> bool:
        """Add a row; return False if the row cannot be kept, so that no answer may be sent."""
        if self.trouble or len(self._rows) >= _WAITING:
            return False
        with self._lock:
            self._rows.append(row)
        return True

    def commit(self) -> None:
        """Commit the waiting rows; after a failure, ``trouble`` has the reason."""
        with self._lock:
            rows, self._rows = self._rows, []
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany(self._insert, rows)
            if self._days is not None:
                before = self._certainly_before(self._days * _DAY)
                self._connection.execute(self._delete, (before,))
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            with self._lock:
                self._rows = rows + self._rows
            self.trouble = (
                f"{self._where}: the audit cannot be written: {error}; questions are refused until "
                "it can. Make room there"
            )
        else:
            self.trouble = ""

    def _certainly_before(self, age: float) -> float:
        """Return the time before which rows are certainly older than ``age`` seconds."""
        before, now = self._timeline, self._timeline.at(instant())
        if now.differs(before) or not os.path.lexists(self._clock):
            try:
                replace_file(self._clock, now.to_json())
            except OSError:
                return -math.inf
            self._timeline = now
        if now.span == self._fresh:
            return now.last.wall - age
        return now.certainly_before(age)

    def close(self) -> None:
        """Commit the waiting rows, and close the audit's file."""
        self.commit()
        self._connection.close()


def _read_timeline(path: str) -> Timeline:
    try:
        with open(path, "rb") as file:
            found = Timeline.parse(file.read())
    except FileNotFoundError:
        found = None
    return Timeline.begin(instant()) if found is None else found
