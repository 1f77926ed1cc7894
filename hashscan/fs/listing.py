"""Lists an open directory one entry at a time; the memory does not grow with the directory.

On most file systems, a directory says of each entry whether it is a file or a directory. On these
file systems, only regular files need a ``stat``. Names are bytes.
"""

from __future__ import annotations

import os
import stat
import sys
from typing import TYPE_CHECKING, NamedTuple

from hashscan.fs.reading import cut
from hashscan.model import Identity, Skipped

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator

#: Number of listed entries between two calls of ``pause``.
_PAUSE = 64


class ListedFile(NamedTuple):
    """A regular file in a listed directory, with its ``lstat``."""

    name: bytes
    status: os.stat_result


class ListedName(NamedTuple):
    """A regular file in a listed directory, with its inode number and without its ``lstat``."""

    name: bytes
    inode: int


#: State of a file in the catalog: device, inode (signed, because SQLite has only signed numbers),
#: size, mtime, ctime (in nanoseconds), and a kind from 0 to 3.
LastSeen = tuple[int, int, int, int, int, int]


class Unchanged:
    """The files of a directory as saved in the catalog; ``listing`` only counts unchanged files.

    Attributes:
        files: states of files in the catalog, by name; ``listing`` removes each file that it finds.
        device: device number of the volume's root.
        number: device number that ``files`` have in place of ``device``, see ``FileRow.device``.
        met: number of unchanged files that the listing found, by kind.
    """

    __slots__ = ("device", "files", "met", "number")

    def __init__(
        self,
        files: dict[bytes, LastSeen],
        device: int,
        number: int,
    ) -> None:
        """Use the catalog's files of one directory; no unchanged file is counted yet."""
        self.files = files
        self.device = device
        self.number = number
        self.met = [0, 0, 0, 0]


class ListedDirectory(NamedTuple):
    """A subdirectory of a listed directory; a scan may enter the subdirectory."""

    name: bytes
    inode: int


class ListedGone(NamedTuple):
    """A name that was removed after the directory was read and before the ``stat`` of the name."""

    name: bytes
    inode: int


class ListedOther(NamedTuple):
    """An entry of a directory that scans do not read, and the reason."""

    name: bytes
    reason: Skipped


class ListedError(NamedTuple):
    """An entry of a directory whose ``stat`` failed, and the kernel's error."""

    name: bytes
    error: OSError


Listed = ListedFile | ListedName | ListedDirectory | ListedGone | ListedOther | ListedError


def reason_not_read(mode: int) -> Skipped:
    """Why a scan does not read an entry with this ``st_mode``, which is no file or directory."""
    if stat.S_ISLNK(mode):
        return Skipped.SYMLINK
    if stat.S_ISFIFO(mode):
        return Skipped.FIFO
    if stat.S_ISSOCK(mode):
        return Skipped.SOCKET
    return Skipped.DEVICE


def listing(
    directory: int,
    *,
    names_only: bool = False,
    unchanged: Unchanged | None = None,
    pause: Callable[[], None] = lambda: None,
) -> Iterator[Listed]:
    """Yield the entries of an open directory, without ``.`` and ``..``.

    Args:
        directory: descriptor of the directory to list.
        names_only: list files without their ``lstat``, which saves a system call for each file.
        unchanged: states of the files in the catalog; unchanged files are counted, not listed.
        pause: ``listing`` calls this function after every few entries.

    Raises:
        OSError: the directory, or the rest of the directory, could not be read.
    """
    files = None if unchanged is None else unchanged.files
    encoding, errors = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()
    with os.scandir(directory) as entries:
        for number, entry in enumerate(entries):
            if not number % _PAUSE:
                pause()
            name = entry.name.encode(encoding, errors)  # twice as fast as os.fsencode(entry.name)
            try:
                if entry.is_file(follow_symlinks=False):
                    if names_only:
                        yield ListedName(name, entry.inode())
                        continue
                    status = entry.stat(follow_symlinks=False)
                    if unchanged is not None and files is not None:
                        was = files.pop(name, None)
                        if was is not None:
                            device, inode, size, mtime, ctime, kind = was
                            now = status.st_dev
                            if (
                                (status.st_ino == inode or status.st_ino - (1 << 64) == inode)
                                and status.st_size == size
                                and (
                                    status.st_mtime_ns == mtime or cut(status.st_mtime_ns) == mtime
                                )
                                and (
                                    status.st_ctime_ns == ctime or cut(status.st_ctime_ns) == ctime
                                )
                                and (unchanged.number if now == unchanged.device else now) == device
                                and stat.S_ISREG(status.st_mode)
                            ):
                                unchanged.met[kind] += 1
                                continue
                    if stat.S_ISREG(status.st_mode):
                        yield ListedFile(name, status)
                        continue
                    mode = status.st_mode  # another entry replaced the file before the stat
                elif entry.is_dir(follow_symlinks=False):
                    yield ListedDirectory(name, entry.inode())
                    continue
                elif entry.is_symlink():
                    yield ListedOther(name, Skipped.SYMLINK)
                    continue
                else:
                    mode = entry.stat(follow_symlinks=False).st_mode
                if stat.S_ISDIR(mode):
                    yield ListedDirectory(name, entry.inode())
                elif stat.S_ISREG(mode):
                    yield ListedFile(name, os.lstat(name, dir_fd=directory))
                else:
                    yield ListedOther(name, reason_not_read(mode))
            except FileNotFoundError:
                yield ListedGone(name, entry.inode())
            except OSError as error:
                yield ListedError(name, error)


