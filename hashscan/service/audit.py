"""What was asked, by whom, and the answer; never the digest itself.

``audit.sqlite3`` has a row for each question. A digest is written as HMAC-SHA-256 of it with the
key in ``audit.key``: who has the key and a digest can look it up, who has the file alone cannot
read a list out of it. Rows are committed once a second; a kill loses those of that second at most.
"""

from __future__ import annotations

import contextlib
import hmac
import math
import os
import secrets
import sqlite3
import threading
from typing import TYPE_CHECKING, NamedTuple

from hashscan.durable import new_file, replace_file
from hashscan.errors import StateError
from hashscan.text import said_by, shown
from hashscan.timeline import FILE, Timeline, instant

if TYPE_CHECKING:
    from hashscan.service.data import Data

_FILE, _KEY = "audit.sqlite3", "audit.key"
#: Rows that may wait to be committed; beyond that there is no answer any more.
_WAITING = 200_000
#: Rows that are read at the start.
_LATEST = 100_000
_DAY = 86400.0


class Row(NamedTuple):
    """One question. ``answer``: ``true``, ``false``, or why there was none."""

    time: float
    user: str
    address: str
    test: bool
    algorithm: str
    digest: bytes
    answer: str


class Audit:
    """The audit of a running service.

    Attributes:
        trouble: why rows cannot be committed; empty where they can. Then nothing is answered: an
            answer that is not on record would be worse than none.
    """

    def __init__(self, data: Data, *, days: float | None = None) -> None:
        """Open it; rows older than ``days`` are removed.

        Raises:
            StateError: it cannot be opened.
        """
        self.trouble = ""
        self._where = shown(data.path(_FILE))
        self._days = days
        self._clock = data.path(FILE)
        self._rows: list[Row] = []
        self._lock = threading.Lock()
        try:
            self._key = _read_key(data.path(_KEY))
            descriptor = os.open(data.path(_FILE), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            os.close(descriptor)
            self._connection = sqlite3.connect(
                data.path(_FILE), isolation_level=None, check_same_thread=False, timeout=30
            )
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self._connection.execute(
                "CREATE TABLE IF NOT EXISTS question (time REAL NOT NULL, user TEXT NOT NULL,"
                " address TEXT NOT NULL, test INTEGER NOT NULL, algorithm TEXT NOT NULL,"
                " digest BLOB NOT NULL, answer TEXT NOT NULL)"
            )
            self._connection.execute(
                "CREATE INDEX IF NOT EXISTS question_digest ON question (digest)"
            )
            self._timeline = _read_timeline(self._clock)
            rows = self._connection.execute("SELECT EXISTS (SELECT 1 FROM question)").fetchone()[0]
            #: The audit was empty at the start: then all times are of this span's clock.
            self._fresh = "" if rows else self._timeline.span
        except (OSError, sqlite3.Error) as error:
            raise StateError(
                f"{self._where}: the audit cannot be opened: {said_by(error)}; make room or mend "
                "the permissions there"
            ) from error

    def keyed(self, algorithm: str, raw: bytes) -> bytes:
        """What stands in the file for a digest."""
        return hmac.digest(self._key, algorithm.encode() + b":" + raw, "sha256")

    def users(self) -> list[tuple[str, str]]:
        """Users and addresses of the latest questions, oldest first."""
        rows = self._connection.execute(
            "SELECT user, address FROM (SELECT rowid, user, address FROM question ORDER BY rowid"
            " DESC LIMIT ?) GROUP BY user, address ORDER BY max(rowid)",
            (_LATEST,),
        )
        return [(user, address) for user, address in rows]

    def note(self, row: Row) -> bool:
        """Take a row; false where it cannot be kept, and the question must not be answered."""
        if self.trouble or len(self._rows) >= _WAITING:
            return False
        with self._lock:
            self._rows.append(row)
        return True

    def commit(self) -> None:
        """Write what waits; what cannot be written waits on, and ``trouble`` says why."""
        with self._lock:
            rows, self._rows = self._rows, []
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany("INSERT INTO question VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
            if self._days is not None:
                before = self._certainly_before(self._days * _DAY)
                self._connection.execute("DELETE FROM question WHERE time < ?", (before,))
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
        """Rows before this time are older than ``age`` seconds, even if the clock is far ahead."""
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
        """Write what waits, and close."""
        self.commit()
        self._connection.close()


def _read_timeline(path: str) -> Timeline:
    try:
        with open(path, "rb") as file:
            found = Timeline.parse(file.read())
    except FileNotFoundError:
        found = None
    return Timeline.begin(instant()) if found is None else found


def _read_key(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            key = file.read(32)
    except FileNotFoundError:
        key = secrets.token_bytes(32)
        with new_file(path) as file:
            file.write(key)
    if len(key) != 32:
        raise OSError(f"{shown(path)} is damaged: restore it from a copy, or move it away")
    return key
