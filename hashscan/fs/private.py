"""The private directory (``.hashscan``) of a volume: staging for files on the way to the store.

A file is renamed into the private directory first and then copied to the store's disk. The private
directory is in the topmost directory of a file system, and a customer may own the topmost
directory. So the name ``.hashscan`` proves nothing: the opened directory must belong to the agent,
be closed to all other users, and be on the same file system. The customer can still rename the
private directory, or remove it while it is empty; ``Privates`` finds a renamed directory by its
inode.

The customer also decides how many files the topmost directory has. So hashscan lists the topmost
directory only if a private directory was renamed. If another file has the name ``.hashscan``,
hashscan uses a spare name, which contains the id of the record.

This module also recognises a quarantine's directory, so that scans skip the quarantine.
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

#: Name of an empty file that every quarantine contains.
QUARANTINE_MARK = b".hashscan-quarantine"

#: Suffix of the directories that ``folders`` makes in a private directory.
FOLDER_ENDING = b".folder"

#: Maximum number of listings of one directory during a search for a private directory.
_TURNS = 8
#: Seconds after which a change gives a directory a new time stamp. Many file systems, and all file
#: systems before Linux 6.13, take the time from a clock that advances at least 100 times a second.
_TICK = 0.02
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def is_quarantine(directory: int) -> bool:
    """Whether an open directory is a quarantine that belongs to this agent's user.

    A scan skips quarantines: their contents are known material, and the scan would move the
    contents again. A customer cannot fake a quarantine: the directory and its mark must belong to
    the agent's user, and the directory must be closed to all other users.
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
    """Make the file that marks a directory as a quarantine; the directory must be the agent's.

    Raises:
        OSError: the file cannot be made, e.g. on a read-only or full disk.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    if not is_quarantine(directory):
        os.close(os.open(QUARANTINE_MARK, flags, 0o600, dir_fd=directory))


def mount_of(fd: int) -> tuple[str, int]:
    """The mount of an open file: the kernel's mount number; on old kernels, the device number."""
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

    A private directory can be made in the highest directory: a rename from ``directory`` into the
        private directory works. On btrfs a
    rename does not work between subvolumes of one mount, so their device numbers are compared too.

    Args:
        root: descriptor of the volume's root.
        directory: path of the directory below the volume's root.
        cross_mounts: enter other file systems below the root, too.
        fd: descriptor of the directory, if it is open; then the path is walked only if the
            directory is not on the root's mount.

    Returns:
        A descriptor of the highest directory, which the caller closes, and its path below ``root``
        (empty: ``root`` itself).

    Raises:
        OSError: ``open_directory`` raised the error; or EXDEV, because mounts changed meanwhile.
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


def _why_not_private(fd: int, top: int) -> str | None:
    """Why an open directory cannot be a private directory of the agent; ``None``: it can."""
    status = os.fstat(fd)
    if status.st_uid != os.geteuid():
        return f"it belongs to user {status.st_uid}"
    if stat.S_IMODE(status.st_mode) & 0o077:  # with an ACL, the group's bits are the ACL's mask
        return f"others may enter it (mode {stat.S_IMODE(status.st_mode):04o})"
    if status.st_dev != os.fstat(top).st_dev:
        return "another file system is mounted there"
    return None


