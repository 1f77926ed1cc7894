"""The SQLite tables of the file of notices.

The tables ``notice``, ``item`` and ``file`` have the present state of each notice. The table
``event`` has the history of each notice: triggers refuse to change or remove an event. A change of
the present state and the event about the change are in one transaction. The table ``input`` has the
evidence: mails and files without attachments. The table ``mail`` has the mails of the Maildir that
hashscan read, so that no mail is read twice. If a row of ``mail`` is lost, hashscan reads the mail
again and recognises the mail's bytes.
"""

from __future__ import annotations

from hashscan.database import Format

_SCHEMA = """
CREATE TABLE notice (
    id TEXT PRIMARY KEY,
    key BLOB NOT NULL UNIQUE,
    channel TEXT NOT NULL,
    format TEXT NOT NULL,
    sender TEXT,
    contact TEXT,
    reference TEXT,
    authority TEXT,
    legal_basis TEXT,
    password TEXT,
    sent REAL,
    received REAL NOT NULL,
    deadline REAL NOT NULL,
    closed REAL,
    reason TEXT NOT NULL DEFAULT '',
    repeat_of TEXT,
    dropped INTEGER NOT NULL,
    remarks TEXT NOT NULL,
    unproven TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX notice_open ON notice (deadline) WHERE closed IS NULL;
CREATE INDEX notice_received ON notice (received);
CREATE TABLE item (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    notice TEXT NOT NULL,
    kind TEXT NOT NULL,
    value TEXT NOT NULL,
    same TEXT NOT NULL,
    digests TEXT NOT NULL,
    referrer TEXT,
    ip TEXT,
    first_seen REAL,
    last_seen REAL,
    classification TEXT,
    note TEXT,
    state TEXT NOT NULL,
    since REAL NOT NULL,
    removed REAL,
    reason TEXT NOT NULL DEFAULT '',
    path BLOB,
    repeat_of TEXT,
    deadline REAL NOT NULL,
    late INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX item_notice ON item (notice);
CREATE INDEX item_same ON item (same);
CREATE INDEX item_open ON item (number) WHERE state IN ('received', 'located');
CREATE INDEX item_due ON item (notice, deadline) WHERE state IN ('received', 'located');
CREATE TABLE file (
    item INTEGER NOT NULL,
    role TEXT NOT NULL,
    volume BLOB NOT NULL,
    path BLOB NOT NULL,
    digests TEXT NOT NULL,
    category TEXT,
    action TEXT NOT NULL,
    quarantine_id TEXT,
    away REAL,
    message TEXT NOT NULL,
    anchor TEXT NOT NULL,
    PRIMARY KEY (item, volume, path)
) WITHOUT ROWID;
CREATE TABLE event (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    notice TEXT NOT NULL,
    item INTEGER,
    time REAL NOT NULL,
    kind TEXT NOT NULL,
    detail TEXT NOT NULL
);
CREATE INDEX event_notice ON event (notice);
CREATE INDEX event_time ON event (time);
CREATE TRIGGER event_is_not_changed BEFORE UPDATE ON event
    BEGIN SELECT raise(ABORT, 'the history is only added to'); END;
CREATE TRIGGER event_is_not_removed BEFORE DELETE ON event
    BEGIN SELECT raise(ABORT, 'the history is only added to'); END;
CREATE TABLE input (notice TEXT PRIMARY KEY, content BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE mail (
    name BLOB PRIMARY KEY,
    inode INTEGER NOT NULL,
    notice TEXT,
    refused TEXT,
    tries INTEGER NOT NULL,
    key BLOB,
    version TEXT
) WITHOUT ROWID
"""

FORMAT = Format(
    name="the file of notices",
    application_id=0x68736E74,  # "hsnt"
    version=1,
    schema=_SCHEMA,
    migrations={},
    if_damaged="restore it from a copy; until then hashscan takes no notice",
    synchronous="FULL",
)
