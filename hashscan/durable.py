"""Writes hashscan's own files (never customers'), so that a killed writer leaves no partial file.

The writer makes a file without a name (O_TMPFILE), syncs the file, and then gives the file its name
by link(2). link(2) never overwrites a file, so no other process ever sees a partial file, and a
killed writer leaves nothing. If the file system does not support unnamed files, or /proc is
missing, the writer uses a hidden temporary name instead. If a killed writer left a file with a
temporary name, the next writer of the same file removes this leftover.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

from hashscan.files import is_temporary_of, temporary
from hashscan.fs.beneath import closing, identity_of
from hashscan.fs.named import opened_above, opened_named, sync_names
from hashscan.fs.rename import put
from hashscan.leftovers import hold, remove_leftovers

if TYPE_CHECKING:
    from collections.abc import Iterator

_FLAGS = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_UNNAMED = os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC
_NO_UNNAMED = frozenset({errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT})


@contextmanager
def new_file(path: str | bytes, mode: int = 0o600) -> Iterator[BinaryIO]:
    """Write a new file that gets its name only at the end of the block, after all of it is on disk.

    Raises:
        FileExistsError: a file with the new file's name exists, before or after the block.
        OSError: the file cannot be written; the writer leaves no partial file.
        UnsafePathError: a customer's link is on the way to the file.
    """
    with opened_above(os.fsencode(path)) as (above, name):
        parent = above.fd
        with contextlib.suppress(FileNotFoundError):
            os.stat(name, dir_fd=parent, follow_symlinks=False)
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
        fd, hidden = _begin(parent, name, path)
        try:
            with open(fd, "wb") as file:
                yield file
                _finish(file, mode)
                if hidden is None:
                    unnamed = f"/proc/self/fd/{fd}"
                    os.link(unnamed, name, dst_dir_fd=parent, follow_symlinks=True)
                else:
                    put(parent, hidden, parent, name)
                    _check_same(fd, parent, name, path)
        except BaseException:
            if hidden is not None:
                with contextlib.suppress(OSError):
                    os.unlink(hidden, dir_fd=parent)
            raise
        sync_names(parent)


def _begin(parent: int, name: bytes, path: str | bytes) -> tuple[int, bytes | None]:
    """Return a descriptor of a new, empty file, and the file's temporary name if it has a name."""
    try:
        try:
            fd = os.open(b".", _UNNAMED, 0o600, dir_fd=parent)
        except OSError as error:
            if error.errno not in _NO_UNNAMED:
                raise
        else:
            if os.path.exists(f"/proc/self/fd/{fd}"):
                return fd, None
            os.close(fd)
        return _hidden(parent, name)
    except OSError as error:
        error.filename = path
        raise


def _finish(file: BinaryIO, mode: int) -> None:
    file.flush()
    os.fchmod(file.fileno(), mode)
    os.fsync(file.fileno())


def _check_same(fd: int, parent: int, name: bytes, path: str | bytes) -> None:
    """Raise if another process has replaced the temporary file since the writer made it."""
    there = os.stat(name, dir_fd=parent, follow_symlinks=False)
    if (there.st_dev, there.st_ino) != identity_of(fd):
        raise OSError(errno.EBUSY, "another process replaced the file while it was written", path)


def replace_file(path: str, content: bytes, mode: int = 0o600) -> None:
    """Make ``content`` the whole content of the file ``path``, atomically and durably.

    Raises:
        OSError: the file cannot be written; the old file is unchanged.
        UnsafePathError: a customer's link is on the way to the file.
    """
    with opened_above(os.fsencode(path)) as (above, name):
        parent = above.fd
        try:
            fd, hidden = _hidden(parent, name)
        except OSError as error:
            error.filename = path
            raise
        try:
            with open(fd, "wb") as file:
                file.write(content)
                _finish(file, mode)
            os.replace(hidden, name, src_dir_fd=parent, dst_dir_fd=parent)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(hidden, dir_fd=parent)
            raise
        sync_names(parent)


def _hidden(parent: int, name: bytes) -> tuple[int, bytes]:
    """Create a file with a temporary name for ``name``; remove files that killed writers left."""
    text = os.fsdecode(name)
    remove_leftovers(parent, lambda entry: is_temporary_of(entry, text))
    hidden = os.fsencode(temporary_name(text))
    fd = os.open(hidden, _FLAGS, 0o600, dir_fd=parent)
    hold(fd)
    return fd, hidden


def rename(old: str, new: str) -> None:
    """Rename a file; replace an existing file that has the new name.

    Raises:
        OSError: the file cannot be renamed.
        UnsafePathError: a customer's link is on the way to the file.
    """
    with (
        opened_above(os.fsencode(old)) as (source, old_name),
        opened_above(os.fsencode(new)) as (target, new_name),
    ):
        os.replace(old_name, new_name, src_dir_fd=source.fd, dst_dir_fd=target.fd)


def rename_new(old: str, new: str) -> None:
    """Rename a file; never replace another file.

    Raises:
        FileExistsError: another file has the new name.
        OSError: the file cannot be renamed.
        UnsafePathError: a customer's link is on the way to the file.
    """
    with (
        opened_above(os.fsencode(old)) as (source, old_name),
        opened_above(os.fsencode(new)) as (target, new_name),
    ):
        put(source.fd, old_name, target.fd, new_name)


def remove(path: str) -> None:
    """Remove a file of hashscan.

    Raises:
        OSError: the file cannot be removed, e.g. because it does not exist.
        UnsafePathError: a customer's link is on the way to the file.
    """
    with opened_above(os.fsencode(path)) as (above, name):
        os.unlink(name, dir_fd=above.fd)


def temporary_name(path: str) -> str:
    """Return an unused path in the directory of ``path``: a hidden name that ends in ``.tmp``."""
    directory, name = os.path.split(path)
    return os.path.join(directory, temporary(name, secrets.token_hex(6)))


def sync_directory(path: str) -> None:
    """Sync a directory, so that its names survive a power cut, if the file system supports this.

    Raises:
        OSError: the directory cannot be synced, e.g. EIO.
    """
    with opened_named(os.fsencode(path)) as directory:
        sync_names(directory.fd)


def make_directories(path: str, mode: int = 0o700) -> None:
    """Create a directory and its missing parents, so that the directories survive a power cut.

    Raises:
        OSError: a directory cannot be created.
        UnsafePathError: a customer's link is on the way to the directory.
    """
    with opened_named(os.fsencode(path), make=mode):
        pass


def make_public_directory(path: str) -> None:
    """Create a directory that everybody may read, whatever the umask; change an existing directory.

    Raises:
        OSError: the directory cannot be created.
        UnsafePathError: a customer's link is on the way to the directory.
    """
    with opened_named(os.fsencode(path), make=0o755) as named:
        fd = os.open(b".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=named.fd)
        with closing(fd):
            os.fchmod(fd, 0o755)


def touch(path: str) -> None:
    """Set the times of a file to the current time.

    Raises:
        OSError: the times cannot be set, e.g. because the file does not exist.
        UnsafePathError: a customer's link is on the way to the file.
    """
    with opened_above(os.fsencode(path)) as (above, name):
        os.utime(name, dir_fd=above.fd, follow_symlinks=False)
