"""The tables of the catalog; opens the catalog for its writer.

``dir`` is the tree of directories. A row of ``dir`` has only one name, so that very deep
directories do not fill the catalog. ``file`` has the digests of each hashed file, or why the file
was ruled out. Its key is the directory and the name, so that one query reads the files of a
directory. ``candidate`` is the queue of candidates without a verdict, and of matches that were not
acted on. Finished candidates are kept until the end of the scan, so that a directory that is listed
twice queues no file twice. Reported matches are kept for as long as scans find them
(``candidate_state``). In ``candidate``, ``found`` is the time at which a file was queued, and
``detected`` is the time at which it was first found with its current stamp. ``verdict`` has the
answers of a remote service. ``mounted`` has the volumes that were mount points. Rows have
checksums, see ``checksums``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hashscan.catalog import checksums
from hashscan.catalog.rows import TABLE
from hashscan.database import Format

if TYPE_CHECKING:
    import sqlite3

VERSION = 1

_SCHEMA = f"""
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
);
CREATE TABLE filterset (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    judged_until INTEGER NOT NULL DEFAULT 0,
    checksum INTEGER NOT NULL DEFAULT 0
);
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
{TABLE};
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
    state TEXT NOT NULL,
    service TEXT NOT NULL,
    remote INTEGER NOT NULL,
    full_path BLOB NOT NULL UNIQUE,
    checksum INTEGER NOT NULL
);
CREATE INDEX candidate_state ON candidate (state, id);
CREATE INDEX candidate_file ON candidate (dir, name);
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
) WITHOUT ROWID
"""

FORMAT = Format(
    name="the catalog",
    application_id=0x6873636E,  # "hscn"
    version=VERSION,
    schema=_SCHEMA,
    migrations={},
    if_damaged="move it away and start again: the next scan hashes every file again",
)
damaged = FORMAT.damaged
translated = FORMAT.translated


def connect(path: str) -> sqlite3.Connection:
    """Open the catalog for writing; make the catalog if it does not exist.

    Raises:
        StateError: the catalog's file is damaged, is not a catalog, has another version, or cannot
            be written.
    """
    return FORMAT.connect(path, checksums.add_function)
