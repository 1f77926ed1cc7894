"""From the audit log to the receivers: rules, bursts, outages, order."""

import json
import os
import re
import time
import tracemalloc

import pytest
from notifications import Desk
from receivers import PLACES, CommandPlace, HookPlace, MailPlace

from hashscan.config.notify import ReceiverSettings
from hashscan.notify.dispatch import attempt
from hashscan.notify.receiver_state import receiver_states


def test_events_of_a_burst_are_one_message(tmp_path):
    with HookPlace(tmp_path) as place:
        desk = Desk(tmp_path / "state", place.settings)
        for _ in range(3):
            desk.audit.match()
            desk.after(2)
        assert place.received == []
        desk.after(10)
        (got,) = place.received
        assert json.loads(got.raw)["counts"] == {"match": 3}


def test_no_more_messages_than_at_most_says(tmp_path):
    with HookPlace(tmp_path, at_most="10m", collect="1s") as place:
        desk = Desk(tmp_path / "state", place.settings)
        for _ in range(20):
            desk.audit.match()
            desk.after(60)
        assert len(place.received) == 2
        desk.after(600)
        assert [sum(json.loads(one.raw)["counts"].values()) for one in place.received] == [1, 10, 9]


URGENT = {
    "held": {"hold": "1", "files": 9, "owners": 3, "reason": "of 3 (brakes.owners)"},
    "notice-overdue": {"notice": "20261127-0a1b2c3d"},
    "daemon-stopped": {"clean": True},
    "volume-lost": {"volume": "/srv"},
}


@pytest.mark.parametrize("event", URGENT)
def test_an_urgent_event_does_not_wait_for_at_most(tmp_path, event):
    with HookPlace(tmp_path, at_most="1h") as place:
        desk = Desk(tmp_path / "state", place.settings)
        desk.audit.match()
        desk.after(20)
        desk.audit.match()
        desk.after(20)
        assert len(place.received) == 1, "the second match waits"
        desk.audit.add(event, **URGENT[event])
        desk.after(5)
        desk.after(10)
        assert len(place.received) == 2, "with all that waited"
        assert sum(json.loads(place.received[1].raw)["counts"].values()) == 2


@pytest.mark.parametrize("event", URGENT)
def test_a_burst_of_an_urgent_kind_is_one_message(tmp_path, event):
    with HookPlace(tmp_path, at_most="10m") as place:
        desk = Desk(tmp_path / "state", place.settings)
        for _ in range(10):
            desk.audit.add(event, **URGENT[event])
            desk.after(30)
        assert len(place.received) == 1
        desk.after(600)
        assert [sum(json.loads(one.raw)["counts"].values()) for one in place.received] == [1, 9]


def test_a_receiver_gets_the_events_of_its_rule_only(tmp_path):
    with HookPlace(tmp_path, events=["hold"]) as place:
        desk = Desk(tmp_path / "state", place.settings)
        desk.audit.match()
        desk.audit.add("scan-started", volumes=["/srv"])
        desk.audit.add("held", hold="1", files=9, owners=3, reason="of 4242 (brakes.owners)")
        desk.after(20)
        (got,) = place.received
        assert json.loads(got.raw)["counts"] == {"hold": 1}
        assert "9 matches of 3 owners held back so far (brakes.owners)" in got.text
        assert "4242" not in got.text


@pytest.mark.parametrize("action", ["held", "allowed"])
def test_a_match_that_somebody_decided_on_is_no_news(tmp_path, action):
    with HookPlace(tmp_path) as place:
        desk = Desk(tmp_path / "state", place.settings)
        desk.audit.match(action=action)
        desk.after(20)
        assert place.received == []


@pytest.mark.parametrize(
    ("alone", "again"), [(True, "; the daemon, or the next scan, sends it again"), (False, " s")]
)
def test_a_one_off_scan_promises_no_time_for_the_next_attempt(tmp_path, alone, again):
    with HookPlace(tmp_path) as place:
        place.behave("later")
        desk = Desk(tmp_path / "state", place.settings, alone=alone)
        desk.audit.match()
        desk.after(60)
        (said,) = desk.said()
        assert said.endswith(again)


