"""Racy stamps: whether a file can change from now on and keep the stamp that it has.

The rule of git and borg (racy timestamps), by ctime, which an owner cannot set; and beyond it a
mapping that was written before and still is.
"""

from __future__ import annotations

import fcntl
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hashscan.fs.reading import CacheNeutralReader

#: Nanoseconds: a stamp younger than this, when the read began, may hide a later change. File
#: systems that keep whole seconds, or two, are recognised by their stamps.
_FINE = 100_000_000
_COARSE = 2_000_000_000
#: Nanoseconds since the last change after which a writer is not searched for: the kernel writes
#: dirty pages back within about half a minute, and a page written back gets a new stamp when it
#: changes. (File systems in memory write nothing back: there a writer is always searched for.)
_WRITTEN_BACK = 3_600_000_000_000


def is_racy(fd: int, changed: int, device: int, started: int, reader: CacheNeutralReader) -> bool:
    """Whether an open file can change from now on and keep its stamp.

    Args:
        fd: of the file.
        changed: its ctime in nanoseconds.
        device: its device.
        started: when its read began, in nanoseconds.
        reader: knows whether the device's files are in memory.
    """
    age = started - changed
    is_coarse = changed % 1_000_000_000 == 0
    if age < (_COARSE if is_coarse else _FINE):
        return True
    is_written_back = age >= _WRITTEN_BACK and not reader.is_plain(device)
    return not is_written_back and bool(has_writer(fd))


class _Process:
    """What holds for the whole of this process."""

    ignores_lease_breaks = False


def ignore_lease_breaks() -> None:
    """Let this process ignore the signal that would otherwise kill it when a lease is broken.

    Saves ``has_writer`` a call for each file. Only from the main thread, and for processes that
    do nothing else with SIGIO; a fork inherits it.
    """
    signal.signal(signal.SIGIO, signal.SIG_IGN)
    _Process.ignores_lease_breaks = True


def has_writer(fd: int) -> bool | None:
    """Whether somebody has the file open, or mapped, for writing at this moment.

    A shared mapping can change a page that is already dirty without a new time stamp, so a file
    with a writer may change under its stamp. Asked by trying for a read lease (fcntl(2),
    F_SETLEASE), which the kernel grants only without writers and which is given back at once.

    Returns:
        ``None`` where leases are not to be had (another owner's file, some network file systems):
        nobody can tell, and the stamp is all there is.
    """
    try:
        # A process that opens the file in this instant makes the kernel signal the lease's holder:
        # by SIGURG, which is ignored unless someone asks for it, instead of SIGIO, which kills.
        if not _Process.ignores_lease_breaks:
            fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except BlockingIOError:
        return True
    except OSError:
        return None
    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False
