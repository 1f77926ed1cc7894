"""The history of a notice in sentences, not in the names of columns."""

import pytest

from hashscan.notices.notice import EventKind, NoticeEvent
from hashscan.output.notices import event_line

PATH = {"path": "/srv/a.jpg", "role": "named", "category": None, "action": ""}


@pytest.mark.parametrize(
    ("kind", "detail", "words"),
    [
        ("file", PATH, "file /srv/a.jpg: named"),
        ("file", {**PATH, "category": "baseline"}, "file /srv/a.jpg: named; known, baseline"),
        ("file", {**PATH, "message": "no\nrights"}, "file /srv/a.jpg: named: no\\nrights"),
        (
            "file",
            {**PATH, "action": "reported", "message": "/srv/a.jpg: not moved: it came by mail"},
            "file /srv/a.jpg: reported: not moved: it came by mail",
        ),
        (
            "file",
            {**PATH, "action": "held", "message": "restored"},
            "file /srv/a.jpg: held: restored",
        ),
        (
            "file",
            {**PATH, "category": "c", "action": "quarantined", "quarantine_id": "q1"},
            "file /srv/a.jpg: quarantined as q1",
        ),
        (
            "file",
            {**PATH, "action": "quarantined", "quarantine_id": "q1", "away": True},
            "file /srv/a.jpg: no longer in its place",
        ),
        (
            "file",
            {**PATH, "away": True, "message": "removed by somebody else"},
            "file /srv/a.jpg: no longer in its place: removed by somebody else",
        ),
        (
            "answered",
            {"kind": "receipt", "how": "printed", "language": "en"},
            "receipt printed, language en",
        ),
        (
            "answered",
            {
                "kind": "statement",
                "how": "sent",
                "language": "nl",
                "to": "c@x.example",
                "owner": "web17",
                "message_id": "<1@x.example>",
            },
            "statement sent, for c@x.example, files of web17, language nl, Message-ID <1@x.example>",
        ),
    ],
)  # fmt: skip
def test_a_step_is_a_sentence(kind, detail, words):
    line = event_line(NoticeEvent(1, "n", 7, 0.0, EventKind(kind), detail), {7: 2})
    assert line.endswith(f"  item 2: {words}"), line
