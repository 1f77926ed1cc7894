"""The daemon's lines: one for each change, and a fault of the log never stops the daemon."""

import json
import os
import shutil
from types import SimpleNamespace

import brake_matches
import pytest

from hashscan.audit import events
from hashscan.audit.reader import read
from hashscan.config.settings import Settings
from hashscan.daemon.audit_lines import DaemonRecord
from hashscan.errors import StateError
from hashscan.files import PROBLEMS
from hashscan.model import Acted, MatchEvent, Summary
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


def after_a_kill(state, said):
    record = DaemonRecord(said.append)
    record.open(Settings.of(state=state.directory), state)
    return record


def test_a_problem_whose_line_was_delayed_at_a_kill_is_written_after_it(record, state, said):
    with open(f"{state.directory}/audit", "w"):
        pass
    record.problem("service", "unreachable", "down")
    os.unlink(f"{state.directory}/audit")
    record = after_a_kill(state, said)
    record.problem("service", "unreachable", "down")
    assert names(state) == [events.PROBLEM]
    with open(f"{state.directory}/{PROBLEMS}") as file:
        assert json.load(file) == {"service": "unreachable"}


def test_delayed_lines_are_written_once(record, state):
    with open(f"{state.directory}/audit", "w"):
        pass
    record.filters("a")
    os.unlink(f"{state.directory}/audit")
    for name in ("b", "c"):
        record.write_delayed()
        record.filters(name)
    assert [one.facts["filters"] for one in read(state.directory)] == ["a", "b", "c"]
    assert ["delayed_since" in one.facts for one in read(state.directory)] == [True, False, False]


def test_a_daemon_that_somebody_starts_reports_a_problem_again(record, state, said):
    record.problem("service", "unreachable", "down")
    record.stopped()
    after_a_kill(state, said).problem("service", "unreachable", "down")
    assert names(state).count("problem") == 2


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


def test_a_deadline_has_its_line_or_is_written_later(record, state, said):
    assert record.deadline(events.NOTICE_DUE, "N1", "2026-01-01T00:00:00Z") is True
    (line,) = read(state.directory)
    assert (line.event, line.facts["notice"]) == (events.NOTICE_DUE, "N1")
    assert line.facts["deadline"] == "2026-01-01T00:00:00Z"
    assert DaemonRecord(said.append).deadline(events.NOTICE_DUE, "N1", "") is False
    assert said == []


def test_a_deadline_whose_line_cannot_be_written_is_said(record, state, said):
    with open(f"{state.directory}/audit", "w"):
        pass
    assert record.deadline(events.NOTICE_DUE, "N1", "") is False
    assert len(said) == 1


def test_counts_of_matches_are_saved_at_the_end_of_a_scan_and_of_the_daemon(
    record, state, monkeypatch
):
    saved = []
    for job in (lambda: record.scan_ended(None, Summary()), record.stopped):
        monkeypatch.setattr(record._matches, "save", lambda: saved.append(1))
        job()
    assert len(saved) == 2
    changed = Settings.of(state=state.directory, quarantine={"action": "quarantine"})
    record.reload(changed, state)
    assert len(saved) == 3
    record.scan([b"/srv"], kind="reload")
    assert [one.facts for one in read(state.directory)][-1]["action"] == "quarantine"


def test_each_match_has_its_line_once_the_log_is_open(record, said):
    written = []
    DaemonRecord(said.append).match("a match")
    record._matches = SimpleNamespace(write=written.append)
    record.match("a match")
    assert (written, said) == (["a match"], [])


def test_matches_that_have_no_line_are_reported_once(record, state, said):
    match = MatchEvent(brake_matches.match("f"), Acted("quarantined", quarantine_id="1"))
    for _ in range(2):
        shutil.rmtree(f"{state.directory}/audit", ignore_errors=True)
        with open(f"{state.directory}/audit", "w"):
            pass
        for _ in range(3):
            with pytest.raises(StateError):
                record.match(match)
        os.unlink(f"{state.directory}/audit")
        record.match(match)
    assert len(said) == 2
    assert "the daemon goes on, but moves no file until it can be written" in said[0]
    assert names(state) == [events.MATCH]
