"""The lines of scans about the service, and about errors that prevent a scan."""

from types import SimpleNamespace

import pytest

from hashscan.audit.events import PROBLEM
from hashscan.audit.reader import read
from hashscan.audit.recorder import Recorder
from hashscan.config.settings import Settings
from hashscan.errors import Fault, FilterError, FilterExpiredError, StateError
from hashscan.jobs import notifications, scan
from hashscan.jobs.scan_problems import ScanProblems
from hashscan.notify.outbox import Outbox
from hashscan.scan.asker import NoAnswer
from hashscan.scan.engine import Engine
from hashscan.state import State

DOWN = NoAnswer("no route", Fault.UNREACHABLE)
REFUSES = NoAnswer("401", Fault.CREDENTIALS, is_last=True)


@pytest.fixture
def state(tmp_path):
    return State(str(tmp_path / "state"))


def one_scan(state, said=None):
    recorder = Recorder.of(Settings.of(state=state.directory), "scan", state)
    return ScanProblems(recorder, [].append if said is None else said.append)


def lines(state):
    return [(one.event, one.facts.get("what")) for one in read(state.directory)]


def test_a_service_that_is_down_or_refuses_has_one_line_over_all_scans(state):
    for failure, answered in (
        (None, False),
        (DOWN, True),
        (DOWN, False),
        (REFUSES, False),
        (None, False),  # nobody was asked
        (None, True),
        (None, True),
    ):
        one_scan(state).service(failure, answered=answered)
    assert lines(state) == [
        ("problem", "service"),
        ("problem", "password"),
        ("problem-ended", "service"),
        ("problem-ended", "password"),
    ]


def opened(state, error=None):
    with one_scan(state).opening():
        if error is not None:
            raise error


def test_an_error_with_another_age_in_its_message_is_the_same_problem(state):
    for error in (FilterExpiredError("31 days"), FilterExpiredError("32 days"), FilterError("?")):
        with pytest.raises(type(error)):
            opened(state, error)
    with pytest.raises(KeyError):
        opened(state, KeyError())
    opened(state)
    opened(state)
    assert [event for event, _ in lines(state)] == ["problem", "problem", "problem-ended"]


def test_a_line_that_cannot_be_written_hides_no_error_and_is_written_later(state, monkeypatch):
    said = []

    def refuse(*_given, **_facts):
        raise StateError("no space")

    with monkeypatch.context() as patch:
        patch.setattr(Recorder, "write", refuse)
        one_scan(state, said).volume(b"/v", "it is away")
    assert (said, lines(state)) == (["no space"], [])
    one_scan(state).volume(b"/v", "it is away")
    one_scan(state).volume(b"/v", "it is away")
    one_scan(state).volume(b"/v", None)
    assert [event for event, _ in lines(state)] == ["volume-lost", "volume-back"]


def test_a_service_failed_if_candidates_wait_at_the_end():
    engine = object.__new__(Engine)
    engine._confirmation = SimpleNamespace(last_failure=DOWN, answered=3)
    engine._scan = SimpleNamespace(summary=SimpleNamespace(pending=2))
    assert engine.unanswered == DOWN
    assert engine.is_answered
    engine._scan.summary.pending = 0
    assert engine.unanswered is None


def test_a_scan_notifies_about_its_own_lines_and_not_about_earlier_ones(state, monkeypatch):
    receiver = {"name": "a", "kind": "command", "command": ["/bin/true"]}
    settings = Settings.of(state=state.directory, notify=[receiver])
    recorder = Recorder.of(settings, "scan", state)
    recorder.write(PROBLEM, what="service", message="earlier")
    said, sent = [], []
    monkeypatch.setattr(notifications, "send_now", lambda *given: sent.append(given))
    reporter = SimpleNamespace(notice=said.append)
    with scan._notifying(settings, state, reporter):
        recorder.write(PROBLEM, what="password", message="of this scan")
    with Outbox(state.directory) as outbox:
        begin = outbox.position
    assert [line.facts["message"] for line in read(state.directory, begin)] == ["of this scan"]
    assert sent == [(settings, state, said.append)]
