"""Looks up a path below a document root as a web server does, without leaving the root.

Web servers follow symbolic links. A customer can make a link to any place, so this module follows a
link only if it stays below the root, and by descriptor: it opens each component from the descriptor
of the directory above it, and ``..`` in the target of a link leads back to that descriptor.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass
from enum import StrEnum

_ENTRY = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_MOST_LINKS = 40  # as the kernel, path_resolution(7)
_MOST_NAMES = 2048  # maximum depth: each directory of the path has an open descriptor
_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR})


class ServedKind(StrEnum):
    """The kind of entry at a path."""

    FILE = "file"  #: a regular file
    DIRECTORY = "directory"
    OTHER = "other"  #: a FIFO, a socket, a device
    ABSENT = "absent"
    BARRED = "barred"  #: a link to a missing file, more than 40 links, or a name that is too long
    OUTSIDE = "outside"  #: a link, or ``..``, leads out of the root


@dataclass(frozen=True, slots=True)
class Served:
    """The result of ``look_up``.

    Attributes:
        entry: kind of the entry at the path.
        path: path of the entry below the root, without links; for an absent entry, the part of the
            path that exists.
        rest: the names of the path after a file, e.g. ``a/b`` of ``index.php/a/b``, or after the
            part of the path that exists.
        links: paths below the root of the links that were followed.
        target: target of the last link of the path that was followed, or that leads out of the
            root.
    """

    entry: ServedKind
    path: bytes
    rest: bytes = b""
    links: tuple[bytes, ...] = ()
    target: bytes = b""


class _Walk:
    def __init__(self, root: int, path: bytes, root_path: bytes) -> None:
        self._names: list[bytes] = []
        self._fds: list[int] = []
        self._root = root
        self._root_path = root_path.rstrip(b"/")
        self._rest = _reversed_names(path)
        self._links: list[bytes] = []
        self._target = b""  # target of the last link
        self._after_link = 1 << 62  # number of names of the path after the last link

    def close(self) -> None:
        for fd in self._fds:
            os.close(fd)

    def _found(self, entry: ServedKind) -> Served:
        rest = b"/".join(reversed(self._rest))
        return Served(entry, b"/".join(self._names), rest, tuple(self._links), self._target)

    def run(self) -> Served:
        while self._rest:
            name = self._rest.pop()
            if name == b"..":
                if not self._names:
                    return self._found(ServedKind.OUTSIDE)
                self._names.pop()
                os.close(self._fds.pop())
                continue
            above = self._fds[-1] if self._fds else self._root
            try:
                fd = os.open(name, _ENTRY, dir_fd=above)
            except OSError as error:
                if error.errno not in _ABSENT and error.errno != errno.ENAMETOOLONG:
                    raise
                self._rest.append(name)
                is_absent = error.errno in _ABSENT and len(self._rest) <= self._after_link
                return self._found(ServedKind.ABSENT if is_absent else ServedKind.BARRED)
            self._fds.append(fd)
            self._names.append(name)
            mode = os.fstat(fd).st_mode
            if stat.S_ISLNK(mode):
                self._target = os.readlink(b"", dir_fd=fd)
                if len(self._links) >= _MOST_LINKS:
                    return self._found(ServedKind.BARRED)
                if not self._follow(self._target):
                    return self._found(ServedKind.OUTSIDE)
            elif not stat.S_ISDIR(mode):
                return self._found(ServedKind.FILE if stat.S_ISREG(mode) else ServedKind.OTHER)
            if len(self._names) > _MOST_NAMES:
                return self._found(ServedKind.BARRED)
        return self._found(ServedKind.DIRECTORY)

    def _follow(self, target: bytes) -> bool:
        """Continue the path at the target of a link; return False if the target leaves the root."""
        self._links.append(b"/".join(self._names))
        self._after_link = len(self._rest)
        os.close(self._fds.pop())
        self._names.pop()
        if target.startswith(b"/"):
            if target != self._root_path and not target.startswith(self._root_path + b"/"):
                return False
            target = target[len(self._root_path) :]
            self.close()
            self._fds.clear()
            self._names.clear()
        self._rest += _reversed_names(target)
        return True


def _reversed_names(path: bytes) -> list[bytes]:
    return [name for name in reversed(path.split(b"/")) if name not in {b"", b"."}]


def look_up(root: int, path: bytes, root_path: bytes) -> Served:
    """The entry at a path below an open document root; follows links that stay below the root.

    Args:
        root: descriptor of the document root; may be ``O_PATH``.
        path: path to look up below the root; ``.``, ``..`` and empty names have the kernel's
            meaning.
        root_path: path of the root, without links; absolute links to places below it are followed.

    Raises:
        OSError: a component of the path cannot be opened: EACCES, EIO...
        ValueError: ``path`` contains a NUL.
    """
    walk = _Walk(root, path, root_path)
    try:
        return walk.run()
    finally:
        walk.close()