def test_an_hour_without_the_receiver(tmp_path):
    """Everything arrives once, in order, and the other receiver waits for nothing."""
    with HookPlace(tmp_path, at_most="1s") as place, CommandPlace(tmp_path, at_most="1s") as other:
        place.behave("later")
        desk = Desk(tmp_path / "state", place.settings, other.settings)
        for number in range(60):
            desk.audit.match(path=f"/srv/{number}", quarantine_id=f"q{number}")
            desk.after(30)
            desk.after(30)
            assert len(other.received) == number + 1
        assert place.received == []
        tries = len(place.attempts)
        assert 4 <= tries <= 20
        assert desk.state("hook").events == 60
        assert "503" in desk.state("hook").trouble
        place.behave("accept")
        for _ in range(3):
            desk.after(3600)
        records = [
            event["quarantine_id"]
            for one in place.received
            for event in json.loads(one.raw)["events"]
        ]
        more = sum(json.loads(one.raw)["more"] for one in place.received)
        numbers = [int(one[1:]) for one in records]
        assert numbers == sorted(set(numbers))
        assert len(numbers) + more == 60
        assert desk.state("hook").messages == 0
        assert desk.state("hook").trouble == ""
        assert any("accepts messages again" in one for one in desk.said())


def test_a_mail_server_that_greylists_gets_the_mail_again(tmp_path):
    with MailPlace(tmp_path) as place:
        place.codes = [451, 451]
        desk = Desk(tmp_path / "state", place.settings)
        desk.audit.match()
        desk.after(20)
        assert "code 451" in desk.state("post").trouble
        desk.after(40)
        desk.after(75)
        (got,) = place.received
        assert got.to == "oncall@host.example"
        assert len(place.attempts) == 3
        assert "may have been sent" not in got.text


def test_a_receiver_that_refuses_everything_for_a_while_gets_everything_once_and_in_order(tmp_path):
    with MailPlace(tmp_path, at_most="1s") as place:
        place.behave("refuse")
        desk = Desk(tmp_path / "state", place.settings)
        for number in range(4):
            desk.audit.match(quarantine_id=f"q{number}")
            desk.after(600)
        state = desk.state("post")
        assert (state.refused, state.messages, state.events) == (4, 4, 4)
        assert "550" in state.refused_why
        assert [one for one in desk.said() if "kept" in one]
        place.behave("accept")
        desk.audit.match(quarantine_id="q4")
        desk.after(60)
        found = [re.findall("record (q[0-9])", one.text) for one in place.received]
        assert found == [[f"q{number}"] for number in range(5)]
        assert len({one.id for one in place.received}) == 5
        state = desk.state("post")
        assert (state.refused, state.messages, state.dropped) == (0, 0, 0)


def test_a_message_that_alone_is_refused_holds_up_no_later_one(tmp_path):
    with MailPlace(tmp_path, at_most="1s") as place:
        place.codes = [554, 554]
        desk = Desk(tmp_path / "state", place.settings)
        for number in range(3):
            desk.audit.match(quarantine_id=f"q{number}")
            desk.after(60)
        # It is tried again before the next message, and no more after that was accepted.
        assert len(place.attempts) == 4
        assert ["q1" in one.text for one in place.received] == [True, False]
        assert desk.state("post").refused == 1
        desk.outbox.works_again("post", desk.clock.now)
        desk.after(1)
        assert "q0" in place.received[2].text
        assert desk.state("post").refused == 0


def test_a_refused_message_is_sent_again_without_anybody(tmp_path):
    with HookPlace(tmp_path) as place:
        place.behave("refuse")
        desk = Desk(tmp_path / "state", place.settings)
        desk.audit.match()
        desk.after(20)
        desk.after(60)
        assert len(place.attempts) == 1
        place.behave("accept")
        desk.after(2 * 3600)
        assert len(place.received) == 1


def test_only_so_many_refused_messages_are_kept_and_the_oldest_is_dropped_loudly(
    tmp_path, monkeypatch
):
    monkeypatch.setattr("hashscan.notify.outbox.MOST_REFUSED", 2)
    with MailPlace(tmp_path, at_most="1s") as place:
        place.behave("refuse")
        desk = Desk(tmp_path / "state", place.settings)
        for number in range(3):
            desk.audit.match(quarantine_id=f"q{number}")
            desk.after(60)
        state = desk.state("post")
        assert (state.messages, state.given_up, state.dropped) == (2, 1, 1)
        place.behave("accept")
        desk.audit.match()
        desk.after(60)
        assert "1 earlier event is in no message" in place.received[-1].text
        assert "q1" in place.received[0].text


