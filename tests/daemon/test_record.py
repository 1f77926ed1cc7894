"""The daemon's lines: one for each change, and a fault of the log never stops the daemon."""

import pytest

from hashscan.audit import events
from hashscan.audit.reader import read
from hashscan.config.settings import Settings
from hashscan.daemon.record import DaemonRecord
from hashscan.model import Summary
from hashscan.state import State


@pytest.fixture
def said():
    return []


@pytest.fixture
def state(tmp_path):
    return State(str(tmp_path / "state"))


@pytest.fixture
def record(state, said):
    record = DaemonRecord(said.append)
    record.open(Settings.of(state=state.directory), state)
    return record


def names(state):
    return [one.event for one in read(state.directory)]


def test_each_fact_has_its_line(record, state, said):
    record.started()
    lines = record.scan([b"/srv"], kind="schedule")
    record.scan_ended(lines, Summary(hashed=3))
    record.volume_lost(b"/srv\xff", "no answer")
    record.volume_back(b"/srv\xff")
    record.refused("configuration", "bad")
    record.filters("baseline=2")
    record.reload(Settings.of(state=state.directory), state)
    record.stopped()
    assert names(state) == [
        events.DAEMON_STARTED,
        events.SCAN_STARTED,
        events.SCAN_ENDED,
        events.VOLUME_LOST,
        events.VOLUME_BACK,
        events.REFUSED,
        events.FILTER_CHANGED,
        events.RELOAD,
        events.DAEMON_STOPPED,
    ]
    assert {one.who.by for one in read(state.directory)} == {"daemon"}
    assert said == []


def test_a_problem_has_a_line_when_it_begins_changes_and_ends(record, state):
    for kind in ("unreachable", "unreachable", "credentials"):
        record.problem("service", kind, f"it is {kind}")
    record.well("service")
    record.well("service")
    assert names(state) == [events.PROBLEM, events.PROBLEM, events.PROBLEM_ENDED]


def test_a_log_that_cannot_be_written_is_said_and_does_not_stop_the_daemon(record, state, said):
    with open(f"{state.directory}/audit", "w"):
        pass
    record.started()
    record.scan_ended(record.scan([b"/srv"], kind="start"), Summary())
    assert len(said) == 2
    assert "the daemon goes on, but moves no file until it can be written" in said[0]


def test_without_a_state_nothing_is_written(said):
    record = DaemonRecord(said.append)
    record.started()
    assert record.scan([b"/srv"], kind="start") is None
    assert said == []
