"""When the daemon asks again and restores; jobs run in this process, results are the test's."""

import io
import os
from collections import Counter
from types import SimpleNamespace
from typing import ClassVar

import pytest

from hashscan.config.settings import Settings
from hashscan.daemon import recheck_verdicts as module
from hashscan.daemon.background_job import Failure
from hashscan.daemon.log import Log
from hashscan.daemon.recheck_verdicts import VerdictRechecks
from hashscan.errors import HashscanError
from hashscan.jobs.recheck_verdicts import RecheckRound
from hashscan.jobs.restore_withdrawn import PutBack
from hashscan.model import Digest
from hashscan.state import State

DIGEST = Digest("sha1", "0" * 40)


class Job:
    """A job that has ended."""

    begun: ClassVar = []
    closed: ClassVar = []
    results: ClassVar = {}

    def __init__(self, job):
        self.connection = object()
        self.job = job
        Job.begun.append(job)

    def take(self):
        name = self.job.func.__name__
        return Job.results[name].pop(0) if Job.results[name] else RecheckRound()

    def close(self):
        self.closed.append(self.job.func.__name__)


@pytest.fixture
def clock(monkeypatch):
    now = SimpleNamespace(seconds=1000.0)
    monkeypatch.setattr(module.time, "monotonic", lambda: now.seconds)
    monkeypatch.setattr(module, "Background", Job)
    Job.begun, Job.closed, Job.results = [], [], {"ask_again": [], "put_back": []}
    return now


def made(tmp_path, **quarantine):
    out = io.StringIO()
    settings = Settings.of(
        state=str(tmp_path / "state"), quarantine={"action": "quarantine", **quarantine}
    )
    one = VerdictRechecks(settings, Log(out, out), State(str(tmp_path / "state")))
    one.out = out
    return one


def session(name="filters 1"):
    forgotten = []
    retry = SimpleNamespace(forget=forgotten.extend)
    return SimpleNamespace(known=SimpleNamespace(name=name), retry=retry, forgotten=forgotten)


def names():
    return [one.func.__name__ for one in Job.begun]


def take(one):
    one.take(one.connections)


def test_a_round_an_hour_and_one_with_each_new_filter(tmp_path, clock):
    one, now = made(tmp_path), session()
    one.step(None)
    assert names() == []
    for _ in range(3):
        one.step(now)
    assert names() == ["ask_again"], "one at a time"
    directory, state, known, interval, recorder = Job.begun[0].args
    assert (directory, known, interval) == (f"{state.directory}/quarantine", now.known, 86400.0)
    assert recorder.who.by == "daemon"
    take(one)
    one.step(now)
    assert len(names()) == 1
    one.step(session("filters 2"))
    assert len(names()) == 2
    take(one)
    clock.seconds += 3600
    one.step(session("filters 2"))
    assert len(names()) == 3


def test_nobody_is_asked_without_an_interval(tmp_path, clock):
    one = made(tmp_path, ask_again="none")
    one.step(session())
    assert names() == []


def test_what_could_not_be_marked_is_marked_a_minute_later(tmp_path, clock):
    one, now = made(tmp_path), session()
    Job.results["ask_again"] = [
        RecheckRound(withdrawn=1, files=2, unmarked="/q: no space; free some")
    ]
    one.step(now)
    take(one)
    said = one.out.getvalue()
    assert "not all withdrawn files could be marked: /q: no space; free some; tried again" in said
    clock.seconds += 60
    one.step(now)
    assert len(names()) == 2


def test_what_is_left_is_asked_a_minute_later(tmp_path, clock):
    one, now = made(tmp_path), session()
    Job.results["ask_again"] = [RecheckRound(more=True, trouble="the service is down")]
    one.step(now)
    take(one)
    assert "not all digests could be asked for again: the service is down" in one.out.getvalue()
    clock.seconds += 60
    one.step(now)
    assert len(names()) == 2


def test_a_large_quarantine_is_read_less_often(tmp_path, clock):
    one, now = made(tmp_path), session()
    Job.results["ask_again"] = [RecheckRound(more=True, seconds=100.0)]
    one.step(now)
    take(one)
    for seconds, rounds in ((4999, 1), (1, 2)):
        clock.seconds += seconds
        one.step(now)
        assert len(names()) == rounds


def test_unknown_digests_are_forgotten_and_withdrawals_reported(tmp_path, clock):
    one, now = made(tmp_path), session()
    Job.results["ask_again"] = [
        RecheckRound(unknown=[DIGEST], withdrawn=1, files=2000, held=3, why="W?")
    ]
    one.step(now)
    take(one)
    assert now.forgotten == [DIGEST]
    text = one.out.getvalue()
    assert "1 digest with 2,000 files withdrawn" in text
    assert "restore --withdrawn" in text
    assert "3 digests turned unknown, and nothing is withdrawn: W?" in text
    assert "--accept" in text
    one.step(now)
    assert names() == ["ask_again"], "an administrator restores"


