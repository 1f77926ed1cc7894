"""hashscan.scan.priority: looked at by what the kernel says."""

import ctypes
import multiprocessing
import os
import platform

import pytest

from hashscan.scan.priority import step_aside

_IOPRIO_GET = {"x86_64": 252, "aarch64": 31}


def _look(connection):
    trouble = step_aside()
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
