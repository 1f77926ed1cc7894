"""hashscan's own files (never customers'): each whole or absent, whatever kills its writer."""

from __future__ import annotations

import contextlib
import os
import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterator

_FLAGS = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def new_file(path: str, mode: int = 0o600) -> Iterator[BinaryIO]:
    """A new file, synced when the block ends, and removed where it does not come to its end.

    Raises:
        OSError: ``path`` is there already, or cannot be written.
    """
    descriptor = os.open(path, _FLAGS, 0o600)
    try:
        with open(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(path)
        raise


def replace_file(path: str, content: bytes, mode: int = 0o600) -> None:
    """Make ``content`` the content of the file ``path`` at once, and for good.

    Raises:
        OSError: it cannot be written; the old one is as it was.
    """
    temporary = temporary_name(path)
    with new_file(temporary, mode) as file:
        file.write(content)
    try:
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    sync_directory(os.path.dirname(path) or ".")


def temporary_name(path: str) -> str:
    """A name beside ``path`` that nobody has: hidden, ending in ``.tmp``."""
    directory, name = os.path.split(path)
    return os.path.join(directory, f".{name[:200]}.{secrets.token_hex(6)}.tmp")


def sync_directory(path: str) -> None:
    """Make the names in a directory survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