def test_files_are_restored_in_turns_if_so_configured(tmp_path, clock):
    one, now = made(tmp_path, restore_withdrawn="auto"), session()
    failed = PutBack(done=500, failed={"1": "a: another file"}, reasons=Counter(taken=1), left=700)
    Job.results["put_back"] = [failed, PutBack(done=700)]
    one.step(now)
    assert names() == ["ask_again", "put_back"]
    take(one)
    text = one.out.getvalue()
    assert "500 withdrawn files restored, 700 follow" in text
    assert "1 withdrawn file not restored (1 taken)" in text
    one.step(now)
    assert names() == ["ask_again", "put_back"]
    clock.seconds += 10
    one.step(now)
    directory, seconds, waiting, recorder, state = Job.begun[-1].args
    assert directory == os.fsencode(tmp_path / "state" / "quarantine")
    assert (seconds, state.directory) == (20.0, str(tmp_path / "state"))
    assert waiting == frozenset({"1"}), "not tried again in this series"
    assert recorder.who.by == "daemon"
    take(one)
    clock.seconds += 3600
    one.step(now)
    assert Job.begun[-1].args[2] == frozenset(), "tried again after an hour"


def test_withdrawn_files_are_restored_immediately_if_so_configured(tmp_path, clock):
    one, now = made(tmp_path, restore_withdrawn="auto"), session()
    one.step(now)
    Job.results["put_back"] = [PutBack(notices=["record 7: no such file"])]
    take(one)
    assert "warning: quarantine: record 7: no such file" in one.out.getvalue()
    clock.seconds += 60
    Job.results["ask_again"] = [RecheckRound(withdrawn=2, files=1)]
    one.step(session("filters 2"))
    take(one)
    words = "2 digests with 1 file withdrawn: the service does not know them any more; hashscan"
    assert f"{words} restores them" in one.out.getvalue()
    one.step(session("filters 2"))
    assert names() == ["ask_again", "put_back", "ask_again", "put_back"]


def test_files_that_are_never_restored_are_tried_less_and_less_often(tmp_path, clock):
    one, now = made(tmp_path, restore_withdrawn="auto"), session()
    hours = []
    for hour in range(24 * 4):
        Job.results["put_back"] = [PutBack(failed={"1": "taken"}, reasons=Counter(taken=1))]
        one.step(now)
        if "1" in Job.begun[-1].args[2]:
            Job.results["put_back"] = [PutBack()]
        else:
            hours.append(hour)
        clock.seconds += 5  # a turn takes time
        take(one)
        clock.seconds += 3595
    assert hours == [0, 1, 3, 7, 15, 31, 55, 79], "after 1, 2, 4, 8, 16, 24, 24 hours"
    clock.seconds += 3 * 86400
    one.step(now)
    assert Job.begun[-1].args[2] == frozenset()
    assert one._waits._next == {}, "no file is kept that nobody reports any more"


def test_another_file_that_fails_does_not_wait_for_the_first_one(tmp_path, clock):
    one, now = made(tmp_path, restore_withdrawn="auto"), session()
    Job.results["put_back"] = [
        PutBack(failed={"1": "taken"}, reasons=Counter(taken=1)),
        PutBack(failed={"1": "taken", "2": "taken"}, reasons=Counter(taken=2)),
        PutBack(),
    ]
    for skipped in (set(), set(), {"1"}):
        one.step(now)
        assert Job.begun[-1].args[2] == skipped
        take(one)
        clock.seconds += 3600


def test_a_failure_is_logged_and_the_next_round_comes(tmp_path, clock, monkeypatch):
    one, now = made(tmp_path, restore_withdrawn="auto"), session()
    Job.results = {"ask_again": [Failure("x", "disk full")], "put_back": [Failure("x", "locked")]}
    one.step(now)
    take(one)
    assert "disk full" in one.out.getvalue()
    assert "locked" in one.out.getvalue()
    clock.seconds += 3600
    one.step(now)
    assert len(names()) == 4


def test_a_reload_ends_jobs_and_begins_again(tmp_path, clock):
    one = made(tmp_path, restore_withdrawn="auto")
    one.step(session())
    assert len(one.connections) == 2
    one.use(Settings.of(state=str(tmp_path / "state"), quarantine={"ask_again": "none"}))
    assert one.connections == []
    assert sorted(Job.closed) == ["ask_again", "put_back"]
    one.step(session())
    assert len(names()) == 2


def test_a_job_that_cannot_begin_is_logged_and_tried_a_minute_later(tmp_path, clock, monkeypatch):
    one, now = made(tmp_path, restore_withdrawn="auto"), session()

    def refuses(_job):
        raise HashscanError("no process can be started")

    monkeypatch.setattr(module, "Background", refuses)
    one.step(now)
    assert "warning: quarantine: no process can be started" in one.out.getvalue()
    assert one.connections == []
    monkeypatch.setattr(module, "Background", Job)
    clock.seconds += 59
    one.step(now)
    assert names() == []
    clock.seconds += 1
    one.step(now)
    assert sorted(names()) == ["ask_again", "put_back"]


@pytest.mark.parametrize(
    ("closed", "words"),
    [([], None), (["H1"], "H1 closed: no digest of it is"), (["H1", "H2"], "H1, H2 closed: no digest of them is")],
)  # fmt: skip
def test_holds_that_a_round_closed_are_named(tmp_path, clock, closed, words):
    one = made(tmp_path)
    Job.results["ask_again"] = [RecheckRound(closed=closed)]
    one.step(session())
    take(one)
    told = one.out.getvalue()
    assert words in told if words else told == ""
