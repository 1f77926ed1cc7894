"""Moves that fail because their owner renames the files all the time: few lines in the log."""

import os
from types import SimpleNamespace

from isolating import confirmed

from hashscan.audit.log import AuditLog
from hashscan.audit.reader import read
from hashscan.audit.recorder import Recorder
from hashscan.audit.who import Who
from hashscan.quarantine import act, attempts
from hashscan.quarantine.act import Quarantine
from hashscan.quarantine.attempts import Attempts
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
    monkeypatch.setattr(attempts, "_MOST", 2)
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
