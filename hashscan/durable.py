"""hashscan's own files (never customers'): each whole or absent, whatever kills its writer."""

from __future__ import annotations

import contextlib
import os
import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

from hashscan.files import temporary
from hashscan.fs.named import opened_above, opened_named

if TYPE_CHECKING:
    from collections.abc import Iterator

_FLAGS = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def new_file(path: str, mode: int = 0o600) -> Iterator[BinaryIO]:
    """A new file, synced when the block ends, and removed where it does not come to its end.

    Raises:
        OSError: ``path`` is there already, or cannot be written.
        UnsafePathError: a customer's link is on the way to it.
    """
    with opened_above(os.fsencode(path)) as (above, name):
        descriptor = _created(name, above.fd, path)
        try:
            with open(descriptor, "wb") as file:
                yield file
                file.flush()
                os.fchmod(file.fileno(), mode)
                os.fsync(file.fileno())
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name, dir_fd=above.fd)
            raise


def _created(name: bytes, directory: int, path: str) -> int:
    try:
        return os.open(name, _FLAGS, 0o600, dir_fd=directory)
    except OSError as error:
        error.filename = path
        raise


def replace_file(path: str, content: bytes, mode: int = 0o600) -> None:
    """Make ``content`` the content of the file ``path`` at once, and for good.

    Raises:
        OSError: it cannot be written; the old one is as it was.
        UnsafePathError: a customer's link is on the way to it.
    """
    temporary = temporary_name(path)
    with new_file(temporary, mode) as file:
        file.write(content)
    try:
        rename(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            remove(temporary)
        raise
    sync_directory(os.path.dirname(path) or ".")


def rename(old: str, new: str) -> None:
    """Give a file another name; a file that has this name is replaced.

    Raises:
        OSError: it cannot be renamed.
        UnsafePathError: a customer's link is on the way to it.
    """
    with (
        opened_above(os.fsencode(old)) as (source, old_name),
        opened_above(os.fsencode(new)) as (target, new_name),
    ):
        os.replace(old_name, new_name, src_dir_fd=source.fd, dst_dir_fd=target.fd)


def remove(path: str) -> None:
    """Remove a file.

    Raises:
        OSError: it cannot be removed, e.g. because there is none.
        UnsafePathError: a customer's link is on the way to it.
    """
    with opened_above(os.fsencode(path)) as (above, name):
        os.unlink(name, dir_fd=above.fd)


def temporary_name(path: str) -> str:
    """A name beside ``path`` that nobody has: hidden, ending in ``.tmp``."""
    directory, name = os.path.split(path)
    return os.path.join(directory, temporary(name, secrets.token_hex(6)))


def sync_directory(path: str) -> None:
    """Make the names in a directory survive a power cut."""
    with opened_named(os.fsencode(path)) as directory:
        descriptor = os.open(b".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=directory.fd)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
