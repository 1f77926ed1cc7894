"""The lines that a killed job wrote: those after its mark, and none without a mark."""

import os

import pytest

from hashscan.audit import resume
from hashscan.audit.resume import Mark
from hashscan.errors import StateError


@pytest.fixture
def mark(small):
    small.fill(3)
    return Mark(small.state, "mark")


def numbers(mark):
    return [one.facts["n"] for one in mark.lines()]


def test_the_lines_since_a_mark_are_those_of_the_killed_job(small, mark):
    assert numbers(mark) == []
    mark.set()
    assert numbers(mark) == []
    small.fill(2)
    assert numbers(mark) == numbers(Mark(small.state, "mark")) == [0, 1]
    mark.clear()
    assert numbers(mark) == []
    assert not os.path.exists(f"{small.state}/mark")


def test_the_mark_of_a_killed_job_stays_until_its_lines_are_noted(small, mark):
    mark.set()
    small.fill(2)
    again = Mark(small.state, "mark")
    again.set()
    assert numbers(again) == [0, 1]


def test_a_mark_in_an_empty_log(small):
    one = Mark(small.state, "mark")
    one.set()
    small.fill(2)
    assert numbers(one) == [0, 1]
    one.clear()
    one.clear()


@pytest.mark.parametrize("content", [b"", b"x", b"-", b"9" * 30])
def test_a_damaged_mark_has_no_lines(small, mark, content):
    with open(f"{small.state}/mark", "wb") as file:
        file.write(content)
    assert numbers(mark) == []


def test_a_log_that_cannot_be_read_has_no_lines(mark, monkeypatch):
    def unreadable(*_):
        raise StateError("damaged")

    mark.set()
    monkeypatch.setattr(resume, "read", unreadable)
    assert mark.lines() == []


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), StateError("full")])
def test_a_mark_that_cannot_be_written_or_removed_stops_no_job(small, mark, monkeypatch, error):
    def fails(*_):
        raise error

    monkeypatch.setattr(resume, "replace_file", fails)
    mark.set()
    assert not os.path.exists(f"{small.state}/mark")
    monkeypatch.undo()
    mark.set()
    monkeypatch.setattr(resume, "remove", fails)
    mark.clear()
    assert os.path.exists(f"{small.state}/mark")
