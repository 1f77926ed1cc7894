"""Opens and migrates hashscan's own SQLite files, and explains their errors.

Each kind of file is a ``Format``: its application id distinguishes the file from any other SQLite
file, and ``PRAGMA user_version`` has the version of its schema. hashscan migrates a file with an
older schema if the ``Format`` has a migration for it, and raises for any other schema.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from hashscan.errors import StateError
from hashscan.text import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


@dataclass(frozen=True, slots=True)
class Format:
    """Describes one kind of SQLite file that hashscan writes.

    Attributes:
        name: name of the kind of file with its article, for messages, e.g. ``the catalog``.
        application_id: 32 bits that distinguish these files from other SQLite files.
        version: version of the schema that this hashscan writes.
        schema: SQL statements that create the schema of ``version`` in an empty file.
        migrations: SQL statements that migrate a file from version N of the schema to N + 1, by N.
        if_damaged: end of the message about a damaged file: the step that the sysadmin can take.
        synchronous: the value of SQLite's pragma. NORMAL: a power cut may undo the last
            transactions; FULL: a committed transaction is on the disk.
    """

    name: str
    application_id: int
    version: int
    schema: str
    migrations: Mapping[int, str]
    if_damaged: str
    synchronous: str = "NORMAL"

    def damaged(self, path: str, what: str) -> StateError:
        """Return the error for a database file whose contents contradict each other."""
        return StateError(
            f"{self.name} {shown(path)} is damaged: {what}; see the kernel's log for errors of the "
            f"disk, then {self.if_damaged}"
        )

    @contextlib.contextmanager
    def translated(self, path: str) -> Iterator[None]:
        """Turn SQLite's errors in the block into ``StateError``, with advice in the message."""
        try:
            yield
        # SQLite's messages quote damaged names from the file, so the quoted text is escaped, too.
        except UnicodeError as error:
            raise self.damaged(path, "a text is not UTF-8") from error
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorname", "") or ""
            raise StateError(
                f"{self.name} {shown(path)} cannot be used: {error}; {self._fix(code, path)}"
            ) from error

    def _fix(self, code: str, path: str) -> str:
        # SQLite reports a full disk as an I/O error if the disk has no room for the log's index.
        is_full = code.startswith(("SQLITE_IOERR", "SQLITE_CANTOPEN")) and not has_room(path)
        if is_full or code.startswith("SQLITE_FULL"):
            return (
                "free some space there: what was committed is kept, the daemon goes on by itself,"
                " and a command can be run again"
            )
        if code.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
            return self.if_damaged
        if code.startswith(("SQLITE_READONLY", "SQLITE_PERM", "SQLITE_CANTOPEN", "SQLITE_AUTH")):
            return "hashscan must be able to write there: see the owner, the mode and the mount"
        if code.startswith("SQLITE_BUSY"):
            return "another process holds it for very long; look for one with 'fuser'"
        if code.startswith("SQLITE_IOERR_WRITE"):
            return "see if a quota is used up there, and the kernel's log for errors of the disk"
        return "see the kernel's log for errors of the disk"

    def connect(
        self,
        path: str,
        prepare: Callable[[sqlite3.Connection], None] = lambda _connection: None,
    ) -> sqlite3.Connection:
        """Open a database file for writing; create or migrate the file if necessary.

        ``prepare`` gets the connection first, e.g. to add functions that the schema uses.

        Raises:
            StateError: the file is damaged, not hashscan's, newer than this hashscan or not a
                regular file, or the file cannot be written.
        """
        self._require_file(path)
        with self.translated(path):
            # The database file must never exist with another mode, not even for a moment.
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            try:
                os.close(os.open(path, flags, 0o600))
            except OSError as error:
                raise StateError(
                    f"{self.name} {shown(path)} cannot be opened: {error.strerror}; "
                    f"{self._fix('SQLITE_CANTOPEN', path)}"
                ) from error
            connection = sqlite3.connect(path, timeout=30, isolation_level=None)
            try:
                prepare(connection)
                self._migrate(connection, path)
            except BaseException:
                connection.close()
                raise
            return connection

    def connect_to_read(self, path: str) -> sqlite3.Connection | None:
        """Open a database file without a change to the file.

        Returns ``None`` if the file does not exist or is still empty.

        Raises:
            StateError: the file is damaged, not hashscan's, of another version than this
                hashscan's, or not a regular file.
        """
        if not os.path.lexists(path):
            return None
        self._require_file(path)
        with self.translated(path):
            connection = connect_read_only(path, timeout=5)
            try:
                version, tables = self._version(connection, path)
                if tables and version < self.version:
                    raise StateError(
                        f"{self.name} {shown(path)} was made by an older hashscan (its version "
                        f"{version}, this program's {self.version}); the next command that changes "
                        "it brings it up to date"
                    )
            except BaseException:
                connection.close()
                raise
            if not tables:
                connection.close()
                return None
            return connection

    @contextlib.contextmanager
    def change(self, connection: sqlite3.Connection, path: str) -> Iterator[None]:
        """Run the block in one transaction of the database; undo it if the block raises."""
        with self.translated(path):
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def _require_file(self, path: str) -> None:
        """Raise if the database's path names a directory, a link or a special file.

        SQLite waits for a FIFO without end, and reports a directory as a disk error. No user but
        hashscan's can write to the directory, so nobody replaces the file after this check.

        Raises:
            StateError: the path names no regular file.
        """
        try:
            mode = os.lstat(path).st_mode
        except OSError:
            return  # SQLite reports the reason for a missing or unreadable file.
        if stat.S_ISREG(mode):
            return
        kind = "a directory" if stat.S_ISDIR(mode) else "a special file"
        kind = "a link" if stat.S_ISLNK(mode) else kind
        raise StateError(
            f"{self.name} {shown(path)} is {kind}, not a file; move the file itself there, or give"
            " another --state"
        )

    def _migrate(self, connection: sqlite3.Connection, path: str) -> None:
        version, tables = self._version(connection, path)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {self.synchronous}")
        connection.execute("PRAGMA temp_store = FILE")
        connection.execute("PRAGMA cache_size = -4096")
        while not tables or version < self.version:
            connection.execute("BEGIN IMMEDIATE")
            # Another process may have created or migrated the database file meanwhile.
            version, tables = self._version(connection, path)
            if not tables:
                _run(connection, self.schema)
                version, tables = self.version, 1
            elif version < self.version:
                if version not in self.migrations:
                    connection.execute("ROLLBACK")
                    raise StateError(
                        f"{self.name} {shown(path)} has version {version}, which this hashscan "
                        f"cannot bring to its version {self.version}; {self.if_damaged}"
                    )
                _run(connection, self.migrations[version])
                version += 1
            connection.execute(f"PRAGMA application_id = {self.application_id}")
            connection.execute(f"PRAGMA user_version = {version}")
            connection.execute("COMMIT")

    def _version(self, connection: sqlite3.Connection, path: str) -> tuple[int, int]:
        """Return the version of the file's schema and the number of its tables.

        Raises:
            StateError: the file belongs to another program, or is newer than this hashscan.
        """
        # One statement reads both numbers, because another process may create the file meanwhile.
        application, version, tables = connection.execute(
            "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_master)"
            " FROM pragma_application_id, pragma_user_version"
        ).fetchone()
        if tables and application != self.application_id:
            raise StateError(f"{shown(path)} is another program's database; give another --state")
        if version > self.version:
            raise StateError(
                f"{self.name} {shown(path)} was made by a newer hashscan (its version {version}, "
                f"this program's {self.version}); upgrade hashscan, or give another --state"
            )
        return version, tables


