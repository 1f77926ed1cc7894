"""hashscan.scan.pool: the start of worker processes, and workers that die immediately."""

import ctypes
import errno
import os
import signal
from multiprocessing import Pipe
from types import SimpleNamespace

import pytest
from faulty import open_descriptors
from scanning import options_of

from hashscan.errors import HashscanError, StateError
from hashscan.scan import pool as pool_module
from hashscan.scan.messages import Failed, Task, WorkerSettings
from hashscan.scan.pool import Pool

_PR_GET_PDEATHSIG = 2


@pytest.fixture
def pool_of(monkeypatch):
    """Makes a pool of one worker process that runs ``job`` instead of its work."""
    made = []

    def make(job, *, step_aside=False):
        monkeypatch.setattr(pool_module, "run", job)
        settings = WorkerSettings(options_of(step_aside=step_aside), (), "", judged=1, scan=1)
        made.append(Pool(settings, before_fork=lambda: None))
        return made[-1]

    yield make
    for one in made:
        one.close()


def tell_surroundings(connection, *_):
    death = ctypes.c_int()
    ctypes.CDLL(None).prctl(_PR_GET_PDEATHSIG, ctypes.byref(death))
    ignored = signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    connection.send((death.value, ignored, os.getpriority(os.PRIO_PROCESS, 0)))
    connection.recv()


def said(pool):
    while True:
        for _, message in pool.receive([], 20):
            return message


@pytest.mark.parametrize("step_aside", [False, True])
def test_a_worker_process_dies_with_its_parent_and_steps_aside_if_asked(pool_of, step_aside):
    nice = 19 if step_aside else os.getpriority(os.PRIO_PROCESS, 0)
    pool = pool_of(tell_surroundings, step_aside=step_aside)
    assert said(pool) == (signal.SIGKILL, True, nice)


def test_processes_that_die_as_they_start_are_not_started_for_ever(pool_of):
    pool = pool_of(lambda *_: os._exit(3))
    with pytest.raises(
        HashscanError, match=r"as they started, (\d+) times.*exit status 3"
    ) as error:
        for _ in range(50):
            list(pool.receive([], 20))
    assert f"{pool_module._MOST_FAILED_STARTS} times in a row" in str(error.value)


def test_one_that_said_something_did_not_die_as_it_started(pool_of):
    pool = pool_of(lambda connection, *_: (connection.send("here"), os._exit(3)))
    deaths = 0
    while deaths <= pool_module._MOST_FAILED_STARTS:
        deaths += sum(message is None for _, message in pool.receive([], 20))


def test_failed_starts_are_counted_from_the_last_that_succeeded(pool_of, tmp_path):
    def job(connection, *_):
        started = len(os.listdir(tmp_path))
        (tmp_path / str(started)).touch()
        if started != 3:
            os._exit(3)
        connection.send("here")
        os._exit(0)

    pool = pool_of(job)
    deaths = 0
    with pytest.raises(HashscanError, match="5 times in a row"):
        while True:
            for _, message in pool.receive([], 20):
                deaths += message is None
    assert deaths == 3 + 1 + 4


class Process:
    """A worker process that does nothing; its connection never has a message."""

    exit_code = None

    def __init__(self, *_given, **_options):
        self.connection, self.other = Pipe()
        self.ended = []

    def kill(self):
        self.ended.append("kill")

    def wait(self, seconds):
        self.ended.append(f"wait {seconds:.0f}")

    def end(self):
        self.ended.append("end")

    def close(self):
        self.connection.close()
        self.other.close()


@pytest.fixture
def process_of(monkeypatch):
    """A function that starts a pool of ``jobs`` processes; the list of those that were started."""
    started = []

    def make(*given, **options):
        if len(started) == make.most:
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        started.append(Process(*given, **options))
        return started[-1]

    def start(jobs, *, most=99, **options):
        make.most = most
        monkeypatch.setattr(pool_module, "Child", make)
        settings = WorkerSettings(options_of(jobs=jobs, **options), (), "", judged=1, scan=1)
        return Pool(settings, before_fork=lambda: None)

    yield start, started
    for one in started:
        one.close()


def test_if_the_kernel_starts_no_more_processes_the_others_are_ended(process_of):
    start, started = process_of
    before = open_descriptors()
    with pytest.raises(OSError, match="unavailable"):
        start(3, most=2)
    assert [one.ended for one in started] == [["kill", "end"]] * 2
    for one in started:
        one.close()
    assert open_descriptors() <= before


def test_a_process_that_gives_no_sign_of_life_is_killed_and_then_left_behind(
    process_of, monkeypatch
):
    start, started = process_of
    now = [100.0]
    monkeypatch.setattr(pool_module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    pool = start(2, stall_after=50.0)
    busy, idle = pool.workers
    pool.give(busy, [Task(1, 7, 1, b"", fresh=True)])

    def look(at):
        now[0] = at
        return [(worker, message) for worker, message in pool.receive([], 0)]

    assert look(149.9) == []
    assert (pool.silent(49.0), pool.silent(50.0)) == ({7}, set())
    assert look(150.0) == []
    assert (busy.stalled, started[0].ended) == (True, ["kill"])
    assert look(154.9) == []
    busy.started = True
    assert look(155.0) == [(busy, None)]
    assert started[0].ended == ["kill", "end"], "it does not end, so nothing waits for it"
    assert pool.workers[0] is idle
    assert (len(pool.workers), len(started), started[1].ended) == (2, 3, [])
    pool.close()


def test_processes_on_a_volume_that_is_given_up_are_replaced_immediately(process_of):
    start, started = process_of
    pool = start(3)
    for worker, volumes in zip(pool.workers, ([7, 8], [8, 7], []), strict=True):
        worker.tasks = [Task(1, volume, 1, b"", fresh=True) for volume in volumes]
    pool.give_up(7)
    assert list(pool.receive([], 0)) == []
    assert [one.ended for one in started] == [["kill"], [], []]
    pool.close()


@pytest.mark.parametrize(
    ("failed", "kind"),
    [
        (Failed("StateError", "the catalog is damaged"), StateError),
        (Failed("SomethingElse", "the catalog is damaged"), HashscanError),
    ],
)
def test_the_reason_why_a_process_cannot_work_ends_the_scan(pool_of, failed, kind):
    pool = pool_of(lambda connection, *_: (connection.send(failed), connection.recv()))
    with pytest.raises(HashscanError, match="the catalog is damaged") as error:
        said(pool)
    assert type(error.value) is kind


@pytest.mark.parametrize("count", [0, 1, 255, 256])
def test_the_number_of_idle_processes_fits_into_one_byte(process_of, count):
    start, _ = process_of
    pool = start(1)
    pool.tell_idle(count)
    assert pool._idle[0] == min(count, 255)
    pool.close()
