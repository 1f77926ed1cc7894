"""Every notifier keeps the contract of ``hashscan.notify.notifier``."""

import json
import time

import pytest
from notifications import message
from receivers import PLACES

from hashscan.notify.message import Event, for_test
from hashscan.notify.notifier import NotSentError, SendFault
from hashscan.notify.open_notifier import open_notifier


@pytest.fixture(params=PLACES)
def place(request, tmp_path):
    with PLACES[request.param](tmp_path) as found:
        yield found


def test_a_message_arrives_with_its_id_and_its_text(place):
    sent = message()
    open_notifier(place.settings).send(sent)
    (got,) = place.received
    assert got.id == sent.id
    assert "3 matches on web1.host.example" in got.text
    assert "may have been sent before" not in got.text


def test_a_message_says_that_it_may_have_been_sent_before(place):
    sent = message(may_repeat=True)
    open_notifier(place.settings).send(sent)
    assert "This message may have been sent before" in place.received[0].text
    assert place.received[0].id == sent.id


def test_a_test_message_says_that_it_is_one(place):
    open_notifier(place.settings).send(for_test("web1", "oncall@host.example"))
    assert "test of hashscan on web1" in place.received[0].text


def test_a_receiver_that_is_busy_is_asked_again(place):
    place.behave("later")
    with pytest.raises(NotSentError) as caught:
        open_notifier(place.settings).send(message())
    assert caught.value.fault is SendFault.LATER
    assert not caught.value.unsure
    assert place.received == []
    place.behave("accept")
    open_notifier(place.settings).send(message())
    assert len(place.received) == 1


def test_a_receiver_that_hangs_costs_the_time_limit_and_no_more(place):
    place.behave("hang")
    settings = place.settings.model_copy(update={"timeout": 0.5})
    begun = time.monotonic()
    with pytest.raises(NotSentError) as caught:
        open_notifier(settings).send(message())
    assert time.monotonic() - begun < 60
    assert caught.value.fault is SendFault.LATER
    assert caught.value.fix


def test_a_receiver_that_refuses_for_good(place):
    if place.kind == "command":
        pytest.skip("a program has no way to refuse for good")
    place.behave("refuse")
    with pytest.raises(NotSentError) as caught:
        open_notifier(place.settings).send(message())
    assert caught.value.fault is SendFault.REFUSED


def test_hostile_texts_stay_within_their_line(place):
    evil = "/srv/a\r\nBcc: evil@evil.example\r\n\r\n.\r\n\u202egpj\x1b[2J\udcff" + "x" * (1 << 20)
    event = Event("match", "match", "2026-11-27T10:00:00Z", {"path": evil, "action": evil})
    open_notifier(place.settings).send(message(events=(event,)))
    (got,) = place.received
    lines = got.text.splitlines()
    assert [one for one in lines if "Bcc" in one] == [
        one for one in lines if one.startswith("- 2026")
    ]
    assert "\x1b" not in got.text
    assert "\u202e" not in got.text
    if place.kind == "mail":
        assert place.mails[0]["Bcc"] is None
        assert place.mails[0].defects == []
        assert got.to == "oncall@host.example"
    else:
        assert json.loads(got.raw)["events"][0]["path"] == evil
