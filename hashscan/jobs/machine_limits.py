"""Recognises and raises limits of the machine: the daemon reports a limit and tries again."""

from __future__ import annotations

import errno
import resource
from contextlib import suppress

from hashscan.machine import explain

_LIMITS = frozenset({errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM})


def is_limit(error: BaseException) -> bool:
    """Return whether an error shows that a limit of the machine is reached."""
    if isinstance(error, OSError):
        return error.errno in _LIMITS
    return isinstance(error, MemoryError)


def limit_reached(error: BaseException) -> str:
    """Return a message that names the reached limit of the machine, and how to raise it."""
    return explain(error) or str(error)


def raise_open_files() -> None:
    """Raise the limit of open files of this process and its children to the hard limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
