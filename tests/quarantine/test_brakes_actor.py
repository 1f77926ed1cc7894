"""hashscan.quarantine.brakes: the actor that counts a match before the next actor moves it."""

import os
import sqlite3
from contextlib import closing
from types import SimpleNamespace

import pytest
from brake_matches import Events, Moving, digests_of, match

from hashscan.errors import StateError
from hashscan.quarantine.brake_limits import BrakeLimits
from hashscan.quarantine.brakes import Brakes, summary_of, used_inodes
from hashscan.quarantine.holds import Holds


def unknown(_volume):
    """No scan has counted the files of this volume yet."""
    return


@pytest.fixture
def moving():
    return Moving()


@pytest.fixture
def events():
    return Events()


@pytest.fixture
def braked(memory, moving, events):
    path = str(memory / "holds.sqlite3")
    with closing(
        Brakes(moving, path, BrakeLimits(owners=2), events=events, files_of=unknown)
    ) as one:
        yield one


def test_one_line_tells_of_all_files_of_a_hold(braked, moving, events):
    done = [braked.act(match(f"{uid}/f", uid)) for uid in range(9)]
    assert [one.action for one in done] == ["quarantined"] * 2 + ["held"] * 7
    assert events.lines == ["H1"]
    assert {one.hold for one in done[2:]} == {"H1"}
    assert events.digests == list(match("0/f", 0).candidate.digests.each())
    assert {one.problem for one in done} == {None}
    assert "files with the same digest moved from 2 owners within" in done[2].message
    assert done[2].message.endswith("; decide with 'hashscan hold show H1'")


@pytest.mark.parametrize("fault", ["before", "after"])
def test_a_hold_is_told_of_once_whatever_ended_the_first_try(braked, events, fault):
    for uid in range(2):
        braked.act(match(f"{uid}/f", uid))
    events.fault = fault
    if fault == "after":
        with pytest.raises(KeyboardInterrupt):
            braked.act(match("2/f", 2))
    else:
        assert braked.act(match("2/f", 2)).problem == "no-brakes"
    events.fault = None
    assert braked.act(match("2/f", 2)).hold == "H1"
    assert braked.act(match("3/f", 3)).hold == "H1"
    assert events.lines == ["H1"]


def test_nothing_moves_that_cannot_be_counted(tmp_path, moving, events):
    path = tmp_path / "holds.sqlite3"
    path.write_bytes(b"no database at all")
    with closing(
        Brakes(moving, str(path), BrakeLimits(), events=events, files_of=unknown)
    ) as braked:
        done = braked.act(match("0/f", 0))
    assert (done.action, done.problem, moving.moved) == ("reported", "no-brakes", [])
    assert "cannot be counted" in done.message


def test_restored_and_unmoved_files_count_for_nothing(braked, moving):
    moving.restored = {f"{uid}/f".encode() for uid in range(9)}
    assert {braked.act(match(f"{uid}/f", uid)).hold for uid in range(9)} == {None}
    moving.restored, moving.problem = set(), "busy"
    assert {braked.act(match(f"{uid}/f", uid)).problem for uid in range(9)} == {"busy"}
    moving.problem = None
    assert [braked.act(match(f"{uid}/f", uid)).action for uid in range(3)] == [
        "quarantined", "quarantined", "held"
    ]  # fmt: skip


def test_a_line_of_an_earlier_file_of_holds_tells_of_no_hold_of_this_one(braked, events):
    events.lines = ["H1"]  # somebody moved a damaged file away: numbers begin again
    for uid in range(4):
        braked.act(match(f"{uid}/f", uid))
    assert events.lines == ["H1", "H1"]
    assert braked._holds.get(1).reported


def test_the_share_is_of_the_files_of_the_volume(memory, moving, events):
    def files_of(volume):
        return 100 if volume == b"/srv" else None

    limits = BrakeLimits(share=0.02, share_from=1)
    path = str(memory / "holds.sqlite3")
    with closing(Brakes(moving, path, limits, events=events, files_of=files_of)) as braked:
        done = [braked.act(match(f"{uid}/f", uid)).action for uid in range(3)]
    assert done == ["quarantined", "quarantined", "held"]


def test_digests_that_the_move_computed_count_too(braked, moving):
    moving.digests_of = lambda _record_id: digests_of(b"known")
    for uid in range(2):
        assert braked.act(match(f"{uid}/f", uid, algorithms=("md5",))).action == "quarantined"
    assert braked.act(match("2/f", 2, algorithms=("sha1",))).action == "held"


def test_a_file_that_moved_is_reported_as_moved_although_that_cannot_be_noted(braked, monkeypatch):
    def fails(*_):
        raise StateError("holds.sqlite3: disk full")

    monkeypatch.setattr(Holds, "moved", fails)
    done = braked.act(match("0/f", 0))
    assert (done.action, done.problem) == ("quarantined", None)
    assert done.message == "/srv/0/f: its move is still counted as begun: holds.sqlite3: disk full"


def test_closed_brakes_open_the_file_of_holds_again(braked):
    assert braked.act(match("0/f", 0)).action == "quarantined"
    connection = braked._holds._connection
    braked.close()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        connection.execute("SELECT 1")
    assert braked.act(match("1/f", 1)).action == "quarantined"


def test_a_line_says_whose_files_a_hold_has(braked):
    for uid in range(4):
        braked.act(match(f"{uid}/f", uid))
    line = summary_of(braked._holds.get(1))
    assert line.startswith("H1: 2 files of 2 owners held: files with the same digest moved from 2")
    assert "'hashscan hold release'" in line


def test_used_inodes_are_the_files_of_a_volume(memory, monkeypatch):
    found = os.statvfs(memory)
    assert 0 < used_inodes(os.fsencode(memory)) <= found.f_files
    assert used_inodes(b"/absent") is None
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_files=0, f_ffree=0))
    assert used_inodes(b"/") is None
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_files=10, f_ffree=3))
    assert used_inodes(b"/") == 7
