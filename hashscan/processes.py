"""What every process that hashscan forks does first, and how it is ended."""

from __future__ import annotations

import ctypes
import os
import signal
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

_PR_SET_PDEATHSIG = 1
_prctl = ctypes.CDLL(None, use_errno=True).prctl


def end_with(parent: int) -> None:
    """Have the kernel end this process when ``parent``, which forked it, ends, however it ends.

    Signals that a terminal or a service manager sends to all processes are for the parent, which
    ends this one in its own time, by SIGKILL. Source: prctl(2), PR_SET_PDEATHSIG.
    """
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it ended before the kernel was asked
        os._exit(0)


def start(process: BaseProcess) -> None:
    """Start a process by fork; if that fails, no descriptor is left open.

    The calling process must have only one thread.

    Raises:
        OSError: a limit of the machine forbids it.
    """
    ends: list[int] = []
    try:
        for _ in range(2):
            ends += os.pipe()
    finally:
        for one in ends:
            os.close(one)
    try:
        process.start()
    except OSError:
        # multiprocessing makes two pipes before it forks, and keeps them if the fork fails. They
        # have the numbers that were free a moment ago.
        for one in ends:
            with suppress(OSError):
                os.close(one)
        raise


def end(process: BaseProcess) -> None:
    """End a process that was forked, within seconds, and release its descriptors at once.

    A process that does not end waits inside the kernel, e.g. for a dead file server; it is
    abandoned. Nothing is done if the process has ended before, or its start failed.
    """
    try:
        if process.pid is None:
            return
    except ValueError:  # it was closed
        return
    process.kill()
    process.join(timeout=2)
    if not process.is_alive():
        process.close()
