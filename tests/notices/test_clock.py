"""Deadlines by a clock that the test sets."""

import time
from dataclasses import replace

import pytest

from hashscan.notices.clock import Urgency, by_urgency, doubts, due, urgency
from hashscan.notices.notice import Channel, Notice

HOUR = 3600.0
DAY = 24 * HOUR
AT = 1_700_000_000.0

NOTICE = Notice(
    "20231114-00000000", Channel.COMMAND, "plain", None, None, None, None, None, None,
    sent=AT, received=AT + HOUR, deadline=AT + DAY, closed=None, reason="", repeat_of=None,
    dropped=0, remarks=(), states={},
)  # fmt: skip


@pytest.fixture(autouse=True)
def utc(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("after", "expected", "words"),
    [
        (0, Urgency.LATER, "due in 24 h (2023-11-15 22:13 UTC)"),
        (20 * HOUR - 1, Urgency.LATER, "due in 4 h (2023-11-15 22:13 UTC)"),
        (20 * HOUR, Urgency.SOON, "due in 4 h (2023-11-15 22:13 UTC)"),
        (DAY, Urgency.SOON, "due in 0 s (2023-11-15 22:13 UTC)"),
        (DAY + 1, Urgency.OVERDUE, "overdue for 1 s (since 2023-11-15 22:13 UTC)"),
        (3 * DAY, Urgency.OVERDUE, "overdue for 2 days (since 2023-11-15 22:13 UTC)"),
    ],
)
def test_urgency(after, expected, words):
    assert urgency(NOTICE, AT + after, 4 * HOUR) is expected
    assert due(NOTICE, AT + after) == words


def test_a_closed_notice_is_never_overdue():
    for closed, words in (
        (AT + 2 * HOUR, "closed 2023-11-15 00:13 UTC, in time"),
        (AT + DAY + 2 * HOUR, "closed 2023-11-16 00:13 UTC, 2 h late"),
    ):
        one = replace(NOTICE, closed=closed)
        assert urgency(one, AT + 90 * DAY, 4 * HOUR) is Urgency.CLOSED
        assert due(one, AT + 90 * DAY) == words


def test_the_longest_overdue_is_first_and_closed_ones_are_last():
    now = AT + 3 * DAY
    closed = [replace(NOTICE, id=f"c{n}", closed=AT + n, deadline=AT - n) for n in (1, 2)]
    later = [replace(NOTICE, id=f"l{n}", deadline=now + n * DAY) for n in (2, 1)]
    soon = replace(NOTICE, id="s", deadline=now + 1)
    overdue = [replace(NOTICE, id=f"o{n}", deadline=now - n) for n in (1, 2)]
    found = by_urgency([*closed, *later, soon, *overdue], now, 4 * HOUR)
    assert [one.id for one in found] == ["o2", "o1", "s", "l1", "l2", "c2", "c1"]


@pytest.mark.parametrize(
    ("sent", "received", "now", "words"),
    [
        (AT, AT + HOUR, AT + DAY, []),
        (None, AT, AT + DAY, []),
        (AT, AT + 5 * DAY, AT + 6 * DAY, []),
        (AT + 1, AT, AT, ["the deadline counts from the arrival"]),
        (AT, AT + 30 * DAY, AT + 31 * DAY, ["it arrived 30 days after the time of sending"]),
        (None, AT + HOUR, AT, []),
        (None, AT + 2 * HOUR, AT, ["the arrival is 2 h in the future"]),
        (AT + 9 * HOUR, AT + 8 * HOUR, AT, ["counts from the arrival", "8 h in the future"]),
    ],
)
def test_wrong_clocks_are_reported(sent, received, now, words):
    found = doubts(replace(NOTICE, sent=sent, received=received), now)
    assert len(found) == len(words)
    assert all(part in one for part, one in zip(words, found, strict=True))
