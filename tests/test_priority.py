"""hashscan.priority: what the kernel says of it, and what happens if it refuses."""

import ctypes
import errno
import multiprocessing
import os
import platform
from types import SimpleNamespace

import pytest
from faulty import Faulty

from hashscan import priority

_IOPRIO_GET = {"x86_64": 252, "aarch64": 31}


def _look(connection):
    trouble = priority.step_aside()
    syscall = ctypes.CDLL(None, use_errno=True).syscall
    ioprio = syscall(_IOPRIO_GET[platform.machine()], 1, 0)
    connection.send(
        (trouble, os.getpriority(os.PRIO_PROCESS, 0), os.sched_getscheduler(0), ioprio >> 13)
    )


@pytest.mark.skipif(platform.machine() not in _IOPRIO_GET, reason="ioprio_get's number is unknown")
def test_lowest_for_the_processor_and_idle_for_the_disks():
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    process = context.Process(target=_look, args=(theirs,))
    process.start()
    trouble, nice, scheduler, io_class = ours.recv()
    process.join()
    assert trouble == []
    assert (nice, scheduler, io_class) == (19, os.SCHED_BATCH, 3)
    assert os.getpriority(os.PRIO_PROCESS, 0) < 19, "only the process that asked"


class Calls:
    """What is asked of the kernel; some of it is refused."""

    def __init__(self, monkeypatch, *, refused=(), machine="x86_64", answer=0):
        self.made = []

        def call(name):
            def made(*given):
                self.made.append((name, *given))
                if name in refused:
                    raise OSError(errno.EPERM, "Operation not permitted")

            return made

        def syscall(*given):
            self.made.append(("syscall", *given))
            return answer

        monkeypatch.setattr(
            priority,
            "os",
            Faulty(
                os,
                setpriority=call("setpriority"),
                sched_setscheduler=call("sched_setscheduler"),
                sched_param=lambda number: number,
            ),
        )
        monkeypatch.setattr(priority.platform, "machine", lambda: machine)
        library = SimpleNamespace(syscall=syscall)
        ctypes = Faulty(priority.ctypes, CDLL=lambda *_a, **_k: library, get_errno=lambda: 1)
        monkeypatch.setattr(priority, "ctypes", ctypes)


def test_the_lowest_priorities_are_asked_for(monkeypatch):
    calls = Calls(monkeypatch)
    assert priority.step_aside() == []
    assert calls.made == [
        ("setpriority", os.PRIO_PROCESS, 0, 19),
        ("sched_setscheduler", 0, os.SCHED_BATCH, 0),
        ("syscall", 251, 1, 0, 3 << 13),
    ]


@pytest.mark.parametrize(
    ("given", "trouble"),
    [
        ({"refused": {"setpriority"}}, "nice 19: Operation not permitted"),
        ({"refused": {"sched_setscheduler"}}, "batch scheduling: Operation not permitted"),
        ({"machine": "m68k"}, "idle I/O class: not known how on m68k"),
        ({"answer": -1}, "idle I/O class: Operation not permitted"),
    ],
)
def test_what_a_service_manager_forbids_is_reported_and_hinders_nothing_else(
    monkeypatch, given, trouble
):
    calls = Calls(monkeypatch, **given)
    assert priority.step_aside() == [trouble]
    assert len(calls.made) == (2 if "machine" in given else 3)
