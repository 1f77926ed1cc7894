"""What was asked, by whom, and the answer; never the digest itself.

``audit.sqlite3`` has a row for each question. A digest is written as HMAC-SHA-256 of it with the
key in ``audit.key``: who has the key and a digest can look it up, who has the file alone cannot
read a list out of it.
"""

from __future__ import annotations

import hmac
import secrets
from typing import TYPE_CHECKING, NamedTuple

from hashscan.durable import new_file
from hashscan.service.record import AuditRecord
from hashscan.text import shown

if TYPE_CHECKING:
    from hashscan.service.data import Data

_KEY = "audit.key"


class ServiceRow(NamedTuple):
    """One question. ``answer``: ``true``, ``false``, or why there was none."""

    time: float
    user: str
    address: str
    test: bool
    algorithm: str
    digest: bytes
    answer: str


class Audit(AuditRecord):
    """The audit of the reference service."""

    table = "question"
    columns = (
        "time REAL NOT NULL, user TEXT NOT NULL, address TEXT NOT NULL, test INTEGER NOT NULL,"
        " algorithm TEXT NOT NULL, digest BLOB NOT NULL, answer TEXT NOT NULL"
    )
    more = ("CREATE INDEX IF NOT EXISTS question_digest ON question (digest)",)

    def _prepare(self, data: Data) -> None:
        self._key = _read_key(data.path(_KEY))

    def keyed(self, algorithm: str, raw: bytes) -> bytes:
        """The value in the file for a digest."""
        return hmac.digest(self._key, algorithm.encode() + b":" + raw, "sha256")


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
