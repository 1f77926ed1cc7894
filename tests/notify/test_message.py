"""A message as the outbox keeps it, and as a program reads it."""

import json
import re

from hashscan.notify.message import Event, Message, for_test, new_id

EVENT = Event(
    "match", "match", "2026-11-27T10:00:00.000Z", {"action": "reported", "path": "/\udcff"}
)
MESSAGE = Message(
    "0" * 24, "web1", 1_700_000_000.0, {"match": 3, "hold": 1}, (EVENT,), "ops@x", "x"
)


def test_the_outbox_gives_back_what_it_got():
    kept = MESSAGE.to_json()
    assert kept.isascii()
    assert Message.from_json(kept, may_repeat=False) == MESSAGE
    assert Message.from_json(kept, may_repeat=True).may_repeat


def test_a_program_reads_the_events_and_the_number_of_the_others():
    found = json.loads(json.dumps(MESSAGE.as_dict()))
    assert found == {
        "id": "0" * 24, "may_have_been_sent_before": False, "test": False, "host": "web1",
        "time": "2023-11-14T22:13:20.000Z", "counts": {"match": 3, "hold": 1},
        "events": [{"kind": "match", "event": "match", "time": "2026-11-27T10:00:00.000Z",
                    "action": "reported", "path": "/\udcff"}],
        "more": 3, "dropped": "x",
    }  # fmt: skip


def test_a_test_has_no_events():
    found = for_test("web1", "a@b.example")
    assert (found.is_test, found.recipient, found.counts) == (True, "a@b.example", {})
    assert (found.as_dict()["more"], found.as_dict()["dropped"]) == (0, None)
    assert found.id != for_test("web1").id


def test_an_id_has_24_digits():
    assert re.fullmatch("[0-9a-f]{24}", new_id())
