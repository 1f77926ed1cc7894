"""Reads the bytes of a regular filter file so that no later change affects them."""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hashscan.errors import FilterError
from hashscan.text import shown

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def open_regular(path: str, mend: str) -> Iterator[int]:
    """Open ``path`` without waiting for a writer; return the descriptor, or raise for a link.

    ``mend`` is the last sentence of an error's message, which says how to fix the error.

    Raises:
        FilterError: the file is missing, unreadable or not a regular file.
    """
    try:
        descriptor = os.open(
            path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        )
    except (OSError, ValueError) as error:
        what = error.strerror if isinstance(error, OSError) else str(error)
        raise FilterError(f"{shown(path)}: cannot be opened: {what}; {mend}") from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise FilterError(f"{shown(path)}: is no regular file; {mend}")
        yield descriptor
    finally:
        os.close(descriptor)


def content_of(descriptor: int, found: os.stat_result) -> memoryview:
    """The file's bytes from ``descriptor``'s offset on, in a copy that forked processes share.

    The function does not map the filter file: an administrator who copies a newer filter over a
    mapped file would change the filter of a running daemon, or kill the daemon (SIGBUS).

    Raises:
        OSError: the file cannot be read.
        ValueError: the file is empty, or became shorter while it was read.
        MemoryError: the file does not fit into memory.
    """
    if not found.st_size:
        raise ValueError("it is empty")
    view = memoryview(bytearray(found.st_size))
    with open(descriptor, "rb", closefd=False) as file:
        if file.readinto(view) < len(view):
            raise ValueError("it became shorter while it was read")
    return view
