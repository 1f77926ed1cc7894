"""Makes directories in a customer's directory, with the customer's owner and mode.

A new directory belongs to root at first. If root made the directory under its final name, the
customer could replace it by another directory before root changes the owner, and root would give
the other directory to the customer. So root makes the new directory in a private directory, changes
the owner there, and moves it to its final name last.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hashscan.fs.beneath import closing
from hashscan.fs.metadata import group_name, user_name
from hashscan.fs.private import FOLDER_ENDING, open_private, remove_if_empty
from hashscan.fs.rename import put
from hashscan.text import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
#: Mode bits that a new directory gets from the directory above: all bits except write for others
#: and sticky.
_INHERITED = 0o7775 & ~stat.S_ISVTX


@dataclass(frozen=True, slots=True)
class Made:
    """A new directory that ``make_below`` made."""

    path: bytes
    uid: int
    gid: int
    mode: int

    def __str__(self) -> str:
        owner = f"{user_name(self.uid) or self.uid}:{group_name(self.gid) or self.gid}"
        return f"made the directory {shown(self.path)} ({shown(owner)}, mode {self.mode:04o})"


def make_below(
    directory: int, names: Sequence[bytes], where: bytes, made: list[Made] | None = None
) -> list[Made]:
    """Make nested directories, each with owner, group and mode of the directory above it.

    Existing directories are entered and not changed; links are not followed.

    Args:
        directory: descriptor of the directory in which the first new directory is made.
        names: names of the new directories, the outermost first.
        where: path of ``directory``, for messages.
        made: list to which each new directory is added, even if a later step fails.

    Returns:
        ``made``.

    Raises:
        QuarantineError: the private directory cannot be used.
        OSError: a directory cannot be made (the kernel's error); the directories made before are
            kept.
    """
    made = [] if made is None else made
    here = os.open(b".", _OPEN, dir_fd=directory)
    try:
        for name in names:
            following = _make(here, name, where)
            where = where.rstrip(b"/") + b"/" + name
            if following is None:
                following = os.open(name, _OPEN, dir_fd=here)
            else:
                status = os.fstat(following)
                mode = stat.S_IMODE(status.st_mode)
                made.append(Made(where, status.st_uid, status.st_gid, mode))
            os.close(here)
            here = following
    finally:
        os.close(here)
    return made


def _make(directory: int, name: bytes, where: bytes) -> int | None:
    """Make one directory and return its descriptor; ``None``: the name ``name`` exists already."""
    with suppress(FileNotFoundError):
        os.stat(name, dir_fd=directory, follow_symlinks=False)
        return None
    above = os.fstat(directory)
    use = secrets.token_hex(8).encode()
    private, private_name = open_private(directory, where, use)
    with closing(private):
        try:
            unique = use + FOLDER_ENDING
            os.mkdir(unique, 0o700, dir_fd=private)
            fd = os.open(unique, _OPEN, dir_fd=private)
            try:
                _hand_over(fd, above)
                put(private, unique, directory, name)
                os.fsync(directory)
            except FileExistsError:
                os.close(fd)
                return None
            except BaseException:
                os.close(fd)
                raise
            return fd
        finally:
            remove_if_empty(directory, private, private_name)


def _hand_over(fd: int, above: os.stat_result) -> None:
    try:
        os.fchown(fd, above.st_uid, above.st_gid)
    except PermissionError as error:
        # An ordinary user cannot give the new directory to the owner of the directory above.
        if error.errno != errno.EPERM or os.geteuid() == 0:
            raise
    os.fchmod(fd, above.st_mode & _INHERITED)
