"""Counts and messages on notices, by a clock that the test sets."""

import os

import pytest

from hashscan.jobs.notices import deadlines
from hashscan.jobs.notices.deadlines import DUE_SOON, OVERDUE, Deadlines, deadlines_of
from hashscan.notices import unread_inputs
from hashscan.notices.notice import Channel, ItemKind, ParsedItem, ParsedNotice
from hashscan.notices.store import NoticeStore
from hashscan.state import State

HOUR = 3600.0
AT = 1_700_000_000.0


@pytest.fixture
def state(tmp_path):
    return State(str(tmp_path / "state"))


def add(state, received, sender=None):
    item = ParsedItem(ItemKind.URL, f"https://site.example/{received}")
    with NoticeStore(state.notices) as store:
        return store.add(
            ParsedNotice("list", (item,), sender), channel=Channel.HTTP, key=os.urandom(8),
            received=received,
        ).id  # fmt: skip


def at(state, hours):
    return deadlines_of(state, 4 * HOUR, AT + hours * HOUR)


def test_nothing_ever_arrived(state):
    assert at(state, 0) is None
    assert not os.path.exists(state.notices)
    unread_inputs.keep(state.directory, b"x")
    assert at(state, 0) == Deadlines(unread=1)


def test_a_notice_becomes_due_soon_and_overdue(state):
    one, two = add(state, AT, "Hotline\x1b" + "x" * 99), add(state, AT + HOUR)
    found = at(state, 19)
    assert (found.open, found.items, found.messages) == (2, 2, ())
    assert found.next_deadline == AT + 24 * HOUR
    ((kind, message),) = at(state, 20).messages
    assert kind == DUE_SOON
    assert message.startswith(f"1 notice is due within 4 h, the first is {one} of Hotline\\x1bxx")
    assert message.endswith(f": 'hashscan notice show {one}'")
    assert len(message) < 250
    ((kind, message),) = at(state, 21).messages
    assert message.startswith("2 notices are due within 4 h")
    assert at(state, 24).overdue == 0
    found = at(state, 24.5)
    (kind, message), (_, soon) = found.messages
    assert kind == OVERDUE
    assert message.startswith(f"1 notice is overdue, the first is {one} of ")
    assert "overdue for 30 min" in message
    assert soon.startswith(f"1 notice is due within 4 h, the first is {two} of anonymous")
    assert (found.due_soon, found.overdue) == (1, 1)
    with NoticeStore(state.notices) as store:
        store.close_notice(one, "done")
    found = at(state, 30)
    assert (found.open, found.overdue, len(found.messages)) == (1, 1, 1)


def test_a_clock_that_was_wrong(state):
    add(state, AT + 3 * HOUR)
    assert at(state, 2.5).ahead == 0
    assert at(state, 1).ahead == 1


def test_an_input_that_nobody_understood_is_no_notice(tmp_path):
    state = State(str(tmp_path / "state"))
    assert deadlines.deadlines_of(state, 60.0, 5.0) is None
    unread_inputs.keep(state.directory, b"what is this?")
    found = deadlines.deadlines_of(state, 60.0, 5.0)
    assert (found.unread, found.open, found.items, found.due_soon, found.overdue) == (1, 0, 0, 0, 0)
    assert (found.next_deadline, found.messages, found.ahead) == (None, (), 0)
