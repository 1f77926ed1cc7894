"""hashscan.jobs.release_holds: decisions about holds, and the files that a release moves."""

import json
import os
from types import SimpleNamespace

import pytest
from isolating import confirmed

from hashscan.config.settings import Settings
from hashscan.errors import MachineError, UsageError
from hashscan.jobs import brakes, decide_holds, release_holds
from hashscan.jobs.release_holds import Released, move_released
from hashscan.jobs.volume_presence import Seen
from hashscan.model import Acted, Digest, FileDigests
from hashscan.quarantine.dismissed_digests import entries_of
from hashscan.quarantine.hold_types import HeldFile, HoldState, facts_of
from hashscan.quarantine.holds import Holds
from hashscan.scan.hashing import NotHashed
from hashscan.state import State


@pytest.fixture
def state(tmp_path):
    return State(str(tmp_path / "state"))


# New lists


def new(count, first=0, category="baseline", version="2"):
    return [
        (category, version, FileDigests(sha1=number.to_bytes(20, "big")))
        for number in range(first, first + count)
    ]


# The files of a released hold


def held(volume, name, content=b"known"):
    (volume / name).write_bytes(content)
    match = confirmed(volume, name)
    return HeldFile(
        os.fsencode(volume), os.fsencode(name), 1000, len(content), match.candidate.digests, 1.0,
        json.loads(facts_of(match)),
    )  # fmt: skip


@pytest.fixture
def release(state, tmp_path):
    """Moves files; the first use makes the quarantine."""

    def run(*files, **sections):
        settings = Settings.of(
            state=state.directory, quarantine={"directory": str(tmp_path / "q")}, **sections
        )
        run.told, run.said, run.forgotten = [], [], []
        return move_released(
            settings, state, iter(files),
            tell=run.told.append, notice=run.said.append, forget=run.forgotten.append,
        )  # fmt: skip

    return run


def test_released_files_move_if_they_still_have_their_content(release, volume, tmp_path):
    same, gone, other = (held(volume, name) for name in ("same", "gone", "other"))
    (volume / "gone").unlink()
    (volume / "other").write_bytes(b"a page")
    assert not (tmp_path / "q").exists()
    assert release(same, gone, other) == Released(moved=1, gone=2, failed=0)
    assert sorted(os.listdir(volume)) == ["other"]
    assert release.forgotten == [gone, other]
    (event,) = release.told
    assert (event.acted.action, event.match.candidate.path) == ("quarantined", b"same")
    assert event.match.candidate.digests.sha256 is not None, "the record has all digests"
    assert release.said == []


def test_files_of_a_volume_that_is_not_there_wait(release, volume, monkeypatch):
    one, two, there = held(volume, "one"), held(volume, "two"), held(volume, "there")
    away = [file._replace(volume=b"/away") for file in (one, two)]
    monkeypatch.setattr(
        release_holds,
        "check_all",
        lambda paths: [Seen(os.fsencode(p), "no answer" if p == "/away" else None) for p in paths],
    )
    assert release(*away, there) == Released(moved=1, gone=0, failed=2)
    assert release.said == ["/away: 2 files not moved: no answer"]
    assert release.forgotten == []


def test_a_file_that_cannot_be_read_is_named_and_waits(release, volume, monkeypatch):
    one = held(volume, "one")
    monkeypatch.setattr(release_holds, "hash_below", lambda *_: NotHashed("unreadable", "EIO"))
    assert release(one) == Released(moved=0, gone=0, failed=1)
    assert release.said == [f"{volume}/one: not moved: it cannot be read: EIO"]
    monkeypatch.setattr(release_holds, "hash_below", lambda *_: NotHashed("vanished", None))
    assert release(one) == Released(moved=0, gone=1, failed=0)
    assert release.forgotten == [one]


def test_a_released_file_that_cannot_be_moved_is_counted(release, volume, monkeypatch):
    monkeypatch.setattr(
        release_holds.Quarantine,
        "act",
        lambda *_: Acted("none", problem="locked", message="locked"),
    )
    assert release(held(volume, "one")) == Released(moved=0, gone=0, failed=1)


# Decisions


class Decisions:
    """A hold by a list, of two digests; the files of a released hold are only counted."""

    def __init__(self, state, holds):
        self.state, self.holds = state, holds
        self.settings = Settings.of(state=state.directory)
        holds.hold_list("baseline", "2", 2, [one[2] for one in new(2)])

    def release(self):
        reporter = SimpleNamespace(match=None, notice=None)
        return decide_holds.release(self.settings, self.state, self.holds, 1, "seen", reporter)

    def dismiss(self):
        return decide_holds.dismiss(self.settings, self.state, self.holds, 1, "stock image")

    def lines(self):
        return [one.event for one in brakes.read(self.state.directory, 0)]


@pytest.fixture
def decisions(state, monkeypatch):
    monkeypatch.setattr(decide_holds, "move_released", lambda *_a, **_k: Released(3))
    with Holds(state.holds) as holds:
        yield Decisions(state, holds)


def test_a_release_is_written_once_and_its_files_move_each_time(decisions):
    for _ in range(2):
        hold, done = decisions.release()
        assert (hold.state, hold.why, done.moved) == (HoldState.RELEASED, "seen", 3)
    assert decisions.lines() == ["hold-released"]


def test_a_dismissal_allows_each_digest_until_the_hold_is_released(decisions, state):
    assert decisions.dismiss().state is HoldState.DISMISSED
    entries = entries_of(state.dismissed)
    assert [one.digests for one in entries] == [
        (Digest("sha1", f"{number:040x}"),) for number in range(2)
    ]
    assert {(one.hold, one.reason) for one in entries} == {("H1", "stock image")}
    with pytest.raises(UsageError):
        decisions.dismiss()
    decisions.release()
    assert entries_of(state.dismissed) == []
    assert decisions.lines() == ["hold-dismissed", "hold-released"]


def test_a_decision_that_cannot_be_written_is_none(decisions, state, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(decide_holds.dismissed_digests, "add", full)
        with pytest.raises(MachineError, match="cannot be written: No space left"):
            decisions.dismiss()
    assert decisions.holds.get(1).state is HoldState.HELD
    decisions.dismiss()
    with monkeypatch.context() as patch:
        patch.setattr(decide_holds.dismissed_digests, "remove", full)
        with pytest.raises(MachineError, match="cannot be written: No space left"):
            decisions.release()
    assert decisions.holds.get(1).state is HoldState.DISMISSED
