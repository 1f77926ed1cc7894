"""hashscan.daemon: levels of the log, timers of rounds and of a remembered lock, lines kept."""

import io
import os
from types import SimpleNamespace

import pytest

from hashscan.daemon import notice_rounds as rounds_module
from hashscan.daemon import quarantine_process as acting_module
from hashscan.daemon.audit_lines import DaemonRecord
from hashscan.daemon.background_job import Failure
from hashscan.daemon.log import Log
from hashscan.daemon.notice_rounds import NoticeRounds
from hashscan.daemon.quarantine_process import ActingProcess
from hashscan.errors import HashscanError, StateError
from hashscan.jobs.notices.round_result import LEFT_OUT, Memory
from hashscan.model import (
    Acted,
    Candidate,
    Confirmed,
    Digest,
    FileDigests,
    FilterHit,
    Identity,
    MatchEvent,
    Stamp,
)


def event(name=b"a", **acted):
    hit = FilterHit(Digest("sha1", "a" * 40), "baseline", "1")
    digests = FileDigests(sha1=b"a" * 20)
    found = Candidate(b"/v", name, Identity(1, 2), Stamp(1, 2, 3), digests, 1, 0, (hit,))
    match = Confirmed(found, hit, "baseline", "s", "2026-01-01T00:00:00Z")
    return MatchEvent(match, Acted(**acted))


# The log


@pytest.mark.parametrize(
    ("acted", "level", "words"),
    [
        ({"action": "quarantined", "quarantine_id": "id7"}, "warning", "quarantined as id7 ["),
        ({"action": "held", "quarantine_id": "id7"}, "warning", "held ["),
        ({"action": "allowed"}, "info", "allowed ["),
        ({"action": "reported", "message": "/v/a: busy", "problem": "busy"}, "error",
         "reported (busy) ["),
        ({"action": "quarantined", "quarantine_id": "i", "remaining_links": 2}, "warning",
         "quarantined as i; 2 more names of it are elsewhere ["),
    ],
)  # fmt: skip
def test_the_line_of_a_match(acted, level, words):
    err = io.StringIO()
    Log(io.StringIO(), err).match(event(**acted))
    assert f" {level}: match /v/a: {words}" in err.getvalue()


# The lock of the quarantine


def test_a_lock_is_remembered_for_five_seconds(monkeypatch):
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(acting_module, "time", SimpleNamespace(monotonic=lambda: clock.now))
    tries = []

    class Connection:
        def send(self, match):
            tries.append(match)

        def poll(self, _seconds):
            return True

        def recv(self):
            return Acted("reported", message="/v/a: locked", problem="locked")

    one = object.__new__(ActingProcess)
    one._child = SimpleNamespace(connection=Connection(), pid=0)
    one._busy, one._busy_until = None, 0.0
    match = SimpleNamespace(candidate=SimpleNamespace(volume=b"/v", full_path=b"/v/a"))
    for later, count in ((0, 1), (4.9, 1), (0.1, 2), (5.0, 3)):
        clock.now += later
        assert one.act(match).message == "/v/a: locked"
        assert len(tries) == count


# The audit log


def test_a_line_that_cannot_be_written_is_complained_about_and_ends_nothing(monkeypatch):
    complaints, lines = [], []
    record = DaemonRecord(complaints.append)
    assert record.scan([b"/v"], kind="start") is None, "nothing is written yet"
    record.scan_ended(None, "summary")
    record.scan_ended(SimpleNamespace(ended=lines.append), "summary")
    assert lines == ["summary"]

    def refuses(*_given, **_named):
        raise StateError("no room")

    record.scan_ended(SimpleNamespace(ended=refuses), "summary")
    assert len(complaints) == 1
    assert "no room" in complaints[0]
    record.recorder = "recorder"
    monkeypatch.setattr("hashscan.daemon.audit_lines.ScanLines", refuses)
    assert record.scan([b"/v"], kind="start") is None
    monkeypatch.setattr("hashscan.daemon.audit_lines.ScanLines", lambda *_given, **_named: "lines")
    assert record.scan([b"/v"], kind="start") == "lines"


# Rounds over notices


class Job:
    """The process of the rounds; ``orders``: what it got, ``result``: of the next one."""

    connection, process_id = "connection", 77

    def __init__(self):
        self.orders, self.result, self.lives, self.closed = [], None, True, 0

    def give(self, order):
        self.orders.append(order)
        return self.lives

    def take(self):
        return self.result

    def close(self):
        self.closed += 1


@pytest.fixture
def rounds(monkeypatch):
    """Rounds whose clock, process and file of notices are replaced."""
    jobs, lines = [], io.StringIO()
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(rounds_module, "Repeated", lambda _work: jobs.append(Job()) or jobs[-1])
    monkeypatch.setattr(rounds_module, "Sites", lambda _sites: None)
    state = SimpleNamespace(notices="/none/notices")
    one = NoticeRounds(
        SimpleNamespace(sites=()), state, Log(lines, lines), clock=lambda: clock.now, still=100.0
    )
    one.jobs, one.lines, one.time, one.mark, one.stats = jobs, lines, clock, "first", 0

    def stored():
        one.stats += 1
        return one.mark

    monkeypatch.setattr(one, "_stored", stored)
    return one


def step(rounds, later=0.0, session=None):
    rounds.time.now += later
    rounds.step(session, "no list")
    return rounds.connections == ["connection"]


def ends(rounds, **given):
    done = {"memory": Memory(), "events": (), "lines": (), "more": False, "open": False, **given}
    rounds.jobs[-1].result = SimpleNamespace(**done)
    rounds.take(["connection"])
    assert rounds.connections == []


