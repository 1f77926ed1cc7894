"""Reads the files of a web server's configuration, and keeps the contents until a file changes.

A web server's configuration may include a customer's file. So this module reads only regular files,
within a bound.
"""

from __future__ import annotations

import os
import stat
import time
from typing import TYPE_CHECKING

from hashscan.fs.beneath import closing
from hashscan.notices.sites.location import UndecidedError
from hashscan.text import said_by, shown

if TYPE_CHECKING:
    from collections.abc import Callable

#: A file that hashscan reads within this many nanoseconds after the file's last change may change
#: again with the same stamp.
_RACY = 2_000_000_000
#: The most bytes of all files of a web server's configuration together.
_MOST_BYTES = 64 << 20


class ReadFiles:
    """The configuration files that were read, with their stamps, and results of file searches."""

    def __init__(self) -> None:
        """Begin without any remembered file."""
        self._began = time.time_ns()
        self._stamps: dict[str, tuple[int, ...] | None] = {}
        self._lists: dict[str, tuple[Callable[[], object], object]] = {}
        self._left = _MOST_BYTES

    def read(self, path: str) -> bytes:
        """The content of a configuration file; ``changed`` compares the file's stamp later.

        Raises:
            UndecidedError: the file cannot be read, is no regular file, or makes the configuration
                too large.
        """
        content = b""
        try:
            # opening a FIFO or a device may block, or start an action
            with closing(os.open(path, os.O_PATH | os.O_CLOEXEC)) as found:
                self._stamps[path] = _stamp(found)
                status = os.fstat(found)
                if not stat.S_ISREG(status.st_mode):
                    raise UndecidedError(f"{shown(path)} is not a regular file")
                if status.st_size <= self._left:
                    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
                    with open(os.open(f"/proc/self/fd/{found}", flags), "rb") as file:
                        content = file.read(self._left + 1)
        except OSError as error:
            self._stamps.setdefault(path, None)
            raise UndecidedError(f"{shown(path)}: {said_by(error)}") from None
        self._left -= max(status.st_size, len(content))
        if self._left < 0:
            raise UndecidedError(f"{shown(path)}: with it, the configuration is larger than 64 MiB")
        return content

    def result(self, name: str, find: Callable[[], object], found: object) -> None:
        """Remember the result of ``find``, e.g. the names of the files that fit a glob."""
        self._lists[name] = (find, found)

    def changed(self) -> bool:
        """Whether a file or a result of ``find`` changed, or a file may have changed unnoticed."""
        for path, stamp in self._stamps.items():
            if stamp is None or stamp[-1] > self._began - _RACY or _stamp(path) != stamp:
                return True
        return any(find() != found for find, found in self._lists.values())


def _stamp(place: str | int) -> tuple[int, ...] | None:
    """Identity, size, mtime and ctime of a file; ``None``: the file is missing."""
    try:
        one = os.stat(place)
    except OSError:
        return None
    return one.st_dev, one.st_ino, one.st_size, one.st_mtime_ns, one.st_ctime_ns
