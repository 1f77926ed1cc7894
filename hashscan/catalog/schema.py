"""Tables of the catalog, how they are opened, and how older ones are brought up to date.

``dir`` is the tree of directories: a path is stored once a component, so that depth costs an
adversary as much as us. ``file`` holds what was found in a file when it was last hashed, or why it
need not be; its key is the directory and the name, so that one range read brings a whole directory.
``candidate`` is the queue of files without a verdict, or with one that was not acted on; those that
are done stay to the end of the scan, so that a directory that is listed twice brings none twice,
and those that were only reported for as long as scans find them. ``verdict`` remembers the answers
of a remote service. ``mounted`` names the volumes that were mount points. Rows have checksums: see
``checksums``.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from typing import TYPE_CHECKING

from hashscan.catalog import checksums
from hashscan.catalog.rows import COLUMNS
from hashscan.errors import StateError
from hashscan.text import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

#: "hscn": tells a catalog from any other SQLite file.
APPLICATION_ID = 0x6873636E
VERSION = 4

_SCAN = """
CREATE TABLE scan (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    started REAL NOT NULL,
    ended REAL,
    volumes BLOB NOT NULL,
    complete INTEGER NOT NULL,
    files INTEGER,
    interrupted INTEGER NOT NULL DEFAULT 0,
    kind TEXT NOT NULL DEFAULT 'scan',
    summary TEXT,
    checksum INTEGER NOT NULL DEFAULT 0
)"""
_FILTERSET = """
CREATE TABLE filterset (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    judged_until INTEGER NOT NULL DEFAULT 0,
    checksum INTEGER NOT NULL DEFAULT 0
)"""
_VERDICT = """
CREATE TABLE verdict (
    service TEXT NOT NULL,
    algorithm TEXT NOT NULL,
    digest BLOB NOT NULL,
    known INTEGER NOT NULL,
    category TEXT,
    filterset INTEGER NOT NULL,
    time REAL NOT NULL,
    checksum INTEGER NOT NULL,
    PRIMARY KEY (service, algorithm, digest)
) WITHOUT ROWID"""
_SCHEMA = f"""
{_SCAN};
{_FILTERSET};
CREATE TABLE mounted (volume BLOB PRIMARY KEY, again BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE dir (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    parent INTEGER NOT NULL,
    name BLOB NOT NULL,
    inode INTEGER NOT NULL,
    born INTEGER NOT NULL,
    scan INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    UNIQUE (parent, name)
);
CREATE TABLE file (
    dir INTEGER NOT NULL,
    name BLOB NOT NULL,
    device INTEGER NOT NULL,
    inode INTEGER NOT NULL,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    ctime_ns INTEGER NOT NULL,
    md5 BLOB, sha1 BLOB, sha256 BLOB,
    linked INTEGER NOT NULL,
    hit INTEGER NOT NULL,
    racy INTEGER NOT NULL,
    judged INTEGER NOT NULL,
    scan INTEGER NOT NULL,
    head BLOB,
    checksum INTEGER NOT NULL,
    PRIMARY KEY (dir, name)
) WITHOUT ROWID;
CREATE INDEX file_linked ON file (inode) WHERE linked = 1;
CREATE TABLE problem (
    dir INTEGER NOT NULL,
    name BLOB NOT NULL,
    reason TEXT NOT NULL,
    message TEXT NOT NULL,
    scan INTEGER NOT NULL,
    PRIMARY KEY (dir, name)
) WITHOUT ROWID;
CREATE TABLE candidate (
    id INTEGER PRIMARY KEY,
    volume BLOB NOT NULL,
    path BLOB NOT NULL,
    dir INTEGER NOT NULL,
    name BLOB NOT NULL,
    device INTEGER NOT NULL,
    inode INTEGER NOT NULL,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    ctime_ns INTEGER NOT NULL,
    md5 BLOB, sha1 BLOB, sha256 BLOB,
    links INTEGER NOT NULL,
    uid INTEGER NOT NULL,
    hits TEXT NOT NULL,
    found REAL NOT NULL,
    known TEXT,
    error TEXT,
    asked INTEGER NOT NULL DEFAULT 0,
    seen INTEGER NOT NULL,
    acting INTEGER NOT NULL DEFAULT 0,
    done INTEGER NOT NULL DEFAULT 0,
    service TEXT NOT NULL,
    remote INTEGER NOT NULL,
    full_path BLOB NOT NULL UNIQUE,
    checksum INTEGER NOT NULL
);
CREATE INDEX candidate_open ON candidate (id) WHERE done = 0;
CREATE INDEX candidate_file ON candidate (dir, name);
{_VERDICT};
"""

#: How to bring version N to N + 1, in order.
_MIGRATIONS: dict[int, str] = {
    1: """
ALTER TABLE scan ADD COLUMN kind TEXT NOT NULL DEFAULT 'scan';
ALTER TABLE scan ADD COLUMN summary TEXT;
ALTER TABLE filterset ADD COLUMN judged_until INTEGER NOT NULL DEFAULT 0;
CREATE TABLE mounted (volume BLOB PRIMARY KEY) WITHOUT ROWID
""",
    2: "ALTER TABLE file ADD COLUMN head BLOB",
    3: f"""
ALTER TABLE file ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;
UPDATE file SET checksum = checksum({COLUMNS}, dir);
ALTER TABLE dir ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;
UPDATE dir SET checksum = {checksums.DIRECTORY};
ALTER TABLE candidate ADD COLUMN checksum INTEGER NOT NULL DEFAULT 0;
UPDATE candidate SET checksum = {checksums.CANDIDATE}, known = NULL;
DROP TABLE verdict;
{_VERDICT};
ALTER TABLE mounted ADD COLUMN again BLOB NOT NULL DEFAULT x'';
UPDATE mounted SET again = volume;
ALTER TABLE scan RENAME TO old_scan;
{_SCAN};
INSERT INTO scan SELECT *, 0 FROM old_scan;
DROP TABLE old_scan;
UPDATE scan SET checksum = {checksums.SCAN};
ALTER TABLE filterset RENAME TO old_filterset;
{_FILTERSET};
INSERT INTO filterset SELECT *, 0 FROM old_filterset;
DROP TABLE old_filterset;
UPDATE filterset SET checksum = {checksums.FILTERSET}
""",  # noqa: S608
}


def damaged(path: str, what: str) -> StateError:
    """The error for a catalog that contradicts itself, so that it must be made again."""
    return StateError(
        f"the catalog {shown(path)} is damaged: {what}; see the kernel's log for errors of the "
        "disk, then move it away and start again: the next scan hashes every file again"
    )


@contextlib.contextmanager
def translated(path: str) -> Iterator[None]:
    """Turn SQLite's errors into ``StateError`` with what to do about them."""
    try:
        yield
    except UnicodeError as error:  # also in SQLite's own messages, which quote damaged names
        raise damaged(path, "a text is not UTF-8") from error
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", "") or ""
        if name.startswith("SQLITE_FULL"):
            fix = "free some space there and start again; what was committed is kept"
        elif name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
            fix = "move it away and start again: the next scan hashes every file anew"
        elif name.startswith(("SQLITE_READONLY", "SQLITE_PERM", "SQLITE_CANTOPEN", "SQLITE_AUTH")):
            fix = "hashscan must be able to write there: see the owner, the mode and the mount"
        elif name.startswith("SQLITE_BUSY"):
            fix = "another process holds it for very long; look for one with 'fuser'"
        else:
            fix = "see the kernel's log for errors of the disk"
        raise StateError(f"the catalog {shown(path)} cannot be used: {error}; {fix}") from error


def connect(path: str) -> sqlite3.Connection:
    """Open the catalog for writing; makes it, or brings it up to date, where need be.

    Raises:
        StateError: it is damaged, foreign, newer than this program, or cannot be written.
    """
    with translated(path):
        # The file must never exist with another mode, not even for a moment.
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise StateError(
                f"the catalog {shown(path)} cannot be opened: {error.strerror}; "
                "hashscan must be able to write there: see the owner, the mode and the mount"
            ) from error
        connection = sqlite3.connect(path, timeout=30, isolation_level=None)
        checksums.add_function(connection)
        try:
            _prepare(connection, path)
        except BaseException:
            connection.close()
            raise
        return connection


def _prepare(connection: sqlite3.Connection, path: str) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if tables and application != APPLICATION_ID:
        raise StateError(f"{shown(path)} is another program's database; give another --state")
    if version > VERSION:
        raise StateError(
            f"the catalog {shown(path)} was made by a newer hashscan (its version {version}, "
            f"this program's {VERSION}); upgrade hashscan, or give another --state"
        )
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA temp_store = FILE")
    connection.execute("PRAGMA cache_size = -4096")
    if not tables:
        _run(connection, _SCHEMA, VERSION)
        return
    for step in range(version, VERSION):
        _run(connection, _MIGRATIONS[step], step + 1)


def _run(connection: sqlite3.Connection, script: str, version: int) -> None:
    connection.execute("BEGIN IMMEDIATE")
    for statement in script.split(";"):
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {version}")
    connection.execute("COMMIT")
