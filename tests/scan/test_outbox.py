"""hashscan.scan.outbox: when findings and signs of life are sent."""

import time

import pytest
from faulty import Faulty

from hashscan.scan import outbox as module
from hashscan.scan.messages import PART_FILES, Alive, At, Findings
from hashscan.scan.outbox import FindingsOutbox


class Sending:
    """An outbox that sends to a list, and a clock."""

    def __init__(self, monkeypatch):
        self.sent, self.now = [], 100.0
        monkeypatch.setattr(module, "time", Faulty(time, monotonic=lambda: self.now))
        self.box = FindingsOutbox(self.sent.append, bytearray(1))


@pytest.fixture
def sending(monkeypatch):
    return Sending(monkeypatch)


def test_a_sign_of_life_has_the_bytes_since_the_last(sending):
    found = []
    sending.box.gather = lambda: found.append(len(sending.sent))
    for seconds, count in ((0.5, 1), (0.5, 2), (0.5, 4), (0.5, 8), (0.9, 16), (0.1, 32)):
        sending.now += seconds * module._ALIVE_AFTER
        sending.box.show_life(count)
    assert sending.sent == [Alive(3), Alive(12), Alive(48)]
    assert found == [1, 2, 3], "what was found is sent as well"


def test_what_was_found_does_not_wait_for_the_end_of_a_long_read(sending):
    sending.box.gather = lambda: sending.box.put(Findings(1))
    sending.now += module._ALIVE_AFTER
    sending.box.show_life(5)
    assert sending.sent == [Alive(5), [Findings(1)]]


def test_findings_are_a_sign_of_life_too(sending):
    sending.box.show_life(7)
    sending.now += module._ALIVE_AFTER
    sending.box.put(Findings(1))
    sending.box.flush()
    sending.box.show_life(2)
    assert sending.sent == [[Findings(1)]]
    sending.box.flush()
    assert len(sending.sent) == 1, "nothing is left"
    sending.now += module._ALIVE_AFTER
    sending.box.show_life(0)
    assert sending.sent[1:] == [Alive(2)]


def test_findings_are_sent_when_they_are_many_or_old(sending):
    rows = Findings(1, rows=[()] * (PART_FILES - 4), problems=[()], gone=[b""])
    sending.box.put(rows)
    assert sending.sent == []
    sending.box.put(Findings(2))
    assert sending.sent == [[rows, Findings(2)]]
    sending.box.put(rows)
    assert len(sending.sent) == 1
    sending.now += module._SEND_AFTER
    sending.box.put(Findings(3))
    assert sending.sent[1:] == [[rows, Findings(3)]]


@pytest.mark.parametrize("idle", [0, 1, 3])
def test_a_part_is_handed_to_one_process_that_has_nothing_to_do(idle):
    shared = bytearray([idle])
    box = FindingsOutbox(list, shared)
    assert box.may_hand_over() is bool(idle)
    assert shared[0] == 0
    assert box.may_hand_over() is False


def test_a_name_is_announced_before_anything_else():
    sent = []
    box = FindingsOutbox(sent.append, bytearray(1))
    box.put(Findings(1))
    box.announce(7, b"name")
    assert sent == [At(7, b"name")]
