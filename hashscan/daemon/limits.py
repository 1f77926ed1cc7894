"""Limits of the machine that the daemon outlives: it reports them, and tries again."""

from __future__ import annotations

import errno
import resource
from contextlib import suppress

_LIMITS = {
    errno.EMFILE: "the limit of open files of a process is reached (LimitNOFILE= in the unit, or"
    " ulimit -n)",
    errno.ENFILE: "the limit of open files of the whole system is reached (sysctl fs.file-max)",
    errno.EAGAIN: "no more processes may be started (TasksMax= in the unit, ulimit -u, or"
    " sysctl kernel.pid_max)",
    errno.ENOMEM: "there is not enough memory (MemoryMax= in the unit, or the machine's)",
}


def is_limit(error: BaseException) -> bool:
    """Whether an error says that a limit of the machine is reached, which may pass."""
    if isinstance(error, OSError):
        return error.errno in _LIMITS
    return isinstance(error, MemoryError)


def limit_reached(error: BaseException) -> str:
    """Say which limit is reached, and how to raise it."""
    number = error.errno if isinstance(error, OSError) else None
    return _LIMITS[number or errno.ENOMEM]


def raise_open_files() -> None:
    """Let this process, and those it starts, open as many files as its hard limit allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
