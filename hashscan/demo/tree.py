"""Lists, writes and removes files for the demo without ``hashscan.fs``, the agent's own code.

All accesses use descriptors, because the sample volume is deeper than PATH_MAX. This module is not
safe against an adversary: it works in the demo's own directory only.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from hashscan.fs.beneath import closing, open_root
from hashscan.model import PRIVATE_DIRECTORY

if TYPE_CHECKING:
    from collections.abc import Iterator


class SeenName(NamedTuple):
    """Describes the state of a file's name; two states are equal if nothing about the name changed.

    Attributes:
        what: the SHA-256 of a file's content, or the target of a symbolic link, else an empty text.
        inode: number of the inode; links to the same file have an equal number.
    """

    mode: int
    uid: int
    gid: int
    size: int
    mtime_ns: int
    inode: int
    links: int
    what: bytes


def look(root: str) -> dict[bytes, SeenName]:
    """Return the states of file names below ``root``, by path, except in ``.hashscan``."""
    found = {}
    with closing(open_root(os.fsencode(root))) as top:
        for path, folders, names, fd in os.fwalk(b".", dir_fd=top):
            if path == b"." and PRIVATE_DIRECTORY in folders:
                folders.remove(PRIVATE_DIRECTORY)
            for name in folders + names:  # Links to directories are listed among the directories.
                status = os.lstat(name, dir_fd=fd)
                if not stat.S_ISDIR(status.st_mode):
                    found[os.path.join(path, name)[2:]] = _seen(fd, name, status)
    return found


def _seen(fd: int, name: bytes, status: os.stat_result) -> SeenName:
    what = b""
    if stat.S_ISREG(status.st_mode):
        with open(os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=fd), "rb") as file:
            what = hashlib.file_digest(file, "sha256").digest()
    elif stat.S_ISLNK(status.st_mode):
        what = os.readlink(name, dir_fd=fd)
    return SeenName(
        status.st_mode,
        status.st_uid,
        status.st_gid,
        status.st_size,
        status.st_mtime_ns,
        status.st_ino,
        status.st_nlink,
        what,
    )


def make_parent(root: int, path: bytes) -> tuple[int, bytes]:
    """Open the directory of ``path``, or create it; return its descriptor and the last name.

    The caller closes the directory's descriptor.
    """
    *folders, name = path.split(b"/")
    fd = os.dup(root)
    for folder in folders:
        with contextlib.suppress(FileExistsError):
            os.mkdir(folder, dir_fd=fd)
        following = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=fd)
        os.close(fd)
        fd = following
    return fd, name


def write(root: int, path: bytes, content: bytes, mode: int = 0o644) -> None:
    """Create a file with ``content``, and the directories above the file."""
    parent, name = make_parent(root, path)
    with closing(parent):
        write_here(parent, name, content, mode)


def write_here(parent: int, name: bytes, content: bytes, mode: int = 0o644) -> None:
    """Create a file with ``content`` in an open directory."""
    fd = os.open(name, _NEW, 0o600, dir_fd=parent)
    with open(fd, "wb") as file:
        file.write(content)
        os.fchmod(fd, mode)


def remove(path: str) -> None:
    """Remove a directory with all its contents.

    Raises:
        OSError: an entry in the directory could not be removed; other entries may be gone.
    """
    for _, folders, names, fd in os.fwalk(os.fsencode(path), topdown=False):
        for name in names:
            os.unlink(name, dir_fd=fd)
        for name in folders:
            if stat.S_ISDIR(os.lstat(name, dir_fd=fd).st_mode):
                os.rmdir(name, dir_fd=fd)
            else:
                os.unlink(name, dir_fd=fd)
    os.rmdir(path)


def ordinary_files(root: str, leave_out: frozenset[str]) -> Iterator[tuple[bytes, bytes]]:
    """Return the regular files below ``root`` up to 1 MiB in a fixed order, as path and content.

    Args:
        root: path of the directory to search; files in it that cannot be read are left out.
        leave_out: names of directories that the search does not enter.
    """
    for path, folders, names, fd in os.fwalk(root):
        folders[:] = sorted(set(folders) - leave_out)
        for name in sorted(names):
            try:
                status = os.lstat(name, dir_fd=fd)
                if not stat.S_ISREG(status.st_mode) or status.st_size > _LARGEST:
                    continue
                with open(os.open(name, _READ, dir_fd=fd), "rb") as file:
                    content = file.read(_LARGEST)
            except OSError:
                continue
            yield os.fsencode(os.path.relpath(os.path.join(path, name), root)), content


_LARGEST = 1 << 20
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
