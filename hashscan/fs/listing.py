"""Reading a directory in flat memory, one entry at a time, by descriptor.

The kind of an entry comes from the directory itself where the file system gives it there, so that
only regular files cost a stat. Names are bytes.
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

#: Entries between two pauses.
_PAUSE = 64


class ListedFile(NamedTuple):
    """A regular file, as the directory and lstat show it."""

    name: bytes
    status: os.stat_result


class ListedName(NamedTuple):
    """A regular file, as the directory alone shows it."""

    name: bytes
    inode: int


#: Device, inode (signed, as SQLite keeps it), size, mtime, ctime (in nanoseconds), and a kind from
#: 0 to 3.
LastSeen = tuple[int, int, int, int, int, int]


class Unchanged:
    """The files of a directory as the catalog has them; unchanged ones are counted, not listed.

    Attributes:
        files: how files were seen last, by their names; a file that is listed is taken out.
        device: device number of the volume's root; ``number``: the number that ``files`` have for
            it.
        met: how many unchanged files of each kind were listed.
    """

    __slots__ = ("device", "files", "met", "number")

    def __init__(
        self,
        files: dict[bytes, LastSeen],
        device: int,
        number: int,
    ) -> None:
        """Of one directory."""
        self.files = files
        self.device = device
        self.number = number
        self.met = [0, 0, 0, 0]


class ListedDirectory(NamedTuple):
    """A directory that may be entered."""

    name: bytes
    inode: int


class ListedGone(NamedTuple):
    """A name that was there when the directory was read, and a moment later was not."""

    name: bytes
    inode: int


class ListedOther(NamedTuple):
    """An entry that is not read, and why."""

    name: bytes
    reason: Skipped


class ListedError(NamedTuple):
    """An entry whose kind or status could not be found out."""

    name: bytes
    error: OSError


Listed = ListedFile | ListedName | ListedDirectory | ListedGone | ListedOther | ListedError


def reason_not_read(mode: int) -> Skipped:
    """Why something with this ``st_mode``, which is neither file nor directory, is not read."""
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
    """What the directory open at descriptor ``directory`` holds, without ``.`` and ``..``.

    With ``names_only`` files are told without their status: a call less for each. ``pause`` is
    called now and then.

    Raises:
        OSError: the directory itself could not be read, or not to its end.
    """
    files = None if unchanged is None else unchanged.files
    encoding, errors = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()
    with os.scandir(directory) as entries:
        for number, entry in enumerate(entries):
            if not number % _PAUSE:
                pause()
            name = entry.name.encode(encoding, errors)  # as os.fsencode, at half its price
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
                    mode = status.st_mode  # replaced between the listing and the stat
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
    """What one entry of a directory is now."""
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
    """The present names of inodes in a directory, by the inode numbers of its listing.

    This lists all of the directory: ask once for many inodes. ``only_directories``: leave files
    out, which may have the number of a removed directory by now.

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
    """Finds files again that were renamed in their directory, by their inode numbers.

    A directory's owner decides how many entries it has and how often they are renamed. So one
    listing serves all files of a directory, and the cost of listings is bounded: ``FREE`` entries
    at first, ``EARNED`` more for each file that is acted on. When that is spent, a renamed file is
    not found, as if it had left the directory.
    """

    FREE = 1_000_000
    EARNED = 1_000
    #: Entries of the largest directory whose listing is kept, about 25 MB.
    KEPT = 200_000

    def __init__(self) -> None:
        """Nothing was listed yet."""
        self._credit = self.FREE
        self._directory: Identity | None = None
        self._names: dict[int, bytes] = {}

    def earn(self) -> None:
        """Count a file that is acted on."""
        self._credit = min(self.FREE, self._credit + self.EARNED)

    def name_of(self, directory: int, inode: int) -> bytes | None:
        """The present name of an inode in an open directory; ``None``: none, or too expensive.

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
