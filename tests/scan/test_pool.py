"""hashscan.scan.pool: the start of worker processes, and workers that die immediately."""

import ctypes
import os
import signal

import pytest
from scanning import options_of

from hashscan.errors import HashscanError
from hashscan.scan import pool as pool_module
from hashscan.scan.messages import WorkerSettings
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
        try:
            os.mkdir(tmp_path / "began")
        except FileExistsError:
            os._exit(3)
        connection.send("here")
        os._exit(0)

    pool = pool_of(job)
    deaths = 0
    with pytest.raises(HashscanError, match="5 times in a row"):
        while True:
            for _, message in pool.receive([], 20):
                deaths += message is None
    assert deaths == 1 + 4
