"""hashscan.audit.matches: no owner pushes other lines out of the log."""

import os
from dataclasses import replace

import pytest
from reported_matches import HELD, event

from hashscan.audit import events
from hashscan.audit.actor import Who
from hashscan.audit.log import AuditLog
from hashscan.audit.matches import MatchLines
from hashscan.audit.reader import read
from hashscan.audit.recorder import Recorder
from hashscan.errors import StateError
from hashscan.fs.accounts import Accounts
from hashscan.model import Acted

WHO = Who(0, "root", "daemon")
SIZE = 32 << 10


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def lines(tmp_path, clock):
    log = AuditLog(str(tmp_path), file_size=SIZE, files=4)
    return MatchLines(Recorder(log, WHO), clock=clock, accounts=Accounts(str(tmp_path / "none")))


def of(uid, name, acted=HELD):
    found = event(os.fsencode(name), acted)
    candidate = replace(found.match.candidate, uid=uid)
    return replace(found, match=replace(found.match, candidate=candidate))


def test_an_owner_with_a_flood_of_matches_in_place_pushes_nothing_out(tmp_path, lines, clock):
    log = AuditLog(str(tmp_path), file_size=SIZE, files=4)
    log.append(events.HOLD_RELEASED, WHO, hold="H1")
    for number in range(1000):
        lines.write(of(1000, f"{number}{'x' * 200}"))
    lines.write(of(1001, "other"))
    found = list(read(str(tmp_path)))
    assert found[0].event == events.HOLD_RELEASED
    assert found[-1].facts["path"] == "/v/other"
    (left,) = [one for one in found if one.event == events.MATCHES_LEFT_OUT]
    assert left.facts == {"uid": 1000}
    assert sum(one.stat().st_size for one in (tmp_path / "audit").glob("*.jsonl")) < 1.3 * SIZE
    clock.now += 86400
    lines.write(of(1000, "a day later"))
    lines.write(of(1000, f"999{'x' * 200}"))  # was left out, and has its line now
    assert [one.facts["path"][3:] for one in read(str(tmp_path), found[-1].seq)] == [
        "a day later", f"999{'x' * 200}"
    ]  # fmt: skip


def test_each_moved_file_has_its_line(tmp_path, lines):
    for number in range(100):
        lines.write(of(1000, f"{number}{'x' * 200}", Acted("quarantined", "Q")))
    assert [one.event for one in read(str(tmp_path))] == [events.MATCH] * 100


def test_few_matches_each_day_are_never_left_out(tmp_path, lines, clock):
    for number in range(100):
        lines.write(of(1000, f"{number}{'x' * 200}"))
        clock.now += 86400 / 10
    assert not any(one.event == events.MATCHES_LEFT_OUT for one in read(str(tmp_path)))


def test_a_match_whose_line_fails_has_it_the_next_time(tmp_path, lines, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Recorder, "write", raising(StateError("the disk is full")))
        with pytest.raises(StateError):
            lines.write(of(1000, "a"))
    lines.write(of(1000, "a"))
    lines.write(of(1000, "a"))
    assert [one.facts["path"] for one in read(str(tmp_path))] == ["/v/a"]


def test_a_line_of_a_match_waits_for_no_disk(lines, monkeypatch):
    lines.write(of(1000, "a"))
    synced = []
    monkeypatch.setattr(os, "fdatasync", synced.append)
    lines.write(of(1000, "b"))
    lines.write(of(1000, "c", Acted("quarantined", "Q")))
    assert synced == []


def raising(error):
    def fails(*_args, **_facts):
        raise error

    return fails
