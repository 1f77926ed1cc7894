"""Opens the state directory (catalog, filters, quarantine, lock), which no other user can read."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from hashscan import files
from hashscan.errors import LockedError, StateError, UsageError
from hashscan.fs.named import opened_named, resolve, sync_names
from hashscan.text import shown

if TYPE_CHECKING:
    from types import TracebackType


class State:
    """The paths below the state directory; makes a missing state directory with mode 0700.

    Attributes:
        directory: absolute path of the state directory.
        catalog: path of the catalog.
        filters: path of the directory of the stored filters.
        notices: path of the file that stores the notices.
        withdrawn: path of the file that stores the service's answers about quarantined digests.
        holds: path of the file that stores the holds of the brakes.
        dismissed: path of the local allow-list, the digests that an administrator dismissed.
        lock_file: path of the file that a scan locks.
        notices_lock: path of the file that a process locks while the process works on notices.
    """

    def __init__(self, directory: str, *, make: bool = True) -> None:
        """Create the state directory, or check an existing state directory.

        A caller that only reads sets ``make`` to false: then a missing state directory is not
        created.

        Raises:
            UsageError: the state directory belongs to another user, or has files of another
                program; or another user can replace it, by a link or in a directory that this user
                owns.
            StateError: the state directory cannot be created.
        """
        self.directory = resolve(os.path.abspath(directory))
        self.catalog = os.path.join(self.directory, files.CATALOG)
        self.filters = os.path.join(self.directory, files.FILTERS)
        self.notices = os.path.join(self.directory, files.NOTICES)
        self.withdrawn = os.path.join(self.directory, files.WITHDRAWN)
        self.holds = os.path.join(self.directory, files.HOLDS)
        self.dismissed = os.path.join(self.directory, files.ALLOW, files.DISMISSED)
        self.lock_file = os.path.join(self.directory, files.LOCK)
        self.notices_lock = os.path.join(self.directory, files.NOTICES_LOCK)
        if not make and not os.path.lexists(self.directory):
            return
        try:
            fd = self._opened()
            try:
                self._check(fd)
                with suppress(FileExistsError):
                    os.mkdir("filters", 0o700, dir_fd=fd)
                    sync_names(fd)
                os.close(os.open("filters", os.O_RDONLY | os.O_DIRECTORY, dir_fd=fd))
            finally:
                os.close(fd)
        except OSError as error:
            fix = {
                errno.ENOSPC: "free some space there",
                errno.EROFS: "give another one with --state",
                errno.EACCES: "run as root, or as its owner, or give another one with --state",
                errno.ENOTDIR: "give a directory with --state",
                errno.EEXIST: "give a directory with --state",
            }.get(error.errno or 0, "give one that you can write to with --state")
            kind = StateError if error.errno in {errno.ENOSPC, errno.EDQUOT} else UsageError
            raise kind(
                f"the state directory {shown(self.directory)} cannot be used: "
                f"{error.strerror}; {fix}"
            ) from error

    def _opened(self) -> int:
        above, name = os.path.split(self.directory)
        with opened_named(os.fsencode(above), make=0o755) as named:
            # hashscan opens all files in the state directory by path. Only root has customers who
            # might replace the directory.
            if named.unsafe is not None and os.geteuid() == 0:
                raise UsageError(
                    f"root's state directory {shown(self.directory)} may not be where somebody "
                    f"else can replace it: {named.unsafe}; give another with --state, or give that "
                    "one to root"
                )
            with suppress(FileExistsError):
                os.mkdir(name or ".", 0o700, dir_fd=named.fd)
                sync_names(named.fd)
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            return os.open(name or ".", flags, dir_fd=named.fd)

    def _check(self, fd: int) -> None:
        status = os.fstat(fd)
        if status.st_uid != os.geteuid():
            raise UsageError(
                f"the state directory {shown(self.directory)} belongs to user "
                f"{status.st_uid}, not to the user who runs hashscan; give another with --state"
            )
        names = files.without_file_system(set(os.listdir(fd)))
        others = files.foreign_to_state(names)
        if others and files.CATALOG not in names:
            raise UsageError(
                f"the state directory {shown(self.directory)} holds other files, e.g. "
                f"{shown(min(others))}; give an empty or a new directory with --state"
            )
        if stat.S_IMODE(status.st_mode) & 0o077 and names:
            raise UsageError(
                f"the state directory {shown(self.directory)} is open to others (mode "
                f"{stat.S_IMODE(status.st_mode):04o}); look through it, then run: "
                f"chmod 700 {shown(self.directory)}"
            )
        if not names:
            os.fchmod(fd, 0o700)

    def beside(self) -> State:
        """Return the state for a scan beside a running daemon, in a directory with its own catalog.

        The scan uses the filters, holds and local allow-list of the daemon's state directory.

        Raises:
            StateError: the directory for the state of this scan cannot be created.
        """
        other = State(os.path.join(self.directory, files.BESIDE))
        other.filters = self.filters
        other.holds = self.holds
        other.dismissed = self.dismissed
        return other

    def lock(self) -> Lock:
        """Lock the state directory during the block, so that no other process scans with it.

        Raises:
            LockedError: another process scans with this state directory.
        """
        return Lock(self.lock_file)


def holder_of(path: str) -> int | None:
    """Return the id of the process that holds the ``Lock`` on ``path``; ``None``: no process.

    Source: fcntl(2), F_GETLK.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        wanted = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        found = struct.unpack("hhqqi", fcntl.fcntl(fd, fcntl.F_GETLK, wanted))
    finally:
        os.close(fd)
    return None if found[0] == fcntl.F_UNLCK else int(found[4])


def wait_for_lock(fd: int, seconds: float, pause: float) -> bool:
    """Lock an open file (flock(2)); return false if another descriptor held the lock all the time.

    Args:
        fd: descriptor of the file; two descriptors of one file exclude each other, also within a
            process.
        seconds: largest number of seconds to wait for the lock.
        pause: seconds between two attempts to lock the file.
    """
    until = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                return False
            time.sleep(pause)
        else:
            return True


class Lock:
    """Locks a file by a record lock, which the kernel releases when its process ends.

    A lock by flock(2) would remain in the worker processes of a killed engine.
    """

    def __init__(self, path: str) -> None:
        """Take the lock of the file without waiting.

        Raises:
            LockedError: another process holds the lock of the file.
            StateError: the lock file cannot be created.
        """
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StateError(
                f"the lock {shown(path)} cannot be made: {error.strerror}; "
                "hashscan must be able to write there: see the owner, the mode and the mount"
            ) from error
        try:
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            holder = os.read(self._fd, 20).decode("ascii", "replace").strip()
            os.close(self._fd)
            holder = holder or str(holder_of(path) or "unknown")
            raise LockedError(
                f"another hashscan (process {holder}) works with this state ({shown(path)}); "
                "wait for it, or give this one a state of its own with --state"
            ) from None
        # The process id in the lock file is only for messages, so a full disk must not prevent the
        # lock.
        with suppress(OSError):
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def __enter__(self) -> None:
        """Hold the lock of the file until the block ends."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Release the lock of the file."""
        os.close(self._fd)
