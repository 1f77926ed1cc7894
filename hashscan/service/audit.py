"""The audit of the service: the user and the answer of each question, but never its digest.

``audit.sqlite3`` has a row for each question of a client to the service. In place of a digest, the
row has the digest's HMAC-SHA-256 with the key in ``audit.key``. With this key, an administrator can
find a digest in the file; without the key, the file reveals no digest.
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
    """One question; ``answer`` is ``true``, ``false``, or the reason why no answer was sent."""

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
        """Return the value that the audit stores in place of a digest."""
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
