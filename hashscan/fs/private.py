"""The private directory (``.hashscan``), in which a file waits between a volume and another disk.

It is in the topmost directory of a file system, which a customer may own. So its name proves
nothing: the opened descriptor must be a directory of the agent's own that nobody else may enter, on
the same file system. The owner of the directory above can still rename it, or remove it while it is
empty; ``Privates`` finds it again by its inode.

That owner decides how many names there are beside it. So each use has a spare name of its own, and
nothing here lists the directory above, unless a private directory was renamed.

Also here, for the walk: how to recognise a quarantine's directory.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time

from hashscan.errors import QuarantineError
from hashscan.fs.beneath import identity_of, open_directory, open_step
from hashscan.model import PRIVATE_DIRECTORY, Identity
from hashscan.text import shown

#: An empty file of this name stands in every quarantine.
QUARANTINE_MARK = b".hashscan-quarantine"

#: End of the names of directories that ``folders`` makes in a private directory.
FOLDER_ENDING = b".folder"

#: Listings of one directory before the search for a private directory in it is given up.
_TURNS = 8
#: Seconds after which another change gives a directory another time stamp: many file systems, and
#: all before Linux 6.13, take it from a clock that advances at least 100 times a second.
_TICK = 0.02
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def is_quarantine(directory: int) -> bool:
    """Whether an open directory is a quarantine of this agent's user, of whatever state directory.

    Its contents are known material, so a scan that entered it would move them once more. A customer
    cannot pass a directory off as one: it and its mark must be the agent's own, and closed to all
    others.
    """
    status = os.fstat(directory)
    if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o077:
        return False
    try:
        mark = os.stat(QUARANTINE_MARK, dir_fd=directory, follow_symlinks=False)
    except OSError:
        return False
    return stat.S_ISREG(mark.st_mode) and mark.st_uid == os.geteuid()


def mark_quarantine(directory: int) -> None:
    """Make an open directory one that ``is_quarantine`` tells; it must be the agent's alone.

    Raises:
        OSError: the mark cannot be made: read-only, no space.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    if not is_quarantine(directory):
        os.close(os.open(QUARANTINE_MARK, flags, 0o600, dir_fd=directory))


def mount_of(fd: int) -> tuple[str, int]:
    """What tells one mount from another: the kernel's mount number, else the device."""
    try:
        with open(f"/proc/self/fdinfo/{fd}", "rb") as info:
            for line in info:
                if line.startswith(b"mnt_id:"):
                    return "mount", int(line.split()[1])
    except (OSError, ValueError):
        pass
    return "device", os.fstat(fd).st_dev


def _renames_within(fd: int) -> tuple[tuple[str, int], int]:
    return mount_of(fd), os.fstat(fd).st_dev


def open_top(
    root: int, directory: bytes, *, cross_mounts: bool, fd: int | None = None
) -> tuple[int, bytes]:
    """Open the highest directory below ``root`` on the same mount as ``directory``.

    A rename works from there to ``directory``: it is where a private directory can stand. On btrfs
    none works between subvolumes of one mount either; each has a device number of its own.

    Args:
        root: descriptor of the volume's root.
        directory: path below it.
        cross_mounts: enter other file systems too.
        fd: of the directory, if it is open; then names are looked at only where they must be.

    Returns:
        A descriptor, which the caller closes, and the path below ``root`` (empty: ``root``).

    Raises:
        OSError: as ``open_directory``; EXDEV where mounts changed meanwhile.
    """
    if not directory or (fd is not None and _renames_within(fd) == _renames_within(root)):
        return open_directory(root, b""), b""
    names = directory.split(b"/")
    top = 0
    mount = _renames_within(root)
    here = os.dup(root)
    try:
        for number, name in enumerate(names, 1):
            following = open_step(here, name, cross_mounts=cross_mounts)
            os.close(here)
            here = following
            if (now := _renames_within(here)) != mount:
                top, mount = number, now
    finally:
        os.close(here)
    path = b"/".join(names[:top])
    found = open_directory(root, path, cross_mounts=cross_mounts)
    if _renames_within(found) != mount:
        os.close(found)
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), path)
    return found, path


def _trusted(fd: int, top: int) -> str | None:
    """Why the opened directory is not the agent's private one; ``None`` if it is."""
    status = os.fstat(fd)
    if status.st_uid != os.geteuid():
        return f"it belongs to user {status.st_uid}"
    if stat.S_IMODE(status.st_mode) & 0o077:  # with an ACL these bits are its mask
        return f"others may enter it (mode {stat.S_IMODE(status.st_mode):04o})"
    if status.st_dev != os.fstat(top).st_dev:
        return "another file system is mounted there"
    return None


def open_private(top: int, where: bytes, use: bytes) -> tuple[int, bytes]:
    """Make or open the private directory in ``top``; the caller closes the descriptor.

    If something else has its name, e.g. put there by a customer, it gets a spare name.

    Args:
        top: descriptor of the directory above it.
        where: path of ``top``, for messages.
        use: the id of the record that it is used for, which makes the spare name.

    Returns:
        A descriptor, and the name.

    Raises:
        QuarantineError: something else has the spare name too (reason ``private-directory``).
        OSError: it cannot be made.
    """
    names = _names(use)
    try:
        return _open_private(top, where, names[0]), names[0]
    except QuarantineError:
        return _open_private(top, where, names[1]), names[1]


