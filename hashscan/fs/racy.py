"""Finds racy stamps: the file's content can still change without a change of its stamp.

git and borg have the same rule (racy timestamps); hashscan applies the rule to the ctime, which a
file's owner cannot set. In addition, a file that a process has open or mapped for writing is racy.
"""

from __future__ import annotations

import fcntl
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hashscan.fs.reading import CacheNeutralReader

#: If a file changed less than this number of nanoseconds before it was read, its stamp may stay the
#: same after another change. ``_COARSE`` is the number for file systems with stamps of one or two
#: whole seconds.
_FINE = 100_000_000
_COARSE = 2_000_000_000
#: Nanoseconds after the last change from which on writers do not matter. The kernel writes changed
#: pages to the disk within about half a minute. When a page changes after that, the file gets a new
#: stamp. (File systems in memory write nothing to a disk: there writers always matter.)
_WRITTEN_BACK = 3_600_000_000_000


def is_racy(fd: int, changed: int, device: int, started: int, reader: CacheNeutralReader) -> bool:
    """Whether the content of an open file can still change without a change of its stamp.

    Args:
        fd: descriptor of the file to check.
        changed: ctime of the file to check, in nanoseconds.
        device: device number of the file to check.
        started: time at which reading the file began, in nanoseconds since the epoch.
        reader: says whether the device's files are in memory.
    """
    age = started - changed
    is_coarse = changed % 1_000_000_000 == 0
    if age < (_COARSE if is_coarse else _FINE):
        return True
    is_written_back = age >= _WRITTEN_BACK and not reader.is_plain(device)
    return not is_written_back and bool(has_writer(fd))


class _Process:
    """The setting of this process that ``ignore_lease_breaks`` changes."""

    ignores_lease_breaks = False


def ignore_lease_breaks() -> None:
    """Let this process ignore SIGIO, which would kill the process when a lease is broken.

    Ignoring SIGIO saves a system call in each ``has_writer``. Call ``ignore_lease_breaks`` only
    from the main thread, in a process that does not use SIGIO. Forked processes inherit the
    setting.
    """
    signal.signal(signal.SIGIO, signal.SIG_IGN)
    _Process.ignores_lease_breaks = True


def has_writer(fd: int) -> bool | None:
    """Whether a process has a file open or mapped for writing now.

    After a process has changed a mapped page, it can change the page again without a new stamp.
    This function takes a read lease (fcntl(2), F_SETLEASE) and gives the lease back immediately:
    the kernel grants a read lease only if no process has the file open for writing.

    Returns:
        ``None``: unknown, because the kernel grants no lease for this file (another owner's file,
        or some network file systems).
    """
    try:
        # If a process opens the file while the lease is held, the kernel sends this process a
        # signal. SIGURG is ignored by default; the usual SIGIO would kill this process.
        if not _Process.ignores_lease_breaks:
            fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except BlockingIOError:
        return True
    except OSError:
        return None
    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False