def test_an_address_that_is_refused_holds_up_no_other(tmp_path):
    with MailPlace(tmp_path, to=["a@host.example", "b@host.example"]) as place:
        place.codes = [451]
        desk = Desk(tmp_path / "state", place.settings)
        desk.audit.match()
        desk.after(20)
        desk.after(60)
        assert sorted(one.to for one in place.received) == ["a@host.example", "b@host.example"]


def test_a_command_that_hangs_delays_nobody(tmp_path):
    with (
        CommandPlace(tmp_path, timeout="200s") as stuck,
        HookPlace(tmp_path, at_most="1s") as place,
    ):
        stuck.behave("hang")
        desk = Desk(tmp_path / "state", stuck.settings, place.settings)
        begun = time.monotonic()
        for number in range(3):
            desk.audit.match()
            desk.after(20, without={"page"})
            assert len(place.received) == number + 1
        assert time.monotonic() - begun < 60
        desk.dispatcher.stop()
        assert not desk.dispatcher.is_sending


@pytest.mark.parametrize("kind", PLACES)
def test_ten_thousand_events_are_one_message_in_bounded_memory(tmp_path, kind):
    with PLACES[kind](tmp_path) as place:
        desk = Desk(tmp_path / "state", place.settings)
        for number in range(10_000):
            desk.audit.match(path=f"/srv/{number}", uid=number)
        tracemalloc.start()
        desk.settle()
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        desk.after(20)
        assert peak < 8 << 20
        (got,) = place.received
        assert "10,000 matches on web1" in got.text
        assert "and 9,950 more" in got.text
        assert len(got.raw) < 64 << 10
        assert os.path.getsize(f"{desk.directory}/notifications.sqlite3") < 1 << 20


def test_a_message_that_waits_for_a_week_is_dropped_and_the_next_one_says_so(tmp_path):
    with HookPlace(tmp_path) as place:
        place.behave("later")
        desk = Desk(tmp_path / "state", place.settings)
        desk.audit.match()
        desk.after(20)
        for _ in range(8):
            desk.after(86400)
        assert any("1 event dropped" in one for one in desk.said())
        assert desk.state("hook").messages == 0
        place.behave("accept")
        desk.audit.match()
        desk.after(20)
        assert "1 earlier event is in no message" in place.received[0].text


def test_events_from_before_the_first_start_are_not_sent(tmp_path):
    with HookPlace(tmp_path) as place:
        desk = Desk(tmp_path / "state", place.settings)
        desk.audit.match()
        desk.clock.now += 8 * 86400
        desk.after(20)
        assert place.received == []


def test_a_receiver_that_is_configured_no_longer_gets_nothing_and_the_log_says_so(tmp_path):
    with HookPlace(tmp_path) as place, CommandPlace(tmp_path) as other:
        desk = Desk(tmp_path / "state", place.settings, other.settings)
        desk.audit.match()
        desk.settle()
        desk.receivers = (other.settings,)
        desk.open()
        desk.after(20)
        assert any("1 event for hook are not sent" in one for one in desk.said())
        assert len(other.received) == 1
        assert [one.name for one in receiver_states(desk.directory, 0)] == ["page"]


