"""hashscan.daemon.retry: when candidates without a verdict are asked for again."""

import io
from types import SimpleNamespace

import pytest

from hashscan.daemon import retry as module
from hashscan.daemon.log import Log
from hashscan.daemon.retry import Retry
from hashscan.errors import Fault
from hashscan.scan.asker import NoAnswer


class Confirmation(SimpleNamespace):
    """What ``Retry`` sees of a confirmation; ``asked``: seconds at which it was asked again."""

    def __init__(self, clock):
        super().__init__(
            clock=clock, asked=[], failed=0, answered=0, refused=None, last_failure=None,
            busy=False, more=False, links_wait=False, unmoved=False, taken=[], turns=0,
        )  # fmt: skip

    def ask_again(self):
        self.asked.append(self.clock.now)
        return 1

    def ask_more(self):
        self.more = False
        self.turns += 1

    def take(self, replies):
        self.taken += replies

    def fails(self, message="no route", fault=Fault.UNREACHABLE):
        self.failed += 1
        self.last_failure = NoAnswer(message, fault)


@pytest.fixture
def clock(monkeypatch):
    one = SimpleNamespace(now=1000.0)
    one.monotonic = lambda: one.now
    monkeypatch.setattr(module, "time", one)
    return one


@pytest.fixture
def confirmation(clock):
    return Confirmation(clock)


@pytest.fixture
def out():
    return io.StringIO()


@pytest.fixture
def verdicts(confirmation, out):
    asker = SimpleNamespace(restart=lambda: ["what was open"])
    return Retry(confirmation, asker, Log(out, out))


def test_a_failure_is_told_and_asked_again_with_growing_pauses(clock, confirmation, verdicts, out):
    waits = []
    for _ in range(10):
        confirmation.fails()
        verdicts.step()
        assert verdicts.in_trouble
        waits.append(verdicts.next_try)
        clock.now += verdicts.next_try - 0.1
        verdicts.step()
        before = len(confirmation.asked)
        clock.now += 0.2
        verdicts.step()
        assert len(confirmation.asked) == before + 1
        assert verdicts.next_try is None
    assert waits == pytest.approx([5, 10, 20, 40, 80, 160, 320, 640, 900, 900])
    assert "candidates are kept and asked for again in 5 s: no route" in out.getvalue()


def test_an_answer_ends_the_trouble_and_brings_the_next_question_forward(
    clock, confirmation, verdicts, out
):
    for _ in range(6):
        confirmation.fails()
        verdicts.step()
        clock.now += verdicts.next_try
        verdicts.step()
    confirmation.fails()
    verdicts.step()
    assert verdicts.next_try == 320
    confirmation.answered += 1
    verdicts.step()
    assert not verdicts.in_trouble
    assert verdicts.next_try == 5
    assert "the service answers again" in out.getvalue()


def test_a_fault_of_the_service_and_its_end_have_a_line_in_the_audit_log(
    clock, confirmation, verdicts, monkeypatch
):
    lines = []
    for name in ("problem", "well"):
        note = lambda *given, name=name: lines.append((name, *given))  # noqa: E731
        monkeypatch.setattr(verdicts._log.record, name, note)
    confirmation.fails()
    verdicts.step()
    clock.now += verdicts.next_try
    verdicts.step()
    confirmation.refused = "refused"
    confirmation.fails("wrong password", Fault.CREDENTIALS)
    verdicts.step()
    assert lines == [
        ("problem", "service", str(Fault.UNREACHABLE), "no route"),
        ("problem", "password", str(Fault.CREDENTIALS), "wrong password"),
    ]
    lines.clear()
    confirmation.answered += 1
    verdicts.step()
    assert lines == [("well", "service"), ("well", "password")]


def test_refused_credentials_wait_for_somebody_to_change_them(clock, confirmation, verdicts):
    confirmation.fails()
    confirmation.refused = NoAnswer("401", Fault.CREDENTIALS, is_last=True)
    verdicts.step()
    assert verdicts.is_refused
    assert verdicts.next_try == 3600
    clock.now += 3600
    verdicts.step()
    assert confirmation.taken == ["what was open"], "the asker reads the password anew"
    assert not verdicts.is_refused


def test_another_kind_of_fault_is_logged_at_once(clock, confirmation, verdicts, out):
    for number in range(200):
        confirmation.fails(f"no route, {number};")
        verdicts.step()
        clock.now += 1000
        verdicts.step()
    assert "no route, 199;" not in out.getvalue()
    confirmation.fails("a login page", Fault.ANSWER)
    verdicts.step()
    assert "a login page" in out.getvalue()


def test_nothing_is_asked_again_while_a_question_is_open(clock, confirmation, verdicts):
    confirmation.fails()
    verdicts.step()
    clock.now += 6
    confirmation.busy = True
    verdicts.step()
    assert (confirmation.asked, confirmation.turns, verdicts.next_try) == ([], 0, 0.0)
    confirmation.busy = False
    verdicts.step()
    assert (confirmation.asked, confirmation.turns) == ([1006.0], 1)


def test_the_first_pause_is_short_again_once_nothing_is_left_to_ask(clock, confirmation, verdicts):
    def fails_and_is_asked_again():
        confirmation.fails()
        verdicts.step()
        wait = verdicts.next_try
        clock.now += wait
        verdicts.step()
        return wait

    assert [fails_and_is_asked_again() for _ in range(3)] == [5.0, 10.0, 20.0]
    confirmation.ask_again = lambda: 0
    assert fails_and_is_asked_again() == 40.0
    assert fails_and_is_asked_again() == 5.0


def test_without_a_question_there_is_no_trouble(clock, confirmation, verdicts, out):
    verdicts.step()
    assert (verdicts.in_trouble, verdicts.next_try, verdicts.next_move) == (False, None, None)
    assert (confirmation.asked, out.getvalue()) == ([], "")


def test_withdrawn_digests_are_asked_for_again(confirmation, verdicts):
    confirmation.forget = confirmation.taken.append
    verdicts.forget(["digest"])
    assert confirmation.taken == [["digest"]]


def test_files_with_several_names_wait_for_the_rest_after_half_a_second_of_moving(
    clock, confirmation, verdicts
):
    turns = []

    def moves(is_late):
        turns.append(clock.now)
        while len(turns) == 1 and not is_late():
            clock.now += 0.2

    confirmation.act_on_links = moves
    confirmation.links_wait = True
    verdicts.step()
    assert turns == [1000.0]
    assert clock.now == pytest.approx(1000.6)
    assert confirmation.links_wait, "there are more"
    clock.now += 0.4
    verdicts.step()
    assert len(turns) == 1, "everything else has as much time"
    clock.now += 0.2
    verdicts.step()
    assert len(turns) == 2
    assert not confirmation.links_wait
