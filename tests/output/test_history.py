"""Each event of the audit log as a sentence."""

import pytest

from hashscan.audit import events
from hashscan.audit.actor import Who
from hashscan.audit.log import AuditLog, EventEntry
from hashscan.audit.reader import read
from hashscan.output.history import sentence

WHO = Who(0, "root", "command", 4242)
ID = "20261127-100000-abcdef"


def test_each_event_has_a_sentence_without_a_gap(tmp_path):
    log = AuditLog(str(tmp_path))
    log.append_all([EventEntry(name, WHO, {}) for name in sorted(events.ALL)])
    for event in read(str(tmp_path)):
        text = sentence(event)
        assert text
        assert text != event.event, f"{event.event} needs a sentence in output/history.py"


FILE = {"notice": ID, "item": 3, "action": "file", "path": "/srv/a"}


@pytest.mark.parametrize(
    ("event", "facts", "words"),
    [
        (
            events.NOTICE_DUE,
            {"notice": ID, "deadline": "2026-11-27T12:00:00Z"},
            f"notice {ID} is due soon, deadline 2026-11-27 12:00:00",
        ),
        (
            events.NOTICE_OVERDUE,
            {"notice": ID, "deadline": "2026-11-27T12:00:00Z"},
            f"notice {ID} is overdue, deadline 2026-11-27 12:00:00",
        ),
        (
            events.MATCH,
            {
                "path": "/srv/f",
                "action": "held",
                "category": "baseline",
                "hold": "H1",
                "message": "/srv/f: held by H1, because too many; decide with 'hashscan hold show'",
            },
            "match /srv/f: held by H1 (baseline)",
        ),
        (
            events.HOLD_CLOSED,
            {"hold": "H1", "because": "no filter has its digests any more"},
            "closed hold H1: no filter has its digests any more",
        ),
        (events.DAEMON_STOPPED, {"pid": 7}, "daemon stopped (process 7)"),
        (
            events.DAEMON_STOPPED,
            {"clean": False, "seen": "2026-11-27T12:00:00Z"},
            "the daemon before ended without a stop after 2026-11-27 12:00:00",
        ),
        (
            events.WITHDRAWN,
            {"digest": {"sha1": "ab"}, "files": 2, "service": "lists"},
            "lists no longer knows sha1 ab, of 2 files",
        ),
        (
            events.DAILY_DIGEST,
            {"at": "08:00", "counts": {"scans": 2, "holds": 1}},
            "summary of the day: holds 1, scans 2",
        ),
        (events.DAILY_DIGEST, {"counts": {}}, "summary of the day: nothing happened"),
        (
            events.NOTICE_ACTION,
            {"notice": ID, "item": 3, "action": "state", "to": "gone", "reason": "no file"},
            f"notice {ID}, item 3: now gone: no file",
        ),
        (events.NOTICE_ACTION, FILE, f"notice {ID}, item 3: /srv/a: found"),
        (
            events.NOTICE_ACTION,
            {**FILE, "done": "quarantined", "quarantine_id": "q1", "away": False},
            f"notice {ID}, item 3: /srv/a: quarantined as q1",
        ),
        (
            events.NOTICE_ACTION,
            {**FILE, "away": True},
            f"notice {ID}, item 3: /srv/a: no longer in its place",
        ),
        (
            events.NOTICE_ACTION,
            {"notice": ID, "item": 3, "action": "repeated", "by": "n2"},
            f"notice {ID}, item 3: named again by n2",
        ),
        (
            events.NOTICE_ACTION,
            {"notice": ID, "action": "answered", "kind": "receipt", "how": "sent", "to": "a@b.c"},
            f"notice {ID}: receipt sent, for a@b.c",
        ),
        (
            events.NOTICE_ANSWERING,
            {"notice": ID, "kind": "receipt", "how": "sent", "to": "a@b.c"},
            f"notice {ID}: receipt about to be sent, for a@b.c",
        ),
        (
            events.NOTICE_ACTION,
            {"notice": ID, "action": "approved", "reason": "read"},
            f"notice {ID}: approved: read",
        ),
    ],
)
def test_a_sentence_says_which_one_and_what_happened(tmp_path, monkeypatch, event, facts, words):
    monkeypatch.setenv("TZ", "UTC")
    AuditLog(str(tmp_path)).append(event, WHO, **facts)
    assert sentence(next(iter(read(str(tmp_path))))) == words


def test_an_event_of_a_newer_hashscan_is_shown_with_its_facts(tmp_path):
    AuditLog(str(tmp_path)).append("flown", WHO, height=3, path="a\x1bb")
    (event,) = read(str(tmp_path))
    assert sentence(event) == "flown height=3 path=a\\x1bb"