def open_private(top: int, where: bytes, use: bytes) -> tuple[int, bytes]:
    """Make or open the private directory in ``top``; the caller closes its descriptor.

    If another file has the name ``.hashscan``, e.g. a customer's, the spare name is used.

    Args:
        top: descriptor of the directory that contains the private directory.
        where: path of ``top``, for messages.
        use: id of the record whose file is moved; part of the spare name.

    Returns:
        A descriptor of the private directory, and its name.

    Raises:
        QuarantineError: another file has the spare name too (reason ``private-directory``).
        OSError: the private directory cannot be made.
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
        raise _refused(path, "it is not a directory of the agent") from error
    reason = _why_not_private(fd, top)
    if reason:
        os.close(fd)
        raise _refused(path, reason)
    return fd


def _refused(path: str, reason: str) -> QuarantineError:
    return QuarantineError(
        f"{path}: not used as the private directory, because {reason}; "
        "check who made it, and move it to another place",
        reason="private-directory",
    )


class Privates:
    """Finds renamed private directories; lists each directory above them a few times at most.

    Only the agent can make a private directory or move it to another directory, because a move
    needs the right to write in the private directory. So a private directory that a listing of
    ``top`` lacks cannot come back while the store's lock is held.
    """

    def __init__(self) -> None:
        """Begin with no directory listed."""
        self._listed: dict[Identity, dict[int, bytes]] = {}
        self._turns: dict[Identity, int] = {}

    def find(self, top: int, inode: int, use: bytes) -> tuple[int, bytes] | None:
        """Open the private directory with the inode number ``inode``, even if it was renamed.

        Returns:
            A descriptor of the private directory, which the caller closes, and its name; ``None``:
            ``top`` does not contain the private directory.

        Raises:
            OSError: ``top`` cannot be listed, or changes during every listing (EBUSY).
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
                return None  # the directory with this inode number does not belong to the agent
            del self._listed[identity]  # the private directory was renamed after ``top`` was listed

    def _list(self, top: int, identity: Identity) -> dict[int, bytes]:
        """Names of the directories in ``top`` by inode number, from a listing without a change."""
        while True:
            self._turns[identity] = turn = self._turns.get(identity, 0) + 1
            if turn > _TURNS:
                raise OSError(errno.EBUSY, "somebody renames its entries all the time")
            before = _ctime_of(top)
            time.sleep(_TICK)
            with os.scandir(top) as entries:
                found = {
                    entry.inode(): os.fsencode(entry.name)
                    for entry in entries
                    if entry.is_dir(follow_symlinks=False)
                }
            if _ctime_of(top) == before:
                return found


def _ctime_of(top: int) -> int:
    return os.fstat(top).st_ctime_ns  # compare the ctime: the directory's owner can set the mtime


def _open_if(top: int, name: bytes, inode: int) -> int | None:
    try:
        fd = os.open(name, _OPEN, dir_fd=top)
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ELOOP, errno.ENOTDIR, errno.EACCES}:
            return None
        raise
    if os.fstat(fd).st_ino == inode and _why_not_private(fd, top) is None:
        return fd
    os.close(fd)
    return None


def remove_if_empty(top: int, private: int, name: bytes) -> None:
    """Remove the private directory if it is empty; do nothing if another file has its name.

    If the owner of ``top`` has renamed the private directory, the directory remains: the owner can
    remove it. Empty directories in it that a killed ``folders.make_below`` left are removed too.

    Args:
        top: descriptor of the directory that contains the private directory.
        private: descriptor of the private directory.
        name: name of the private directory in ``top``.
    """
    with contextlib.suppress(OSError):
        status, there = os.fstat(private), _status(top, name)
        if there is None or (there.st_dev, there.st_ino) != (status.st_dev, status.st_ino):
            return
        try:
            os.rmdir(name, dir_fd=top)  # raises if another store has a file in ``name``
        except OSError as error:
            if error.errno != errno.ENOTEMPTY:
                raise
            for left in map(os.fsencode, os.listdir(private)):
                if left.endswith(FOLDER_ENDING):  # a killed process left this directory
                    with contextlib.suppress(OSError):
                        os.rmdir(left, dir_fd=private)
            os.rmdir(name, dir_fd=top)


def remove_empty(top: int, use: bytes) -> None:
    """Remove the empty private directory that a killed process left in the directory ``top``."""
    for name in _names(use):
        status = _status(top, name)
        if status is not None and (fd := _open_if(top, name, status.st_ino)) is not None:
            remove_if_empty(top, fd, name)
            os.close(fd)


def open_existing(top: int) -> int | None:
    """Open the private directory in ``top`` by its usual name; ``None``: ``top`` lacks it.

    Raises:
        OSError: the private directory cannot be opened.
    """
    status = _status(top, PRIVATE_DIRECTORY)
    return None if status is None else _open_if(top, PRIVATE_DIRECTORY, status.st_ino)


def _status(top: int, name: bytes) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=top, follow_symlinks=False)
    except FileNotFoundError:
        return None
