"""Removes leftovers: temporary files and directories of a killed hashscan process.

The process that creates a temporary file or directory locks it (flock(2)). The kernel releases the
lock if the process is killed. The next hashscan process that makes a temporary name for the same
file removes the leftovers.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import time
from typing import TYPE_CHECKING

from hashscan.fs.beneath import closing, identity_of
from hashscan.fs.reading import identity_in

if TYPE_CHECKING:
    from collections.abc import Callable

_FLAGS = os.O_NONBLOCK | os.O_NOFOLLOW | os.O_NOCTTY | os.O_CLOEXEC
#: Seconds for which an empty file or directory is kept: its maker may not have locked it yet.
_EMPTY_FOR = 60.0


def hold(fd: int) -> None:
    """Lock a new temporary file or directory until all descriptors of this opening are closed."""
    # On a file system without locks, no process removes leftovers.
    with contextlib.suppress(OSError):
        fcntl.flock(fd, fcntl.LOCK_EX)


def remove_leftovers(above: int, is_own: Callable[[str], bool]) -> None:
    """Remove the files and directories in a directory that this user's killed processes left.

    Args:
        above: descriptor of the directory; a descriptor that was opened with O_PATH works, too.
        is_own: returns whether a name has a form that only hashscan uses.
    """
    with (
        contextlib.suppress(OSError),
        closing(os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=above)) as fd,
    ):
        for name in filter(is_own, os.listdir(fd)):
            with contextlib.suppress(OSError):
                _remove(fd, name)


def _remove(above: int, name: str) -> None:
    """Remove a temporary file or directory, unless another user owns it or its maker still runs.

    Raises:
        OSError: the file or directory cannot be removed; BlockingIOError: its maker still works on
            it.
    """
    status = os.stat(name, dir_fd=above, follow_symlinks=False)
    is_directory = stat.S_ISDIR(status.st_mode)
    if not (is_directory or stat.S_ISREG(status.st_mode)) or status.st_uid != os.geteuid():
        return
    kind = os.O_RDONLY | os.O_DIRECTORY if is_directory else os.O_RDWR
    fd = os.open(name, kind | _FLAGS, dir_fd=above)
    with closing(fd):
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        status = os.fstat(fd)
        entries = os.listdir(fd) if is_directory else []
        if not (entries if is_directory else status.st_size) and (
            time.time() - status.st_ctime < _EMPTY_FOR
        ):
            return
        if identity_of(fd) != identity_in(os.stat(name, dir_fd=above, follow_symlinks=False)):
            return
        for one in entries:
            os.unlink(one, dir_fd=fd)
        if is_directory:
            os.rmdir(name, dir_fd=above)
        else:
            os.unlink(name, dir_fd=above)
