"""What a configuration was read from, so that it is read again only after a change."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

#: Nanoseconds: a file that changed so shortly before it was read may change again under the same
#: stamp.
_RACY = 2_000_000_000


class Seen:
    """Files with their stamps, and lists of names: globs, and files that may be missing."""

    def __init__(self) -> None:
        """Nothing was read yet: the next read begins now."""
        self._began = time.time_ns()
        self._stamps: dict[str, tuple[int, ...] | None] = {}
        self._lists: dict[str, tuple[Callable[[], object], object]] = {}

    def file(self, path: str, fd: int | None = None) -> None:
        """Remember a file by its path. ``fd``: of the open file; it shows what was really read."""
        self._stamps[path] = _stamp(path if fd is None else fd)

    def result(self, name: str, find: Callable[[], object], found: object) -> None:
        """Remember what ``find`` returned, e.g. the names that fit a glob."""
        self._lists[name] = (find, found)

    def changed(self) -> bool:
        """Whether anything changed since it was remembered, or may have changed unseen."""
        for path, stamp in self._stamps.items():
            if stamp is None or stamp[-1] > self._began - _RACY or _stamp(path) != stamp:
                return True
        return any(find() != found for find, found in self._lists.values())


def _stamp(place: str | int) -> tuple[int, ...] | None:
    """Identity, size and times of a file, the time of its last change last; ``None``: missing."""
    try:
        one = os.stat(place)
    except OSError:
        return None
    return one.st_dev, one.st_ino, one.st_size, one.st_mtime_ns, one.st_ctime_ns