def _names(use: bytes) -> tuple[bytes, bytes]:
    return PRIVATE_DIRECTORY, PRIVATE_DIRECTORY + b"-" + use


def _open_private(top: int, where: bytes, name: bytes) -> int:
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=top)
    path = shown(where + b"/" + name)
    try:
        fd = os.open(name, _OPEN, dir_fd=top)
    except OSError as error:
        if error.errno not in {errno.ELOOP, errno.ENOTDIR, errno.EACCES}:
            raise
        raise _refused(path, "it is no directory of the agent's") from error
    reason = _trusted(fd, top)
    if reason:
        os.close(fd)
        raise _refused(path, reason)
    return fd


def _refused(path: str, reason: str) -> QuarantineError:
    return QuarantineError(
        f"{path}: not used as the private directory, because {reason}; "
        "look who made it, and move it away",
        reason="private-directory",
    )


class Privates:
    """Finds private directories that were renamed, at the cost of a few listings in all.

    Only the agent makes private directories, and only the agent can move one to another directory,
    which needs the right to write in it. So if a listing of the directory above lacks one, it does
    not come back while the store's lock is held.
    """

    def __init__(self) -> None:
        """Nothing was listed yet."""
        self._listed: dict[Identity, dict[int, bytes]] = {}
        self._turns: dict[Identity, int] = {}

    def find(self, top: int, inode: int, use: bytes) -> tuple[int, bytes] | None:
        """Open the private directory with this inode number, even if it was renamed in ``top``.

        Returns:
            A descriptor, which the caller closes, and its name; ``None``: it is not there.

        Raises:
            OSError: ``top`` cannot be listed, or changes so fast that nothing is certain (EBUSY).
        """
        for name in _names(use):
            if (fd := _open_if(top, name, inode)) is not None:
                return fd, name
        identity = identity_of(top)
        while True:
            there = self._listed.get(identity)
            if there is None:
                there = self._listed[identity] = self._list(top, identity)
            found = there.get(inode)
            if found is None:
                return None
            if (fd := _open_if(top, found, inode)) is not None:
                return fd, found
            status = _status(top, found)
            if status is not None and status.st_ino == inode:
                return None  # it is there, but not the agent's own
            del self._listed[identity]  # renamed once more

    def _list(self, top: int, identity: Identity) -> dict[int, bytes]:
        """The directories in ``top`` by inode number, all at one moment."""
        while True:
            self._turns[identity] = turn = self._turns.get(identity, 0) + 1
            if turn > _TURNS:
                raise OSError(errno.EBUSY, "somebody renames its entries all the time")
            before = _changed(top)
            time.sleep(_TICK)
            with os.scandir(top) as entries:
                found = {
                    entry.inode(): os.fsencode(entry.name)
                    for entry in entries
                    if entry.is_dir(follow_symlinks=False)
                }
            if _changed(top) == before:
                return found


def _changed(top: int) -> int:
    return os.fstat(top).st_ctime_ns  # not mtime, which its owner can set


def _open_if(top: int, name: bytes, inode: int) -> int | None:
    try:
        fd = os.open(name, _OPEN, dir_fd=top)
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ELOOP, errno.ENOTDIR, errno.EACCES}:
            return None
        raise
    if os.fstat(fd).st_ino == inode and _trusted(fd, top) is None:
        return fd
    os.close(fd)
    return None


def remove_if_empty(top: int, private: int, name: bytes) -> None:
    """Remove the private directory ``name`` if it is ours and empty; leave anything else alone.

    If the owner of the directory above has renamed it, it is left to that owner, who can remove it.
    Empty directories that a killed ``folders.make_below`` left in it count as nothing.
    """
    with contextlib.suppress(OSError):
        status, there = os.fstat(private), _status(top, name)
        if there is None or (there.st_dev, there.st_ino) != (status.st_dev, status.st_ino):
            return
        try:
            os.rmdir(name, dir_fd=top)  # it may be in use by another store
        except OSError as error:
            if error.errno != errno.ENOTEMPTY:
                raise
            for left in map(os.fsencode, os.listdir(private)):
                if left.endswith(FOLDER_ENDING):  # by a kill; only an empty one goes
                    with contextlib.suppress(OSError):
                        os.rmdir(left, dir_fd=private)
            os.rmdir(name, dir_fd=top)


def remove_empty(top: int, use: bytes) -> None:
    """Remove the empty private directory that a process killed early left in ``top``."""
    for name in _names(use):
        status = _status(top, name)
        if status is not None and (fd := _open_if(top, name, status.st_ino)) is not None:
            remove_if_empty(top, fd, name)
            os.close(fd)


def open_existing(top: int) -> int | None:
    """Open the private directory by its usual name; ``None``: the agent has none there.

    Raises:
        OSError: as the kernel says.
    """
    status = _status(top, PRIVATE_DIRECTORY)
    return None if status is None else _open_if(top, PRIVATE_DIRECTORY, status.st_ino)


def _status(top: int, name: bytes) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=top, follow_symlinks=False)
    except FileNotFoundError:
        return None