def listed(directory: int, name: bytes) -> Listed:
    """The current state of one entry of a directory, by its ``lstat``."""
    try:
        status = os.lstat(name, dir_fd=directory)
    except FileNotFoundError:
        return ListedGone(name, 0)
    except OSError as error:
        return ListedError(name, error)
    if stat.S_ISREG(status.st_mode):
        return ListedFile(name, status)
    if stat.S_ISDIR(status.st_mode):
        return ListedDirectory(name, status.st_ino)
    return ListedOther(name, reason_not_read(status.st_mode))


def names_of(
    directory: int, inodes: Container[int], *, only_directories: bool = False
) -> dict[int, bytes]:
    """The current names of inodes in a directory, by inode number.

    One call lists the whole directory, so pass many inodes at once. With ``only_directories``,
    files are left out, because a file may have the inode number of a removed directory.

    Raises:
        OSError: the directory cannot be read.
    """
    with os.scandir(directory) as entries:
        return {
            entry.inode(): os.fsencode(entry.name)
            for entry in entries
            if entry.inode() in inodes
            and not (only_directories and not entry.is_dir(follow_symlinks=False))
        }


class Follower:
    """Finds a file that was renamed within its directory, by its inode number.

    A directory's owner decides how many entries it has and how often they are renamed. So one
    listing serves all files of a directory, and the number of listed entries is limited: ``FREE``
    entries at first, and ``EARNED`` more for each match. When the limit is reached, a renamed file
    is not found, as if it had been moved to another directory.
    """

    FREE = 1_000_000
    EARNED = 1_000
    #: Maximum number of entries of a directory whose listing is kept in memory (about 25 MB).
    KEPT = 200_000

    def __init__(self) -> None:
        """Begin with no directory listed."""
        self._credit = self.FREE
        self._directory: Identity | None = None
        self._names: dict[int, bytes] = {}

    def earn(self) -> None:
        """Raise the limit of listed entries for one more match."""
        self._credit = min(self.FREE, self._credit + self.EARNED)

    def name_of(self, directory: int, inode: int) -> bytes | None:
        """The current name of an inode in an open directory; ``None``: not found within the limit.

        Raises:
            OSError: the directory cannot be read.
        """
        status = os.fstat(directory)
        identity = Identity(status.st_dev, status.st_ino)
        if identity == self._directory:
            name = self._names.get(inode)
            if name is not None and _has(directory, name, inode):
                return name
        if self._credit <= 0:
            return None
        self._directory, self._names = identity, {}
        found: bytes | None = None
        with os.scandir(directory) as entries:
            for entry in entries:
                self._credit -= 1
                name = os.fsencode(entry.name)
                if entry.inode() == inode:
                    found = name
                if len(self._names) < self.KEPT:
                    self._names[entry.inode()] = name
        return found


def _has(directory: int, name: bytes, inode: int) -> bool:
    try:
        return os.stat(name, dir_fd=directory, follow_symlinks=False).st_ino == inode
    except FileNotFoundError:
        return False
