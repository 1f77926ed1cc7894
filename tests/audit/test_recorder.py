"""hashscan.audit.recorder: whose log it is, and what is on disk."""

import os

import pytest

from hashscan.audit import events
from hashscan.audit.reader import read
from hashscan.audit.recorder import Recorder
from hashscan.config.settings import Settings
from hashscan.state import State


@pytest.fixture
def settings(tmp_path):
    return Settings.of(state=str(tmp_path / "own"))


def test_a_line_goes_to_the_state_that_was_named(tmp_path, settings):
    Recorder.of(settings, "command").write(events.MOVED, n=1)
    Recorder.of(settings, "command", State(str(tmp_path / "named"))).write(events.MOVED, n=2)
    for name, number in (("own", 1), ("named", 2)):
        (event,) = read(str(tmp_path / name))
        assert event.facts == {"n": number}


def test_a_line_is_on_disk_unless_its_writer_wants_no_sync(settings, monkeypatch):
    recorder = Recorder.of(settings, "command")
    recorder.write(events.MOVED)
    synced = []
    monkeypatch.setattr(os, "fdatasync", synced.append)
    recorder.write(events.MOVED, sync=False)
    assert synced == []
    recorder.write(events.MOVED)
    assert len(synced) == 1, "the line; the head may be older than the log"
