"""Moves that fail because their owner renames the files all the time: few lines in the log."""

import os
from types import SimpleNamespace

import pytest
from isolating import confirmed

from hashscan.audit.actor import Who
from hashscan.audit.log import AuditLog
from hashscan.audit.reader import read
from hashscan.audit.recorder import Recorder
from hashscan.errors import StateError
from hashscan.quarantine import act, failed_moves
from hashscan.quarantine.act import Quarantine
from hashscan.quarantine.failed_moves import Attempts
from hashscan.quarantine.records import RecordState
from hashscan.quarantine.recover import recover
from hashscan.quarantine.store import Store


def test_an_owner_is_quiet_for_the_rest_of_an_hour_and_no_other_owner():
    now = [0.0]
    one = Attempts(lambda: now[0], SimpleNamespace(of=lambda uid: uid % 10))
    assert one.owner(1007) == 7
    for _ in range(99):
        one.failed(7, b"/f")
    assert not one.is_quiet(7)
    one.failed(7, b"/f")
    assert one.is_quiet(7)
    assert not one.is_quiet(8)
    assert one.due(7) == 0
    one.line_written(7)
    one.failed(7, b"/f")
    one.failed(7, b"/f")
    now[0] = 59.9
    assert one.due(7) is None
    now[0] = 60.0
    assert one.due(7) == 2
    one.line_written(7)
    assert one.due(7) is None
    now[0] = 3599.9
    assert one.is_quiet(7)
    now[0] = 3600.0
    assert not one.is_quiet(7)
    one.failed(7, b"/f")
    assert not one.is_quiet(7)


def test_a_long_path_counts_more():
    one = Attempts(lambda: 0.0)
    one.failed(7, b"x" * 99_000)
    assert one.is_quiet(7)


def test_failed_moves_have_few_lines_and_a_move_that_works_has_its_own(
    volume, tmp_path, monkeypatch
):
    monkeypatch.setattr(act, "_precheck", lambda *_, **__: None)  # the rename comes after it
    monkeypatch.setattr(failed_moves, "_MOST", 2)
    state = str(tmp_path / "state")
    os.mkdir(state, 0o700)
    recorder = Recorder(AuditLog(state), Who.current("command"))
    (volume / "f").write_bytes(b"known")
    match = confirmed(volume, "f")
    with Store.open(os.fsencode(state) + b"/quarantine", recorder=recorder) as store:
        quarantine = Quarantine(store)
        os.rename(volume / "f", volume.parent / "aside")
        for _ in range(6):
            assert quarantine.act(match).problem == "vanished"
        os.rename(volume.parent / "aside", volume / "f")
        assert quarantine.act(match).action == "quarantined"
    lines = [one.event for one in read(state)]
    assert lines == ["moving", "not-moved"] * 2 + ["moves-left-out", "moved"]


class Died(BaseException):
    """The process is dead."""


@pytest.fixture
def quiet(volume, tmp_path, monkeypatch):
    """A quarantine, and a match whose owner has no lines about tries."""
    monkeypatch.setattr(act, "_precheck", lambda *_, **__: None)
    monkeypatch.setattr(failed_moves, "_MOST", 1)
    state = str(tmp_path / "state")
    os.mkdir(state, 0o700)
    recorder = Recorder(AuditLog(state), Who.current("command"))
    (volume / "f").write_bytes(b"known")
    match = confirmed(volume, "f")
    with Store.open(os.fsencode(state) + b"/quarantine", recorder=recorder) as store:
        quarantine = Quarantine(store)
        os.rename(volume / "f", volume.parent / "aside")
        assert quarantine.act(match).problem == "vanished"
        assert quarantine.act(match).problem == "vanished"
        assert store.begun_act() is None
        os.rename(volume.parent / "aside", volume / "f")
        yield SimpleNamespace(quarantine=quarantine, store=store, match=match, state=state)


def test_a_quiet_move_that_is_killed_has_a_line(quiet, monkeypatch):
    def die(*_, **__):
        raise Died

    monkeypatch.setattr(quiet.quarantine, "_write_result", die)
    with pytest.raises(Died):
        quiet.quarantine.act(quiet.match)
    with quiet.store.lock():
        recover(quiet.store)
    assert [one.event for one in read(quiet.state)][-2:] == ["moves-left-out", "recovered"]
    assert quiet.store.begun_act() is None


def test_the_line_of_a_quiet_move_is_on_the_disk(quiet, monkeypatch):
    written, write = [], quiet.store.recorder.write
    monkeypatch.setattr(
        quiet.store.recorder,
        "write",
        lambda *a, **more: written.append((a, more)) or write(*a, **more),
    )
    assert quiet.quarantine.act(quiet.match).action == "quarantined"
    assert [(event, more["sync"]) for (event,), more in written] == [("moved", True)]


@pytest.mark.parametrize("after", ["moved", "no-other-file"])
def test_no_file_moves_before_the_result_of_the_earlier_move_has_its_line(
    quiet, volume, monkeypatch, after
):
    def fail(*_, **__):
        raise StateError("the disk is full")

    (volume / "g").write_bytes(b"known too")
    other = confirmed(volume, "g")
    with monkeypatch.context() as patch:
        patch.setattr(quiet.store.recorder, "write", fail)
        assert quiet.quarantine.act(quiet.match).action == "quarantined"
        assert quiet.quarantine.act(other).problem == "no-audit-log"
        assert (volume / "g").exists()
    if after == "moved":
        assert quiet.quarantine.act(other).action == "quarantined"
    else:
        with quiet.store.lock():
            recover(quiet.store)
    lines = [one.event for one in read(quiet.state)]
    assert lines[2:] == ["moves-left-out", "recovered", *(["moved"] if after == "moved" else [])]


def test_an_act_does_not_hide_that_the_earlier_one_has_no_line(volume, tmp_path, monkeypatch):
    state = str(tmp_path / "state")
    os.mkdir(state, 0o700)
    recorder = Recorder(AuditLog(state), Who.current("command"))
    matches = []
    for name in "fg":
        (volume / name).write_bytes(b"known")
        matches.append(confirmed(volume, name))
    with Store.open(os.fsencode(state) + b"/quarantine", recorder=recorder) as store:
        quarantine, write = Quarantine(store), recorder.write

        def fail(event, **facts):
            if event == "moved":
                raise StateError("the disk is full")
            return write(event, **facts)

        with monkeypatch.context() as patch:
            patch.setattr(recorder, "write", fail)
            assert quarantine.act(matches[0]).action == "quarantined"
        assert quarantine.act(matches[1]).action == "quarantined"
        found = list(read(state))
    assert [one.event for one in found] == ["moving", "recovered", "moving", "moved"]
    assert found[0].facts["quarantine_id"] == found[1].facts["quarantine_id"]
    assert found[1].facts["message"].endswith("(moving); now it is quarantined")


def test_a_file_that_is_kept_as_displaced_has_a_line(quiet, monkeypatch):
    moved = quiet.quarantine._move
    monkeypatch.setattr(
        quiet.quarantine, "_move", lambda *given: moved(*given).became(RecordState.DISPLACED)
    )
    assert quiet.quarantine.act(quiet.match).problem == "displaced"
    assert [one.event for one in read(quiet.state)][-1] == "not-moved"
