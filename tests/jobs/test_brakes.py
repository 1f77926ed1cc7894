"""hashscan.jobs.brakes: how many files a volume has, and the lines of holds and decisions."""

import os
from types import SimpleNamespace

import pytest

from hashscan.config.settings import Settings
from hashscan.errors import StateError
from hashscan.jobs import brakes
from hashscan.jobs.brakes import HoldLog, VolumeFiles
from hashscan.model import Digest
from hashscan.quarantine.hold_types import Hold, HoldKind, HoldState
from hashscan.state import State


@pytest.fixture
def state(tmp_path):
    return State(str(tmp_path / "state"))


@pytest.fixture
def counted(monkeypatch):
    """How many files the last scan saw, and a clock; used inodes are 70."""
    one = SimpleNamespace(found=None, now=5.0, asked=0)

    def overview(_path):
        one.asked += 1
        if isinstance(one.found, Exception):
            raise one.found
        return one.found

    monkeypatch.setattr(brakes, "overview", overview)
    monkeypatch.setattr(brakes, "used_inodes", lambda _volume: 70)
    monkeypatch.setattr(brakes.time, "monotonic", lambda: one.now)
    return one


def scans(**files):
    return SimpleNamespace(
        by_volume={b"/" + os.fsencode(name): SimpleNamespace(files=files[name]) for name in files}
    )


@pytest.mark.parametrize(
    ("found", "files"),
    [
        (scans(srv=500), 500),
        (scans(home=500), 70),
        (scans(srv=None), 70),
        (scans(srv=0), 70),
        (None, 70),
        (StateError("damaged"), 70),
    ],
)
def test_a_volume_has_the_files_of_its_last_scan_or_the_used_inodes(counted, found, files):
    counted.found = found
    assert VolumeFiles("catalog")(b"/srv") == files


def test_the_files_of_a_volume_are_counted_again_after_ten_minutes(counted):
    volumes, counted.found = VolumeFiles("catalog"), scans(srv=500, home=9)
    assert volumes(b"/srv") == 500
    counted.found = scans(srv=600, home=9)
    counted.now += 599.0
    assert volumes(b"/srv") == 500
    assert volumes(b"/home") == 9
    counted.now += 1.0
    assert volumes(b"/srv") == 600
    assert counted.asked == 3


HOLD = Hold(
    "H3", HoldKind.DIGEST, HoldState.HELD, "too many", None, b"/srv/\xff", None, None, 1.0, None,
    "", "", 40, 7, False,
)  # fmt: skip


def test_a_hold_has_a_line_of_its_own(state):
    log = HoldLog(Settings.of(state=state.directory), state, "scan")
    before = log.newest()
    log.decided("hold-released", HOLD, [], "seen")
    assert not log.has_line(HOLD, before), "a decision is another line"
    log.write_line(HOLD, [Digest("sha1", "ab" * 20)])
    assert log.has_line(HOLD, before)
    assert not log.has_line(HOLD, log.newest())
    decided, told = brakes.read(state.directory, before)
    assert (told.event, told.who.by) == ("held", "scan")
    assert told.facts == {
        "hold": "H3", "kind": "digest", "files": 40, "owners": 7, "volume": "/srv/\udcff",
        "reason": "too many", "digest": {"sha1": "ab" * 20},
    }  # fmt: skip
    assert decided.facts["because"] == "seen"


def test_a_line_of_a_decision_has_at_most_thirty_digests(state):
    log = HoldLog(Settings.of(state=state.directory), state, "command")
    log.decided("hold-released", HOLD, [Digest("sha1", f"{one:040x}") for one in range(31)], "")
    (line,) = brakes.read(state.directory, 0)
    assert line.facts["digest"][0] == "sha1:" + "0" * 40
    assert len(line.facts["digest"]) == 30
