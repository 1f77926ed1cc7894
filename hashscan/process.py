"""What every process that hashscan forks does first, and how it is ended."""

from __future__ import annotations

import ctypes
import os
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

_PR_SET_PDEATHSIG = 1
_prctl = ctypes.CDLL(None, use_errno=True).prctl


def end_with(parent: int) -> None:
    """Have the kernel end this process when ``parent``, which forked it, ends, however it ends.

    Signals that a terminal or a service manager sends to all processes are for the parent, which
    ends this one in its own time. Source: prctl(2), PR_SET_PDEATHSIG.
    """
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it ended before the kernel was asked
        os._exit(0)


def end(process: BaseProcess) -> None:
    """End a process that was forked, within seconds, and release its descriptors at once.

    One that does not end waits inside the kernel, e.g. for a dead file server; it is left behind.
    """
    process.terminate()
    process.join(timeout=2)
    if process.is_alive():
        process.kill()
        process.join(timeout=0.1)
    if not process.is_alive():
        process.close()
