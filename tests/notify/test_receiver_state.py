"""The state of each receiver, from the outbox."""

import contextlib
import os

import pytest

from hashscan.errors import StateError
from hashscan.files import NOTIFICATIONS
from hashscan.notify.outbox import Outbox
from hashscan.notify.receiver_state import ReceiverState, receiver_states
from hashscan.notify.schema import FORMAT

NOW = 1_700_000_000.0
WEEK = 7 * 86400.0


@pytest.fixture
def outbox(tmp_path):
    """An outbox with rows that the test writes; returns the states at ``NOW``."""
    with Outbox(str(tmp_path)):
        pass

    def states(*rows, now=NOW):
        with contextlib.closing(FORMAT.connect(str(tmp_path / NOTIFICATIONS))) as connection:
            for table, values in rows:
                names, marks = ", ".join(values), ", ".join("?" * len(values))
                connection.execute(
                    f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(values.values())
                )
            connection.commit()
        return receiver_states(str(tmp_path), now)

    return states


def sent(receiver, **facts):
    values = {"recipient": "x", "made": 100.0, "content": "{}", "events": 2, "next": 200.0}
    return "message", {"receiver": receiver, **values, **facts}


def waiting(receiver, number, recipient="x", kind="match"):
    return "waiting", {
        "receiver": receiver, "recipient": recipient, "kind": kind, "number": number, "first": 1.0,
    }  # fmt: skip


def test_without_an_outbox_there_are_no_states(tmp_path):
    assert receiver_states(str(tmp_path), NOW) == []
    assert os.listdir(tmp_path) == []


def test_an_empty_outbox_has_no_states(outbox):
    assert outbox() == []


def test_messages_and_waiting_events_are_counted(outbox):
    found = outbox(
        sent("b"),
        sent("b", made=50.0, next=300.0, refused=1),
        sent("b", events=5),
        waiting("b", 3),
        waiting("b", 4, kind="hold"),
        waiting("a", 7),
        waiting("a", 1, recipient="y"),
        ("receiver", {"name": "c", "sent": 9, "last_sent": 5.0}),
    )
    assert found == [
        ReceiverState("a", events=8),
        ReceiverState("b", messages=3, events=16, oldest=50.0, next_try=200.0, refused=1),
        ReceiverState("c", sent=9, last_sent=5.0),
    ]


def test_the_trouble_of_a_receiver(outbox):
    facts = {
        "trouble": "no route",
        "trouble_since": 3.0,
        "refused_why": "no user",
        "dropped_total": 6,
    }
    (found,) = outbox(("receiver", {"name": "a", "dropped": 1, **facts}))
    assert (found.trouble, found.trouble_since) == ("no route", 3.0)
    assert (found.refused_why, found.dropped) == ("no user", 6)


@pytest.mark.parametrize(("age", "shown"), [(0.0, 2), (WEEK - 1, 2), (WEEK, 0), (WEEK + 1, 0)])
def test_a_message_that_was_given_up_is_shown_for_a_week(outbox, age, shown):
    (found,) = outbox(("receiver", {"name": "a", "given_up": 2, "given_up_at": NOW - age}))
    assert found.given_up == shown


def test_a_damaged_outbox_is_named(tmp_path):
    (tmp_path / NOTIFICATIONS).write_bytes(b"x" * 8192)
    with pytest.raises(StateError, match=NOTIFICATIONS):
        receiver_states(str(tmp_path), NOW)
