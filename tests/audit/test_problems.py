"""Problems in the audit log: one line when a problem begins, changes and ends, also over kills."""

import json
import os

import pytest

from hashscan.audit import events, problems
from hashscan.audit.actor import Who
from hashscan.audit.log import AuditLog
from hashscan.audit.problems import Problems
from hashscan.audit.reader import read
from hashscan.files import PROBLEMS, PROBLEMS_MARK


class Machine:
    """The problems of a process, in its log; ``works``: whether lines can be written."""

    def __init__(self, directory):
        self.state = str(directory)
        self.log = AuditLog(self.state)
        self.works = True
        self.start()

    def start(self):
        self.problems = Problems(self.state, self._write)

    def _write(self, event, facts):
        if self.works:
            self.log.append(event, Who(0, "root", "daemon"), **facts)
        return self.works

    @property
    def names(self):
        return [one.event for one in read(self.state)]

    @property
    def kept(self):
        with open(f"{self.state}/{PROBLEMS}") as file:
            return json.load(file)


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def test_a_problem_has_a_line_when_it_begins_changes_and_ends(machine):
    for kind in ("unreachable", "unreachable", "credentials"):
        machine.problems.problem("service", kind, f"it is {kind}")
    machine.problems.problem_ended("service")
    machine.problems.problem_ended("service")
    assert machine.names == [events.PROBLEM, events.PROBLEM, events.PROBLEM_ENDED]
    first, second, ended = read(machine.state)
    assert first.facts == {"what": "service", "kind": "unreachable", "message": "it is unreachable"}
    assert second.facts["kind"] == "credentials"
    assert ended.facts == {"what": "service"}


def test_a_volume_has_a_line_when_it_is_lost_and_when_it_is_back(machine):
    machine.problems.volume_back(b"/srv/\xff")
    for why in ("no answer", "no answer", "gone"):
        machine.problems.volume_lost(b"/srv/\xff", why)
    machine.start()
    machine.problems.volume_back(b"/srv/\xff")
    assert machine.names == [events.VOLUME_LOST, events.VOLUME_LOST, events.VOLUME_BACK]
    assert {one.facts["volume"] for one in read(machine.state)} == {"/srv/\udcff"}
    assert [one.facts.get("message") for one in read(machine.state)] == ["no answer", "gone", None]


def test_a_problem_and_a_volume_of_one_name_are_two(machine):
    machine.problems.problem("/srv", "bad", "bad")
    machine.problems.volume_lost(b"/srv", "bad")
    machine.problems.problem_ended("/srv")
    assert machine.kept == {"volume /srv": "bad"}


def test_a_problem_that_goes_on_after_a_kill_has_no_second_line(machine):
    machine.problems.problem("service", "unreachable", "down")
    machine.problems.problem("sync", "bad", "bad")
    machine.start()
    machine.problems.problem("service", "unreachable", "down")
    machine.problems.problem_ended("sync")
    machine.start()
    machine.problems.problem_ended("sync")
    machine.problems.problem_ended("service")
    assert machine.names == ["problem", "problem", "problem-ended", "problem-ended"]


@pytest.mark.parametrize("change", ["begins", "ends", "lost", "back"])
def test_a_kill_between_the_line_of_a_problem_and_its_note(machine, monkeypatch, change):
    def act():
        if change == "begins":
            machine.problems.problem("service", "unreachable", "down")
        elif change == "ends":
            machine.problems.problem_ended("service")
        elif change == "lost":
            machine.problems.volume_lost(b"/srv", "gone")
        else:
            machine.problems.volume_back(b"/srv")

    if change == "ends":
        machine.problems.problem("service", "unreachable", "down")
    if change == "back":
        machine.problems.volume_lost(b"/srv", "gone")
    with monkeypatch.context() as patch:
        patch.setattr(machine.problems, "_keep", lambda **_: None)
        act()
    before = machine.names
    machine.start()
    act()
    assert machine.names == before
    machine.problems.problem("other", "bad", "bad")
    assert not os.path.exists(f"{machine.state}/{PROBLEMS_MARK}")


def test_a_line_that_could_not_be_written_is_written_by_the_next_process(machine):
    machine.works = False
    machine.problems.problem("service", "unreachable", "down")
    machine.works = True
    machine.start()
    machine.problems.problem("service", "unreachable", "down")
    assert machine.names == [events.PROBLEM]


def test_forgotten_problems_are_reported_again(machine):
    machine.problems.forget()
    assert not os.path.exists(f"{machine.state}/{PROBLEMS}")
    machine.problems.problem("service", "unreachable", "down")
    machine.problems.forget()
    assert machine.kept == {}
    machine.start()
    machine.problems.problem("service", "unreachable", "down")
    assert machine.names == [events.PROBLEM, events.PROBLEM]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"7", b"\xff"])
def test_a_damaged_note_knows_no_problem(machine, content):
    with open(f"{machine.state}/{PROBLEMS}", "wb") as file:
        file.write(content)
    machine.start()
    machine.problems.problem("service", "unreachable", "down")
    assert machine.names == [events.PROBLEM]


def test_a_note_that_cannot_be_written_stops_nothing(machine, monkeypatch):
    def fails(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(problems, "replace_file", fails)
    machine.problems.problem("service", "unreachable", "down")
    assert os.path.exists(f"{machine.state}/{PROBLEMS_MARK}"), "the next process reads the lines"
    machine.start()
    machine.problems.problem("service", "unreachable", "down")
    assert machine.names == [events.PROBLEM]
