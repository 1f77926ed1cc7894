"""Brakes as a command or a scan opens them, new lists before they move files, and released files."""

import json
import os
from types import SimpleNamespace

import pytest
from isolating import confirmed

from hashscan.config.settings import Settings
from hashscan.errors import MachineError, StateError, UsageError
from hashscan.jobs import brakes, decide_holds, new_list_check, release_holds
from hashscan.jobs.brakes import HoldLog, VolumeFiles
from hashscan.jobs.new_list_check import check_lists
from hashscan.jobs.release_holds import Released, move_released
from hashscan.jobs.volume_presence import Seen
from hashscan.model import Acted, Digest, FileDigests
from hashscan.quarantine.dismissed_digests import entries_of
from hashscan.quarantine.hold_types import HeldFile, Hold, HoldKind, HoldState, facts_of
from hashscan.quarantine.holds import Holds
from hashscan.scan.hashing import NotHashed
from hashscan.state import State


@pytest.fixture
def state(tmp_path):
    return State(str(tmp_path / "state"))


# The number of a volume's files


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


# The lines of holds


HOLD = Hold(
    "H3", HoldKind.DIGEST, HoldState.HELD, "too many", None, b"/srv/\xff", None, None, 1.0, None,
    "", "", 40, 7, False,
)  # fmt: skip


def test_a_hold_has_a_line_of_its_own(state):
    log = HoldLog(Settings.of(state=state.directory), state, "scan")
    before = log.newest()
    log.decided("hold-released", HOLD, [], "seen")
    assert not log.is_told(HOLD, before), "a decision is another line"
    log.tell(HOLD, [Digest("sha1", "ab" * 20)])
    assert log.is_told(HOLD, before)
    assert not log.is_told(HOLD, log.newest())
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


# New lists


class Judging:
    """Stands for the processes that judge; ``parts``: their answers; ``None``: one has died."""

    def __init__(self, parts):
        self.parts, self.connections, self.closed = list(parts), ["one"], 0

    def __call__(self, path, filters, algorithms, *, filterset, until):
        self.given = (path, filters, algorithms, filterset, until)
        return self

    def take(self, _connection):
        part = self.parts.pop(0)
        if not self.parts:
            self.connections = []
        return part if part is None else SimpleNamespace(new=part)

    def close(self):
        self.closed += 1


def new(count, first=0, category="baseline", version="2"):
    return [
        (category, version, FileDigests(sha1=number.to_bytes(20, "big")))
        for number in range(first, first + count)
    ]


@pytest.fixture
def check(state, monkeypatch):
    """Checks a known set that no scan has seen, with the answers of the processes."""
    calls = []
    known = SimpleNamespace(
        name="baseline=2", filters=("filter",), algorithms=frozenset({"sha1"}), test=False
    )
    catalog = SimpleNamespace(
        path="catalog",
        commit=lambda: calls.append("commit"),
        has_filterset=lambda name: name == "seen",
    )

    def run(*parts, limit=3, action=None, configured="quarantine", **changes):
        calls.clear()
        judging = Judging(parts)
        monkeypatch.setattr(
            new_list_check, "Rejudging", lambda *a, **k: calls.append("judge") or judging(*a, **k)
        )
        monkeypatch.setattr(new_list_check, "wait", lambda connections, _seconds: list(connections))
        settings = Settings.of(
            state=state.directory,
            quarantine={"action": configured},
            brakes={"new_candidates": limit},
        )
        told, ticks = [], []
        check_lists(
            settings, state, catalog, SimpleNamespace(**(vars(known) | changes)), told.append,
            ticks.append, action=action,
        )  # fmt: skip
        run.judging, run.ticks = judging, ticks
        return told

    run.calls = calls
    return run


def test_the_matches_of_a_version_with_too_many_new_candidates_are_held(check, state):
    (told,) = check(new(3), [*new(1, 3), *new(3, 9, "other", "5")])
    assert told.startswith("filter baseline, version 2: 4 files would be new candidates, so H1")
    assert check.judging.given == ("catalog", ("filter",), frozenset({"sha1"}), -1, 1 << 62)
    assert check.ticks == [True]
    assert check.judging.closed == 1
    with Holds(state.holds) as holds:
        (hold,) = holds.holds()
        assert (hold.kind, hold.category, hold.filter_version) == (HoldKind.LIST, "baseline", "2")
        assert sorted(holds.digests(1)) == [Digest("sha1", f"{one:040x}") for one in range(4)]
    assert check(new(4)) == [], "it is held already"


def test_the_processes_begin_after_a_commit(check):
    check(new(0))
    assert check.calls == ["commit", "judge"]


def test_a_process_that_dies_leaves_the_list_to_the_scans(check):
    (told,) = check(new(4), None)
    assert "4 files" in told
    assert check.judging.closed


def test_a_list_that_has_everything_does_not_fill_the_memory(check, state, monkeypatch):
    monkeypatch.setattr(new_list_check, "MOST_DIGESTS", 5)
    monkeypatch.setattr("hashscan.quarantine.holds.MOST_DIGESTS", 5)
    given = []
    hold_list = Holds.hold_list
    monkeypatch.setattr(
        Holds, "hold_list", lambda *all: given.append(len(all[-1])) or hold_list(*all)
    )
    (told,) = check(new(20), new(20, 20))
    assert "40 files" in told
    assert given == [6]
    with Holds(state.holds) as holds:
        (hold,) = holds.holds()
        assert (hold.volume, holds.digests(1)) == (b"", []), "all matches of the category"


@pytest.mark.parametrize(
    ("given", "is_judged"),
    [
        ({}, True),
        ({"action": "report"}, False),
        ({"configured": "report"}, False),
        ({"configured": "report", "action": "quarantine"}, True),
        ({"limit": "none"}, False),
        ({"test": True}, False),
        ({"name": "seen"}, False),
    ],
)
def test_a_list_is_judged_only_if_its_matches_would_move(check, given, is_judged):
    check(new(0), **given)
    assert bool(check.calls) is is_judged


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
        "look_at_all",
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
