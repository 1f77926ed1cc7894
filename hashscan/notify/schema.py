"""Tables of the outbox, ``STATE/notifications.sqlite3``.

``position`` has the number of the audit log's last line that was read. ``waiting`` counts the
events that are in no message yet, by receiver, recipient and kind. ``sample`` has only the first of
these waiting events in detail, so a flood of events needs little room. ``message`` has the messages
that were not accepted yet. A message is ``sending`` from the moment before it is sent until its
receiver's answer is noted. ``refused`` is 1 after the receiver refused the message, and 2 if the
receiver then accepted a later message. ``made`` has the time of the last message about each kind of
event. ``receiver`` has the state of each receiver.
"""

from __future__ import annotations

from hashscan.database import Format

_SCHEMA = """
CREATE TABLE position (one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL);
CREATE TABLE receiver (
    name TEXT PRIMARY KEY,
    sent INTEGER NOT NULL DEFAULT 0,
    last_sent REAL,
    trouble TEXT NOT NULL DEFAULT '',
    trouble_since REAL,
    given_up INTEGER NOT NULL DEFAULT 0,
    given_up_at REAL,
    refused_why TEXT NOT NULL DEFAULT '',
    dropped INTEGER NOT NULL DEFAULT 0,
    dropped_total INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE made (
    receiver TEXT NOT NULL,
    recipient TEXT NOT NULL,
    kind TEXT NOT NULL,
    at REAL NOT NULL,
    PRIMARY KEY (receiver, recipient, kind)
) WITHOUT ROWID;
CREATE TABLE waiting (
    receiver TEXT NOT NULL,
    recipient TEXT NOT NULL,
    kind TEXT NOT NULL,
    number INTEGER NOT NULL,
    first REAL NOT NULL,
    PRIMARY KEY (receiver, recipient, kind)
) WITHOUT ROWID;
CREATE TABLE sample (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    receiver TEXT NOT NULL,
    recipient TEXT NOT NULL,
    event TEXT NOT NULL
);
CREATE INDEX sample_receiver ON sample (receiver, recipient, number);
CREATE TABLE message (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    receiver TEXT NOT NULL,
    recipient TEXT NOT NULL,
    made REAL NOT NULL,
    content TEXT NOT NULL,
    events INTEGER NOT NULL,
    sending INTEGER NOT NULL DEFAULT 0,
    may_repeat INTEGER NOT NULL DEFAULT 0,
    tries INTEGER NOT NULL DEFAULT 0,
    next REAL NOT NULL,
    refused INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX message_receiver ON message (receiver, recipient, number)
"""

FORMAT = Format(
    name="the outbox of notifications",
    application_id=0x68736E6F,  # The four letters "hsno" in ASCII.
    version=1,
    schema=_SCHEMA,
    migrations={},
    if_damaged="move it away; messages that were not sent are lost then, and 'hashscan history' has"
    " their events",
    synchronous="FULL",
)
