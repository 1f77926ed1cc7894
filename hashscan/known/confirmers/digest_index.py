"""The index of a local known set: its digests, each with its category.

``index.sqlite3`` has the tables ``known`` (raw digest, number of its category or NULL),
``category`` (number, name) and ``meta`` (key of the known set, number of digests, remarks on the
lists). The file ``index.json`` beside ``index.sqlite3`` is the index's seal: the length and the
SHA-256 of ``index.sqlite3``. hashscan compares the seal with the index before each use.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sqlite3
from typing import TYPE_CHECKING
from urllib.parse import quote

from hashscan.durable import new_file
from hashscan.errors import ServiceRefusedError, ServiceUnavailableError, StateError
from hashscan.model import Answer, Digest
from hashscan.text import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hashscan.known.lists.staging import ListStaging, Staged
    from hashscan.model import Filter

_APPLICATION_ID = 0x48534B53  # "HSKS"
_INDEX = "index.sqlite3"
_SEAL = "index.json"
_SEAL_LIMIT = 4096


class LocalConfirmer:
    """Gives verdicts from the index of local lists; implements ``model.Confirmer``.

    Attributes:
        name: ``local:`` and the paths of the lists.
        categories: the categories that the lists name.
        remote: false, because no question leaves this machine.
    """

    remote = False

    def __init__(self, name: str, directory: str, key: str) -> None:
        """Check and open the index in ``directory``.

        Raises:
            StateError: the index is damaged, or is not the index of the known set ``key``.
            OSError: the index is missing, or cannot be read.
        """
        self.name = name
        index = os.path.join(directory, _INDEX)
        self._where = shown(index)
        _check_seal(directory, index)
        try:
            # The index is opened as immutable: no process changes a finished index, so neither
            # locks nor a journal are needed.
            self._connection = sqlite3.connect(
                f"file:{quote(os.fsencode(index))}?mode=ro&immutable=1",
                uri=True,
                check_same_thread=False,
            )
        except sqlite3.Error as error:
            raise StateError(f"{self._where}: cannot be opened: {error}") from error
        try:
            (application,) = self._connection.execute("PRAGMA application_id").fetchone()
            (found,) = self._connection.execute("SELECT key FROM meta").fetchone()
            self._categories: dict[int, str] = dict(
                self._connection.execute("SELECT number, name FROM category")
            )
        except (sqlite3.Error, TypeError) as error:
            self.close()
            raise StateError(f"{self._where}: is no index: {error}") from error
        self.categories = frozenset(self._categories.values())
        if application != _APPLICATION_ID or found != key:
            self.close()
            raise StateError(f"{self._where}: is the index of another known set")

    def confirm(self, digest: Digest) -> Answer:
        """Whether the lists hold the digest, and its category if they name one.

        Raises:
            ServiceUnavailableError: the index cannot be read; this never means "unknown".
            ServiceRefusedError: the text of ``digest`` is not a digest in hexadecimal.
        """
        try:
            raw = bytes.fromhex(digest.hex)
        except ValueError as error:
            raise ServiceRefusedError(f"{self.name}: asked for what is no digest") from error
        try:
            row = self._connection.execute(
                "SELECT category FROM known WHERE digest = ?", (raw,)
            ).fetchone()
        except sqlite3.Error as error:
            raise ServiceUnavailableError(
                f"{self._where}: the index of the known set cannot be read: {error}; candidates "
                "are kept. Check the disk; the index is made again on the next start"
            ) from error
        if row is None:
            return Answer(known=False)
        return Answer(known=True, category=self._categories.get(row[0]))

    def meta(self) -> tuple[int, list[str]]:
        """The index's number of distinct digests, and sentences on the lists' left-out entries.

        Raises:
            StateError: the index file of the lists cannot be read.
        """
        try:
            digests, remarks = self._connection.execute(
                "SELECT digests, remarks FROM meta"
            ).fetchone()
            return digests, json.loads(remarks)
        except (sqlite3.Error, TypeError, ValueError) as error:
            raise StateError(f"{self._where}: cannot be read: {error}") from error

    def missing_in(self, filters: Sequence[Filter]) -> int:
        """Number of the lists' digests that no filter holds: no scan ever finds them.

        Raises:
            StateError: the index file of the lists cannot be read.
        """
        try:
            rows = self._connection.execute("SELECT digest FROM known")
            return sum(not any(raw.hex() in one for one in filters) for (raw,) in rows)
        except sqlite3.Error as error:
            raise StateError(f"{self._where}: cannot be read: {error}") from error

    def close(self) -> None:
        """Close the index; afterwards, ``confirm`` can give no verdict."""
        self._connection.close()


def write_index(
    area: ListStaging, staged: Staged, directory: str, key: str, more: Iterable[str] = ()
) -> None:
    """Write the index of a filled staging area into ``directory``, without its seal.

    ``more``: further sentences for the user, which the index keeps beside the remarks on the lists.

    Raises:
        StateError: the disk is full or not writable.
    """
    path = os.path.join(directory, _INDEX)
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    remarks = [*(remark for one in staged.reports for remark in one.remarks()), *more]
    try:
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as index:
            for pragma in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-16384"):
                index.execute(f"PRAGMA {pragma}")
            index.execute("BEGIN")
            index.execute(f"PRAGMA application_id={_APPLICATION_ID}")
            index.execute(
                "CREATE TABLE known (digest BLOB PRIMARY KEY, category INTEGER) WITHOUT ROWID"
            )
            index.execute("CREATE TABLE category (number INTEGER PRIMARY KEY, name TEXT NOT NULL)")
            index.execute("CREATE TABLE meta (key TEXT, digests INTEGER, remarks TEXT)")
            index.executemany("INSERT INTO category VALUES (?, ?)", enumerate(staged.categories))
            added = index.executemany(
                "INSERT INTO known VALUES (?, ?)",
                area.connection.execute("SELECT digest, category FROM known"),
            ).rowcount
            index.execute("INSERT INTO meta VALUES (?, ?, ?)", (key, added, json.dumps(remarks)))
            index.execute("COMMIT")
    except sqlite3.DatabaseError as error:
        raise StateError(
            f"{shown(path)}: the index of the known set cannot be written: {error}; make room "
            "there (about 30 bytes a digest), then run the command again"
        ) from error


def seal(directory: str) -> None:
    """Write the seal (length and SHA-256 of the index), and sync the index and ``directory``."""
    with open(os.path.join(directory, _INDEX), "rb") as index:
        os.fsync(index.fileno())
        found = {"sha256": hashlib.file_digest(index, "sha256").hexdigest(), "length": index.tell()}
    path = os.path.join(directory, _SEAL)
    with new_file(path) as file:
        file.write(json.dumps(found).encode())


def _check_seal(directory: str, index: str) -> None:
    try:
        with open(os.path.join(directory, _SEAL), "rb") as file:
            wanted = json.loads(file.read(_SEAL_LIMIT))
        with open(index, "rb") as file:
            actual = {
                "sha256": hashlib.file_digest(file, "sha256").hexdigest(),
                "length": file.tell(),
            }
    except (ValueError, RecursionError) as error:
        raise StateError(f"{shown(directory)}: {_SEAL} is damaged") from error
    if wanted != actual:
        raise StateError(f"{shown(index)}: is damaged: its SHA-256 is not the one it was made with")
