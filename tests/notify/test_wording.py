"""Every event that a receiver may get has its words, with all its facts and with none."""

import pytest

from hashscan.notify.events import KINDS
from hashscan.notify.message import Event, Message
from hashscan.notify.wording import line_of, text

FACTS = {
    "match": {"action": "quarantined", "category": "baseline", "size": 7, "quarantine_id": "q1"},
    "matches-left-out": {"uid": 1000},
    "held": {"hold": 3, "files": 9, "owners": 2},
    "withdrawn": {"digest": {"sha1": "a" * 40}, "files": 2},
    "withdrawal-held": {"files": 2, "digests": 5},
    "notice-received": {"notice": "n1", "items": 2, "deadline": 1_700_000_000.0},
    "notice-due": {"notice": "n1", "deadline": "2026-11-27T10:00:00Z"},
    "notice-overdue": {"notice": "n1", "deadline": "2026-11-27T10:00:00Z"},
    "problem": {"what": "service"},
    "problem-ended": {"what": "service"},
    "volume-lost": {"volume": "/srv/a\nb"},
    "volume-back": {"volume": "/srv/a"},
    "daemon-stopped": {"clean": False, "seen": "2026-11-27T10:00:00Z"},
    "daily-digest": {"counts": {"scans": 1000}},
}
WORDS = {
    "match": "match, quarantined, category baseline, 7 B, record q1",
    "matches-left-out": "leave out the next ones for a day; 'hashscan status' counts them",
    "held": "hold 3: 9 matches of 2 owners held back",
    "withdrawn": "no longer knows a digest",
    "withdrawal-held": "the withdrawal of 2 files in quarantine waits",
    "notice-received": "new notice n1 with 2 items",
    "notice-due": "due soon: notice n1",
    "notice-overdue": "OVERDUE: notice n1",
    "problem": "the service does not answer",
    "problem-ended": "the service answers again",
    "volume-lost": "volume /srv/a\\nb is not there",
    "volume-back": "volume /srv/a is there again",
    "daemon-stopped": "ended without a stop",
    "daily-digest": "scans 1,000",
}


@pytest.mark.parametrize("event", KINDS)
def test_each_event_has_its_words(event):
    said = line_of(Event(KINDS[event], event, "2026-11-27T10:00:00Z", FACTS[event]))
    assert WORDS[event] in said
    assert said.isprintable()
    assert line_of(Event(KINDS[event], event, "2026-11-27T10:00:00Z", {})).isprintable()


@pytest.mark.parametrize(
    ("facts", "command"),
    [
        ({"action": "reported"}, "hashscan history --event match"),
        ({"action": "quarantined", "quarantine_id": "q1"}, "hashscan quarantine list"),
    ],
)
def test_the_command_for_matches_depends_on_where_they_are(facts, command):
    event = Event("match", "match", "2026-11-27T10:00:00Z", facts)
    message = Message("1", "web1", 0.0, {"match": 1}, (event,))
    assert f"On that machine: {command}\n" in text(message)
