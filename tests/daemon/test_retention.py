"""hashscan.daemon.retention: the retention of the quarantine, and its change by a reload."""

import io
import os
import time
from types import SimpleNamespace
from typing import ClassVar

import pytest
from reload_parts import Job

from hashscan.config.settings import Settings
from hashscan.daemon import retention as module
from hashscan.daemon.log import Log
from hashscan.daemon.retention import Housekeeping
from hashscan.quarantine.retention import Purged


def settings(tmp_path, retention):
    quarantine = {"action": "report", "retention": retention}
    return Settings.of(state=str(tmp_path / "state"), quarantine=quarantine)


@pytest.fixture
def keeping(tmp_path):
    out = io.StringIO()
    state = SimpleNamespace(directory=str(tmp_path / "state"))
    made = Housekeeping(settings(tmp_path, "30d"), Log(out, out), state)
    made.out = out
    yield made
    made.close()


def test_what_was_removed_is_reported(keeping, monkeypatch):
    monkeypatch.setattr(module, "purge_older", lambda *_: Purged(3, 0))
    keeping.step(None)
    (connection,) = keeping.connections
    keeping.step(None)
    assert keeping.connections == [connection], "one at a time"
    keeping.take([])
    assert connection.poll(20)
    keeping.take([connection])
    assert "3 contents older than its retention were removed for good" in keeping.out.getvalue()
    assert keeping.connections == []
    keeping.step(None)
    assert keeping.connections == [], "the next one comes hours later"


def test_a_reload_ends_a_removal_by_the_old_retention(keeping, monkeypatch, tmp_path):
    monkeypatch.setattr(module, "purge_older", lambda *_: time.sleep(1000))
    keeping.step(None)
    assert keeping.connections
    keeping.use(settings(tmp_path, None))
    keeping.step(None)
    assert keeping.connections == []


class Again:
    """Notes the calls of the questions about withdrawn digests."""

    connections: ClassVar = ["again"]

    def __init__(self):
        self.calls = []

    def __getattr__(self, name):
        return lambda *given: self.calls.append((name, *given))


@pytest.fixture
def jobs(monkeypatch):
    found = []
    monkeypatch.setattr(
        module, "Background", lambda job: found.append(Job(Purged(0, 0))) or job() or found[-1]
    )
    return found


def test_contents_are_removed_every_six_hours(keeping, jobs, monkeypatch):
    removals = []
    monkeypatch.setattr(module, "purge_older", lambda *given: removals.append(given))
    keeping._due._jitter = lambda _low, _high: 1.0
    keeping._due._clock = lambda: 1e12
    for now, count in ((0, 1), (6 * 3600 - 1, 1), (6 * 3600, 2)):
        keeping._due._clock = lambda now=now: 1e12 + now
        keeping.step(None)
        keeping.take(keeping.connections)
        assert len(jobs) == count
    directory, age, recorder = removals[0]
    assert directory == os.fsencode(keeping._settings.quarantine_directory)
    assert (age, recorder.who.by) == (30 * 86400.0, "daemon")


def test_each_turn_is_also_for_questions_about_withdrawn_digests(keeping, jobs):
    again = keeping._again = Again()
    keeping._due.next = None
    keeping.step("session")
    assert keeping.connections == ["again"]
    keeping.take(["again"])
    keeping.close()
    assert again.calls == [("step", "session"), ("take", ["again"]), ("close",)]


def test_the_end_ends_a_removal(keeping, jobs, monkeypatch):
    monkeypatch.setattr(module, "purge_older", lambda *_: None)
    keeping.step(None)
    keeping.close()
    assert jobs[0].is_closed
    assert keeping.connections == []


def test_a_reload_is_also_for_questions_about_withdrawn_digests(keeping, monkeypatch, tmp_path):
    used = []
    monkeypatch.setattr(keeping._again, "use", used.append)
    changed = settings(tmp_path, None)
    keeping.use(changed)
    assert used == [changed]
