"""Tables of the catalog, how they are opened, and how older ones are brought up to date.

``dir`` is the tree of directories: a path is stored once a component, so that depth costs an
adversary as much as us. ``file`` holds what was found in a file when it was last hashed, or why it
need not be; its key is the directory and the name, so that one range read brings a whole directory.
``candidate`` is the queue of files without a verdict, or with one that was not acted on; those that
are done stay to the end of the scan, so that a directory that is listed twice brings none twice,
and those that were only reported for as long as scans find them. ``found`` is when a file entered
the queue, ``detected`` when it was first found as it is. ``verdict`` remembers the answers of a
remote service. ``mounted`` names the volumes that were mount points. Rows have checksums: see
``checksums``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hashscan.catalog import checksums
from hashscan.catalog.rows import COLUMNS
from hashscan.database import Format

if TYPE_CHECKING:
    import sqlite3

VERSION = 5

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
    detected REAL NOT NULL DEFAULT 0,
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
    4: """
ALTER TABLE candidate ADD COLUMN detected REAL NOT NULL DEFAULT 0;
UPDATE candidate SET detected = found
""",
}


FORMAT = Format(
    name="the catalog",
    application_id=0x6873636E,  # "hscn"
    version=VERSION,
    schema=_SCHEMA,
    migrations=_MIGRATIONS,
    if_damaged="move it away and start again: the next scan hashes every file again",
)
damaged = FORMAT.damaged
translated = FORMAT.translated


def connect(path: str) -> sqlite3.Connection:
    """Open the catalog for writing; make it, or migrate it, if necessary.

    Raises:
        StateError: it is damaged, foreign, newer than this program, or cannot be written.
    """
    return FORMAT.connect(path, checksums.add_function)
