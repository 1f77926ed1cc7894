"""The daemon's processes end with it, step aside, and hold nothing of it; all are real forks."""

import multiprocessing
import os
import signal
import time
from types import SimpleNamespace

import pytest

from hashscan import priority
from hashscan.daemon.background_job import Background, Failure, Repeated
from hashscan.daemon.quarantine_process import ActingProcess
from hashscan.jobs.volume_probe import Probes
from hashscan.model import Acted

MATCH = SimpleNamespace(candidate=SimpleNamespace(volume=b"/v", full_path=b"/v/x"))


def never(_volume):
    return False


def background(job):
    """Start ``job`` in one of the processes; returns the object that has started it."""
    return Background(job)


def repeated(job):
    one = Repeated(lambda _order: job())
    assert one.give("order") is True
    return one


def acting(job):
    class Acts:
        def act(self, _match):
            job()
            return Acted("quarantined")

    one = ActingProcess(
        Acts(), tick=lambda _goes_on: None, before_fork=lambda: None, is_silent=never
    )
    one._child.connection.send(MATCH)
    return one


KINDS = pytest.mark.parametrize("begin", [background, repeated, acting])


def readable(fd, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            return os.read(fd, 4096)
        except BlockingIOError:
            time.sleep(0.005)
    return None


@KINDS
def test_it_ends_with_the_daemon_however_that_ends(begin):
    # The pipe ends when no process has it open any more.
    here, there = os.pipe()
    os.set_blocking(here, False)
    daemon = os.fork()
    if daemon == 0:
        os.close(here)

        def job():
            os.write(there, b"x")
            time.sleep(30)

        begin(job)
        time.sleep(30)
        os._exit(0)
    os.close(there)
    try:
        assert readable(here) == b"x"
        os.kill(daemon, signal.SIGKILL)
        os.waitpid(daemon, 0)
        assert readable(here) == b"", "it is still there"
    finally:
        os.close(here)


@KINDS
def test_what_a_terminal_sends_to_all_is_for_the_daemon(begin):
    here, there = os.pipe()
    os.set_blocking(here, False)

    def job():
        for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(os.getpid(), name)
        os.write(there, b"x")

    one = begin(job)
    os.close(there)
    assert readable(here) == b"x"
    one.close()
    os.close(here)


def sockets():
    """The sockets that this process has open."""
    links = (f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd"))
    return sorted(os.readlink(one) for one in links if os.path.lexists(one))


@pytest.mark.parametrize("begin", [repeated, acting])
def test_it_does_not_have_the_daemons_end_of_its_connection(begin):
    here, there = os.pipe()
    os.set_blocking(here, False)
    one = begin(lambda: os.write(there, "\n".join(sockets()).encode()))
    os.close(there)
    found = readable(here).decode().split("\n")
    mine = one._child.connection
    assert os.readlink(f"/proc/self/fd/{mine.fileno()}") not in found
    one.close()
    os.close(here)


@KINDS
def test_its_end_releases_all_that_it_needed(begin):
    before, children = sockets(), len(multiprocessing.active_children())
    one = begin(lambda: time.sleep(300))
    assert len(sockets()) == len(before) + 3, "its connection, and two of multiprocessing"
    began = time.monotonic()
    one.close()
    assert time.monotonic() - began < 60
    assert sockets() == before
    assert len(multiprocessing.active_children()) == children
    one.close()


@pytest.mark.parametrize("begin", [background, repeated])
def test_jobs_step_aside(begin):
    one = begin(lambda: os.getpriority(os.PRIO_PROCESS, 0))
    assert one.take() == priority._NICE
    one.close()


def test_one_that_checks_volumes_steps_aside(tmp_path):
    probes = Probes([str(tmp_path)])
    probes.ask(0)
    (prober,) = probes._probers.values()
    assert prober.connection.poll(20)
    assert os.getpriority(os.PRIO_PROCESS, prober._child.pid) == priority._NICE
    probes.close()


def test_a_repeated_job_keeps_its_state_and_fails_without_ending():
    state = []

    def job(order):
        state.append(order)
        if order == "fails":
            raise KeyError("x")
        return list(state)

    one = Repeated(job)
    pid = one.process_id
    found = []
    for order in (1, "fails", 3):
        assert one.give(order)
        found.append(one.take())
    assert found == [[1], Failure("Exception", "KeyError: 'x'"), [1, "fails", 3]]
    assert one.process_id == pid
    os.kill(pid, signal.SIGKILL)
    failure = one.take()
    assert failure.kind == "HashscanError"
    assert "the process that did it died (exit status -9); see the kernel's log" in failure.message
    assert one.give(4) is False
    one.close()
    assert state == [], "the process has a state of its own"


def test_a_job_may_start_processes():
    def job(_order=None):
        inner = Background(lambda: 5)
        return inner.take()

    one = Background(job)
    assert one.take() == 5
    one = Repeated(job)
    one.give(None)
    assert one.take() == 5
    one.close()


def test_the_catalog_is_committed_before_each_fork_and_the_match_is_acted_on_in_the_other_process():
    forks = []

    class Acts:
        def act(self, match):
            if match.candidate.full_path == b"/v/dies":
                os._exit(3)
            return Acted("quarantined", str(os.getpid()))

    one = ActingProcess(
        Acts(), tick=lambda _goes_on: None, before_fork=lambda: forks.append(1), is_silent=never
    )
    assert forks == [1]
    first = one.act(MATCH)
    assert first.quarantine_id == str(one._child.pid) != str(os.getpid())
    dies = SimpleNamespace(candidate=SimpleNamespace(volume=b"/v", full_path=b"/v/dies"))
    assert one.act(dies).problem == "died"
    assert forks == [1, 1]
    assert one.act(MATCH).quarantine_id != first.quarantine_id
    one.close()


def test_whether_an_action_goes_on_is_reported_several_times_a_second():
    class Works:
        def act(self, match):
            end = time.monotonic() + 0.7
            while time.monotonic() < end:
                if match.candidate.full_path == b"/v/x":
                    sum(range(10_000))
                else:
                    time.sleep(0.01)
            return Acted("quarantined")

    ticks = []
    one = ActingProcess(Works(), tick=ticks.append, before_fork=lambda: None, is_silent=never)
    one.act(MATCH)
    assert 2 <= len(ticks) <= 4
    assert ticks[0] is True
    one.close()


def test_an_action_is_given_up_only_if_its_volume_does_not_answer():
    class Hangs:
        def act(self, _match):
            time.sleep(30)

    answers = iter([False, True])
    asked = []

    def is_silent(volume):
        asked.append((volume, time.monotonic()))
        return next(answers)

    one = ActingProcess(
        Hangs(),
        tick=lambda _goes_on: None,
        before_fork=lambda: None,
        is_silent=is_silent,
        still=0.5,
    )
    pid = one._child.pid
    acted = one.act(MATCH)
    assert (acted.action, acted.problem) == ("reported", "no-answer")
    assert acted.message == "/v/x: could not be moved to quarantine: its volume does not answer"
    assert [volume for volume, _ in asked] == [b"/v"] * 2
    assert asked[1][1] - asked[0][1] > 0.5, "a disk may take its time"
    assert one._child.pid != pid
    assert not os.path.exists(f"/proc/{pid}")
    one.close()
