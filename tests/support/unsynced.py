"""Writes that do not wait for the disk: no test takes the power away.

That each fsync comes before what relies on it is shown by the order of the calls (``syncs``).
"""

import errno
import fcntl
import os

#: For what needs the content on the disk, e.g. to drop its pages from the memory.
fsync = os.fsync


def install():
    """Let this process, and what it forks, leave out fsync and fdatasync."""
    os.fsync = os.fdatasync = _check


def _check(fd):
    """Raise what fsync raises for a descriptor that is closed or only names a file."""
    if fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_PATH:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