def test_the_file_of_notices_is_checked_once_a_second(rounds):
    rounds.mark = None
    assert not step(rounds)
    assert not step(rounds, 0.9)
    assert rounds.stats == 1
    assert not step(rounds, 0.1)
    assert rounds.stats == 2
    rounds.mark = "first"
    assert step(rounds, 1)
    assert rounds.jobs[0].orders[0].why_unknown == "no list"
    assert rounds.jobs[0].orders[0].absent == frozenset()


@pytest.mark.parametrize(
    ("given", "seconds"),
    [({"more": True, "open": True}, 1.0), ({"open": True}, 30.0), ({}, 300.0)],
)
def test_when_the_next_round_begins(rounds, given, seconds):
    assert step(rounds)
    ends(rounds, **given)
    if seconds > 1:
        assert not step(rounds, seconds - 1)
        assert step(rounds, 1)
    else:
        assert step(rounds, 1)
    ends(rounds)
    rounds.mark = "a notice was stored"
    assert step(rounds, 1)
    assert len(rounds.jobs) == 1


def test_a_round_that_fails_is_tried_again_by_another_process(rounds):
    assert step(rounds)
    rounds._memory.recovered = True
    rounds.jobs[0].result = Failure("x", "it died")
    rounds.take(["another"])
    assert rounds.connections == ["connection"]
    rounds.take(["connection"])
    assert (rounds.jobs[0].closed, rounds._memory.recovered) == (1, False)
    assert rounds.facts()["trouble"] == "the files of notices were not searched: it died"
    assert not step(rounds, 29)
    assert step(rounds, 1)
    assert len(rounds.jobs) == 2
    ends(rounds)
    assert rounds.facts()["trouble"] == ""


def test_a_round_that_computes_does_not_stand_still(rounds, monkeypatch):
    ticks = [0]
    monkeypatch.setattr(rounds_module, "cpu_ticks", lambda process: (process, ticks[0]))
    monkeypatch.setattr(rounds, "_named", lambda item: f"item {item}")
    assert step(rounds)
    for _ in range(3):
        ticks[0] += 1
        assert step(rounds, 99)
    assert step(rounds, 100)
    rounds._begins(300)
    rounds._memory.recovered = True
    before = rounds_module.time.time()
    assert not step(rounds, 0.1)
    assert rounds.jobs[0].closed == 1
    (left,) = rounds._memory.left_out.items()
    assert left[0] == 300
    assert before + LEFT_OUT <= left[1] <= rounds_module.time.time() + LEFT_OUT
    assert rounds._memory.recovered is False
    assert "item 300: the daemon leaves it out for an hour" in rounds.lines.getvalue()


def test_a_process_ends_with_its_known_set_and_a_dead_one_is_replaced(rounds):
    commits = []
    session = SimpleNamespace(
        known="lists", absent=frozenset({b"/v"}), commit=lambda: commits.append(1)
    )
    assert step(rounds, session=session)
    assert rounds.jobs[0].orders[0].absent == {b"/v"}
    ends(rounds, more=True)
    assert step(rounds, 1, session=session)
    assert (len(rounds.jobs), commits) == (1, [1])
    ends(rounds, more=True)
    rounds.jobs[0].lives = False
    assert step(rounds, 1, session=session)
    assert (len(rounds.jobs), rounds.jobs[0].closed) == (2, 1)
    ends(rounds, more=True)
    session.known = "other lists"
    assert step(rounds, 1, session=session)
    assert (len(rounds.jobs), rounds.jobs[1].closed) == (3, 1)
    rounds.use(SimpleNamespace(sites=()))
    assert (rounds.jobs[2].closed, rounds.connections) == (1, [])
    rounds.close()
    assert rounds.jobs[2].closed == 1


def test_a_limit_of_the_machine_is_reported_and_tried_again(rounds, monkeypatch):
    def refuses(_work):
        raise HashscanError("no process")

    monkeypatch.setattr(rounds_module, "Repeated", refuses)
    assert not step(rounds)
    assert rounds.facts()["trouble"] == "the files of notices are not searched: no process"
    rounds.mark = "second"
    monkeypatch.setattr(
        rounds_module, "Repeated", lambda _work: rounds.jobs.append(Job()) or rounds.jobs[-1]
    )
    assert step(rounds, 1)


def test_what_a_round_found_is_logged(rounds):
    step(rounds)
    lines = [("warning", "it waits"), ("info", "it is gone")]
    ends(rounds, events=[event(action="quarantined", quarantine_id="id7")], lines=lines)
    told = rounds.lines.getvalue()
    for words in ("warning: it waits", "info: it is gone", "match /v/a: quarantined as id7"):
        assert words in told
    assert rounds.facts()["time"] is not None


def test_a_change_of_the_file_of_notices(tmp_path):
    one = object.__new__(NoticeRounds)
    one._state = SimpleNamespace(notices=str(tmp_path / "n"))
    assert one._stored() is None
    (tmp_path / "n").write_text("x")
    first = one._stored()
    assert first is not None
    (tmp_path / "n-wal").touch()
    assert one._stored() == first, "readers make an empty one"
    os.utime(tmp_path / "n-wal", (1, 1))
    assert one._stored() == first
    (tmp_path / "n-wal").write_text("y")
    second = one._stored()
    assert second != first
    os.utime(tmp_path / "n", (5, 5))
    assert one._stored() != second


def test_an_item_that_cannot_be_read_is_named_by_its_number(rounds):
    assert rounds._named(5) == "item 5 of a notice"
