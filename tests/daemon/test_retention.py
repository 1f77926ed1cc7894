"""hashscan.daemon.retention: the retention of the quarantine, and its change by a reload."""

import io
import time
from types import SimpleNamespace

import pytest

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


def test_a_reload_is_also_for_questions_about_withdrawn_digests(keeping, monkeypatch, tmp_path):
    used = []
    monkeypatch.setattr(keeping._again, "use", used.append)
    changed = settings(tmp_path, None)
    keeping.use(changed)
    assert used == [changed]