def connect_read_only(path: str, *, timeout: float) -> sqlite3.Connection:
    """Open a SQLite file for reading, even if its last writer was killed.

    A process that is killed while it creates a file leaves a journal ("hot" in SQLite's terms).
    Only a writer can roll this journal back, and nobody can read the file before.

    Args:
        path: path of the SQLite file.
        timeout: seconds to wait for another process that has locked the SQLite file.

    Raises:
        sqlite3.Error: the SQLite file cannot be opened, or its journal cannot be rolled back.
    """
    connection = _connect_as("ro", path, timeout)
    try:
        try:
            connection.execute(_TOUCH)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname != "SQLITE_READONLY_ROLLBACK":
                raise
            with contextlib.closing(_connect_as("rw", path, timeout)) as writer:
                writer.execute(_TOUCH)
            connection.execute(_TOUCH)
    except BaseException:
        connection.close()
        raise
    return connection


#: A statement that reads the first page of a SQLite file; reading this page rolls back a hot
#: journal.
_TOUCH = "SELECT count(*) FROM sqlite_master"


def _connect_as(mode: str, path: str, timeout: float) -> sqlite3.Connection:
    return sqlite3.connect(
        f"file:{quote(path)}?mode={mode}", uri=True, timeout=timeout, isolation_level=None
    )


def has_room(path: str) -> bool:
    """Return whether a file's file system has a free block and inode for this process."""
    try:
        room = os.statvfs(os.path.dirname(path) or ".")
    except OSError:
        return True
    free, inodes = (
        (room.f_bfree, room.f_ffree) if os.geteuid() == 0 else (room.f_bavail, room.f_favail)
    )
    return bool(free and (inodes or not room.f_files))


def _run(connection: sqlite3.Connection, script: str) -> None:
    """Run each statement of the SQL text ``script`` within the present transaction.

    ``sqlite3.executescript`` would end the transaction.
    """
    statement = ""
    for part in script.split(";"):
        statement += part + ";"
        # The definition of a trigger has semicolons inside, so a semicolon is not always the end.
        if sqlite3.complete_statement(statement):
            connection.execute(statement)
            statement = ""
