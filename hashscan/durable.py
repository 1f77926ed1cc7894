"""hashscan's own files (never customers'): each is whole or absent, even if its writer is killed.

A file is written without a name (O_TMPFILE), synced, and then gets its name by link(2), which
never overwrites: no other process ever sees half of it, and a kill leaves nothing. If the file
system has no unnamed files, or /proc is missing, a hidden temporary name is used instead. The next
writer of the same file removes such a name that a kill left.
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
    """A new file that gets its name when the block ends and all of it is on disk, not before.

    Raises:
        FileExistsError: something has the name already, before or after the block.
        OSError: it cannot be written; nothing is left.
        UnsafePathError: a customer's link is on the way to it.
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
    """A descriptor of a new, empty file, and its temporary name if it needs one."""
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
    """Check that nobody with write access to the directory has swapped the temporary name."""
    there = os.stat(name, dir_fd=parent, follow_symlinks=False)
    if (there.st_dev, there.st_ino) != identity_of(fd):
        raise OSError(errno.EBUSY, "another process replaced the file while it was written", path)


def replace_file(path: str, content: bytes, mode: int = 0o600) -> None:
    """Make ``content`` the whole content of the file ``path``, atomically and for good.

    Raises:
        OSError: it cannot be written; the old file is unchanged.
        UnsafePathError: a customer's link is on the way to it.
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
    """A new, empty file with a temporary name for ``name``; files of killed writers are removed."""
    text = os.fsdecode(name)
    remove_leftovers(parent, lambda entry: is_temporary_of(entry, text))
    hidden = os.fsencode(temporary_name(text))
    fd = os.open(hidden, _FLAGS, 0o600, dir_fd=parent)
    hold(fd)
    return fd, hidden


def rename(old: str, new: str) -> None:
    """Give a file another name, and replace a file that has this name.

    Raises:
        OSError: it cannot be renamed.
        UnsafePathError: a customer's link is on the way to it.
    """
    with (
        opened_above(os.fsencode(old)) as (source, old_name),
        opened_above(os.fsencode(new)) as (target, new_name),
    ):
        os.replace(old_name, new_name, src_dir_fd=source.fd, dst_dir_fd=target.fd)


def rename_new(old: str, new: str) -> None:
    """Give a file another name; never replace another file.

    Raises:
        FileExistsError: something has the name.
        OSError: it cannot be renamed.
        UnsafePathError: a customer's link is on the way to it.
    """
    with (
        opened_above(os.fsencode(old)) as (source, old_name),
        opened_above(os.fsencode(new)) as (target, new_name),
    ):
        put(source.fd, old_name, target.fd, new_name)


def remove(path: str) -> None:
    """Remove a file.

    Raises:
        OSError: it cannot be removed, e.g. because it does not exist.
        UnsafePathError: a customer's link is on the way to it.
    """
    with opened_above(os.fsencode(path)) as (above, name):
        os.unlink(name, dir_fd=above.fd)


def temporary_name(path: str) -> str:
    """A name beside ``path`` that nobody has: hidden, ending in ``.tmp``."""
    directory, name = os.path.split(path)
    return os.path.join(directory, temporary(name, secrets.token_hex(6)))


def sync_directory(path: str) -> None:
    """Make the names in a directory survive a power cut, if its file system can do that.

    Raises:
        OSError: e.g. EIO.
    """
    with opened_named(os.fsencode(path)) as directory:
        sync_names(directory.fd)


def make_directories(path: str, mode: int = 0o700) -> None:
    """Make a directory, and those above it, if they are missing; they survive a power cut.

    Raises:
        OSError: one cannot be made.
        UnsafePathError: a customer's link is on the way to it.
    """
    with opened_named(os.fsencode(path), make=mode):
        pass


def make_public_directory(path: str) -> None:
    """Make a directory that everybody may read, whatever the umask; change an existing one.

    Raises:
        OSError: it cannot be made.
        UnsafePathError: a customer's link is on the way to it.
    """
    with opened_named(os.fsencode(path), make=0o755) as named:
        fd = os.open(b".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=named.fd)
        with closing(fd):
            os.fchmod(fd, 0o755)


def touch(path: str) -> None:
    """Set a file's times to now.

    Raises:
        OSError: it cannot be done, e.g. because the file does not exist.
        UnsafePathError: a customer's link is on the way to it.
    """
    with opened_above(os.fsencode(path)) as (above, name):
        os.utime(name, dir_fd=above.fd, follow_symlinks=False)
