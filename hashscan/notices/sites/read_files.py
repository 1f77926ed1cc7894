"""Remembers the files of a configuration, so that it is read again only after a change."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

#: Nanoseconds between the last change of a file and its reading, within which the file may change
#: again under the same stamp.
_RACY = 2_000_000_000


class ReadFiles:
    """The files that were read, with their stamps, and the results of searches for files."""

    def __init__(self) -> None:
        """Start without files; the first file is read after this."""
        self._began = time.time_ns()
        self._stamps: dict[str, tuple[int, ...] | None] = {}
        self._lists: dict[str, tuple[Callable[[], object], object]] = {}

    def file(self, path: str, fd: int | None = None) -> None:
        """Remember a file. ``fd``: the open file, whose stamp is that of its content."""
        self._stamps[path] = _stamp(path if fd is None else fd)

    def result(self, name: str, find: Callable[[], object], found: object) -> None:
        """Remember the result of ``find``, e.g. the names that fit a glob."""
        self._lists[name] = (find, found)

    def changed(self) -> bool:
        """Whether a file or a result changed, or a file may have changed under the same stamp."""
        for path, stamp in self._stamps.items():
            if stamp is None or stamp[-1] > self._began - _RACY or _stamp(path) != stamp:
                return True
        return any(find() != found for find, found in self._lists.values())


def _stamp(place: str | int) -> tuple[int, ...] | None:
    """Identity, size, mtime and ctime of a file; ``None``: it is missing."""
    try:
        one = os.stat(place)
    except OSError:
        return None
    return one.st_dev, one.st_ino, one.st_size, one.st_mtime_ns, one.st_ctime_ns
