"""Opens the audit log's directory and files, by descriptor and without following links."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from hashscan.errors import StateError
from hashscan.files import AUDIT, audit_file, audit_number
from hashscan.fs.beneath import closing
from hashscan.fs.named import sync_names
from hashscan.text import said_by, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
#: Flags to open every file of the log: do not wait for a FIFO, and do not acquire a terminal.
_FILE = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def path_of(state_directory: str) -> str:
    """The path of the audit log's directory in a state directory."""
    return os.path.join(state_directory, AUDIT)


@contextmanager
def opened(state_directory: str, *, make: bool) -> Iterator[int]:
    """Open the audit log's directory, or make it (``make``); yield the directory's descriptor.

    Raises:
        FileNotFoundError: the audit log's directory is missing.
        OSError: the audit log's directory cannot be opened or made, e.g. because it is a link.
    """
    path = path_of(state_directory)
    try:
        fd = os.open(path, _DIRECTORY)
    except FileNotFoundError:
        if not make:
            raise
        with suppress(FileExistsError):
            os.mkdir(path, 0o700)
        with closing(os.open(state_directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)) as up:
            sync_names(up)
        fd = os.open(path, _DIRECTORY)
    with closing(fd):
        yield fd


def open_file(directory: int, name: str, flags: int) -> int:
    """Open a regular file in the audit log's directory; return its descriptor.

    Raises:
        FileNotFoundError: the file is missing, and ``flags`` lack O_CREAT.
        OSError: the file cannot be opened, or is a link, a FIFO or a directory.
    """
    fd = os.open(name, flags | _FILE, 0o600, dir_fd=directory)
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "it is no file", name)
    return fd


def numbers(directory: int) -> list[int]:
    """The numbers of the audit log's files, ascending.

    Raises:
        OSError: the audit log's directory cannot be listed.
    """
    found = (audit_number(name) for name in os.listdir(directory))
    return sorted(number for number in found if number is not None)


def open_number(directory: int, number: int, flags: int) -> int:
    """Open the audit log's file with the number ``number``; return the file's descriptor.

    Raises:
        OSError: ``open_file`` raised the error.
    """
    return open_file(directory, audit_file(number), flags)


_FIX = {
    errno.ENOSPC: "free some space there",
    errno.EDQUOT: "raise the quota there, or free some space",
    errno.EROFS: "mount it for writing",
    errno.EACCES: "run as root, or as the owner of the state directory",
    errno.EPERM: "see `lsattr` for an append-only or immutable flag, and the owner",
    errno.ELOOP: "remove the link that is there",
    errno.ENXIO: "remove the FIFO or socket that is there",
    errno.EINVAL: "move away what is there in the place of a file",
    errno.EISDIR: "move away the directory that is there in the place of a file",
    errno.ENOTDIR: "move away what is there in the place of a directory",
    errno.EMFILE: "raise the limit of open files",
    errno.ENFILE: "raise the limit of open files",
}


@contextmanager
def explained(state_directory: str, doing: str) -> Iterator[None]:
    """A ``StateError`` with a fix for an ``OSError``; ``doing``: ``read`` or ``written``."""
    try:
        yield
    except OSError as error:
        where = path_of(state_directory)
        if isinstance(error.filename, str) and not error.filename.startswith("/"):
            where = os.path.join(where, error.filename)
        fix = _FIX.get(error.errno or 0, "see the kernel's log for errors of the disk")
        what = said_by(error)
        raise StateError(
            f"the audit log {shown(where)} cannot be {doing}: {what[:1].lower()}{what[1:]}; {fix}"
        ) from error