def test_nothing_leaves_that_is_not_included(tmp_path):
    secret = {"path": "/srv/www/alice/a.jpg", "volume": "/srv/www", "digests": {"sha1": "a" * 40}}
    lines = {
        "match": {**secret, "action": "quarantined", "uid": 1234567, "message": "/srv/x: denied"},
        "held": {"digest": "a" * 40, "reason": "a" * 40, "files": 1, "owners": 1, "hold": "/srv/x"},
        "withdrawn": {"digest": "a" * 40, "category": "/srv/www/alice"},
        "notice-overdue": {"notice": "20261127-0a1b2c3d", "url": "https://a.example/b.jpg"},
        "problem": {"what": "scanning", "message": "/etc/hashscan/known.txt: missing"},
        "volume-lost": {"volume": "/srv/www", "number": 2, "message": "/srv/www: gone"},
        "daily-digest": {"counts": {"match": 1, "/srv/www": 3}, "at": "08:00"},
    }
    events = ["match", "hold", "withdrawn", "notice-overdue", "problem", "volume-lost", "daily"]
    with HookPlace(tmp_path, events=events) as place:
        desk = Desk(tmp_path / "state", place.settings)
        for name, facts in lines.items():
            desk.audit.add(name, **facts)
        desk.after(20)
        raw = place.received[0].raw.decode()
        assert json.loads(raw)["counts"].keys() == set(events)
        for secret in ("srv", "alice", "aaaa", "1234567", "known.txt", "a.example"):
            assert secret not in raw


def test_what_is_included_is_in_the_message(tmp_path):
    with HookPlace(tmp_path, include=["paths", "digests", "owners"]) as place:
        desk = Desk(tmp_path / "state", place.settings)
        desk.audit.match(path="/srv/a\n.jpg", uid=1234)
        desk.after(20)
        text = place.received[0].text
        assert "/srv/a\\n.jpg, sha1 " + "a" * 40 + ", owner 1234" in text


def test_a_clock_that_is_set_back_stops_no_message(tmp_path):
    with HookPlace(tmp_path) as place:
        desk = Desk(tmp_path / "state", place.settings)
        desk.audit.match()
        desk.after(20)
        desk.clock.now -= 86400
        desk.audit.match()
        desk.settle()
        desk.after(20)
        assert len(place.received) == 2


def test_a_clock_that_is_set_back_stops_no_message_that_waits_for_another_try(tmp_path):
    with HookPlace(tmp_path) as place:
        desk = Desk(tmp_path / "state", place.settings)
        place.behave("later")
        desk.audit.match()
        desk.after(20)
        desk.clock.now -= 3 * 365 * 86400
        place.behave("accept")
        desk.after(1)
        desk.after(1)
        assert [json.loads(one.raw)["counts"] for one in place.received][-1] == {"match": 1}
        assert desk.state("hook").messages == 0


def test_lines_of_the_audit_log_that_are_gone_are_no_silent_loss(tmp_path):
    with HookPlace(tmp_path) as place:
        desk = Desk(tmp_path / "state", place.settings)
        for _ in range(3):
            desk.audit.match()
        del desk.audit.lines[:2]
        desk.audit.newest = lambda: 3
        desk.audit.read = lambda after: [one for one in desk.audit.lines if one.seq > after]
        desk.after(20)
        desk.after(20)
        assert [one for one in desk.said() if "2 lines of the audit log were not read" in one]
        assert len(place.received) == 1


def test_a_secret_that_cannot_be_read_keeps_the_message(tmp_path):
    settings = ReceiverSettings(
        name="hook", kind="webhook", url="http://127.0.0.1:9/", secret_file=f"{tmp_path}/none"
    )
    desk = Desk(tmp_path / "state", settings)
    desk.audit.match()
    desk.after(20)
    state = desk.state("hook")
    assert state.messages == 1
    assert "secret_file" in state.trouble


def test_long_names_make_no_message_that_a_receiver_refuses_for_its_size(tmp_path):
    """A customer chooses the names; a message that is refused is not sent again."""
    with HookPlace(tmp_path, include=("paths",)) as place:
        desk = Desk(tmp_path / "state", place.settings)
        for number in range(60):
            desk.audit.match(path=f"/srv/{number}/" + "\U0001f600" * 1020, message="\x01" * 4096)
        desk.after(20)
        (got,) = place.received
        found = json.loads(got.raw)
    assert len(got.raw) < 512 << 10
    assert found["counts"] == {"match": 60}
    assert 0 < len(found["events"]) < 50
    assert found["more"] == 60 - len(found["events"])


def test_an_unexpected_error_is_reported_without_its_text():
    """The text may quote a secret."""

    class Broken:
        def send(self, message):
            raise RuntimeError("https://h.example/secret")

    error = attempt(Broken(), None)
    assert "internal error: RuntimeError in test_dispatch.py, line" in str(error)
    assert "secret" not in str(error)
