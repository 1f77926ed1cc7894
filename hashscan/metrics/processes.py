"""Memory and CPU time of the daemon's processes, from /proc (proc(5))."""

from __future__ import annotations

import os
from typing import NamedTuple

_TICKS = os.sysconf("SC_CLK_TCK")
#: Indices of fields in /proc/PID/stat, counted from the field after the process's name.
_USER, _SYSTEM, _CHILDREN_USER, _CHILDREN_SYSTEM = 11, 12, 13, 14


class Usage(NamedTuple):
    """Memory and CPU time of one or several processes.

    Attributes:
        memory: proportional set size in bytes: of a page that several processes share, each process
            counts its share.
        cpu: CPU time of the processes in seconds.
    """

    processes: int = 0
    memory: int = 0
    cpu: float = 0.0


def usage_of(pid: int) -> tuple[Usage, Usage]:
    """Return the usage of the process ``pid``, and the usage of all processes below it.

    The CPU time of the processes below ``pid`` includes processes that have ended. If the kernel
    does not list child processes (CONFIG_PROC_CHILDREN), this second usage counts only ended
    processes.
    """
    # The parent's CPU time is read before its children's: otherwise the time of a child that ends
    # in between would count twice.
    own, ended = _times(pid)
    count, memory = 0, 0
    waiting = _children(pid)
    while waiting:
        child = waiting.pop()
        waiting += _children(child)
        count += 1
        memory += _memory(child)
        ended += sum(_times(child))
    return Usage(1, _memory(pid), own), Usage(count, memory, ended)


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:  # the process has ended
        return b""


def _times(pid: int) -> tuple[float, float]:
    """Return the CPU seconds of a process, and of its child processes that have ended."""
    fields = _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    if not fields:
        return 0.0, 0.0
    own = int(fields[_USER]) + int(fields[_SYSTEM])
    ended = int(fields[_CHILDREN_USER]) + int(fields[_CHILDREN_SYSTEM])
    return own / _TICKS, ended / _TICKS


def _children(pid: int) -> list[int]:
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []
    paths = (f"/proc/{pid}/task/{thread}/children" for thread in threads)
    return [int(child) for path in paths for child in _read(path).split()]


def _memory(pid: int) -> int:
    for line in _read(f"/proc/{pid}/smaps_rollup").splitlines():
        if line.startswith(b"Pss:"):
            return int(line.split()[1]) * 1024
    return 0
