"""Sets the lowest priority for a process, because the work of customers' programs comes first."""

from __future__ import annotations

import ctypes
import os
import platform

_NICE = 19
#: Number of the system call ioprio_set(2), by architecture; the C library has no function for it.
_IOPRIO_SET = {"x86_64": 251, "aarch64": 30, "riscv64": 30}
_WHO_PROCESS = 1
_CLASS_IDLE = 3 << 13


def step_aside() -> list[str]:
    """Give this process, and its later children, the lowest CPU and I/O priority.

    Returns:
        each priority that could not be set, with the reason; a service manager may forbid the
        change.
    """
    trouble = []
    try:
        os.setpriority(os.PRIO_PROCESS, 0, _NICE)
    except OSError as error:
        trouble.append(f"nice {_NICE}: {error.strerror}")
    try:
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    except OSError as error:
        trouble.append(f"batch scheduling: {error.strerror}")
    number = _IOPRIO_SET.get(platform.machine())
    if number is None:
        trouble.append(f"idle I/O class: not known how on {platform.machine()}")
        return trouble
    syscall = ctypes.CDLL(None, use_errno=True).syscall
    if syscall(number, _WHO_PROCESS, 0, _CLASS_IDLE) < 0:
        trouble.append(f"idle I/O class: {os.strerror(ctypes.get_errno())}")
    return trouble
