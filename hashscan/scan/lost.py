"""Directories that were gone when they were to be listed: removed, or there under another name.

A removed directory is no concern of a scan; a renamed one would be passed over in silence. To tell
the two apart, the directory that held them is listed: once for all that it lost, after its last
subdirectory was tried. A directory that held some and is gone itself is looked for in the directory
above it, and its fate is that of all that it held.
"""

from __future__ import annotations

from enum import IntEnum
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from hashscan.catalog.store import Catalog

#: Directories that wait before they are looked for although others are still to be listed.
MOST = 100_000
#: Directories that are looked for in one listing.
_AT_ONCE = 50_000
RENAMED = "it was renamed while it was scanned; it is entered in the next scan"


_UNKNOWN = "it was gone when it was to be listed, and the directory above it does not tell why"


class Fate(IntEnum):
    """What became of a directory: gone, at its place, or there under another name."""

    GONE = 0
    HERE = 1
    ELSEWHERE = 2


def fate_of(name: bytes, now: bytes | None) -> Fate:
    """The fate of a directory whose inode has the name ``now`` (``None``: none) where it was."""
    if now is None:
        return Fate.GONE
    return Fate.HERE if now == name else Fate.ELSEWHERE


class Entry(NamedTuple):
    """What has no outcome yet, since its directory is lost.

    Attributes:
        directory: id of that directory.
        name: of a file in it; empty: the directory itself, which counts as one entry.
    """

    directory: int
    name: bytes = b""


class Settled(NamedTuple):
    """An entry that has its outcome.

    Attributes:
        volume: index of the volume.
        problem: what is wrong; empty: its directory was removed.
    """

    volume: int
    entry: Entry
    problem: str


class Search(NamedTuple):
    """Lost directories to be looked for in the directory that held them.

    Attributes:
        volume: index of the volume.
        directory: id of the directory that held them.
        path: its path below the volume's root.
        inode: which it must have; 0: any.
        names: the directories' names and inodes.
        lost: by the directories' ids, the entries that have their fate.
    """

    volume: int
    directory: int
    path: bytes
    inode: int
    names: tuple[tuple[bytes, int], ...]
    lost: dict[int, list[Entry]]


class LostDirectories:
    """What was lost and is still to be looked for, by the directory that held it."""

    def __init__(self, catalog: Catalog) -> None:
        """Names, inodes and parents of directories come from ``catalog``."""
        self._catalog = catalog
        #: By volume and holder: by the ids of the directories that it lost, their entries.
        self._held: dict[tuple[int, int], dict[int, list[Entry]]] = {}
        self._count = 0
        #: Ids of directories that were found at their place, though they could not be opened there
        #: before, or showed another inode: a mount has another one than the directory it hides.
        self._sure: set[int] = set()

    def __len__(self) -> int:
        """Entries without an outcome that wait for a search."""
        return self._count

    def ids(self) -> Iterator[int]:
        """Ids of the directories that wait: the catalog must not forget them meanwhile."""
        for lost in self._held.values():
            for number, entries in lost.items():
                yield number
                yield from (entry.directory for entry in entries)

    def forget_volume(self, volume: int) -> None:
        """Look for nothing more in a volume."""
        for key in [key for key in self._held if key[0] == volume]:
            self._count -= sum(map(len, self._held.pop(key).values()))

    def add(self, volume: int, entries: Sequence[Entry]) -> list[Settled]:
        """Note the entries of one lost directory; those that are settled by that are returned."""
        return self._add(volume, entries[0].directory, entries)

    def _add(self, volume: int, lost: int, entries: Sequence[Entry]) -> list[Settled]:
        parent = self._catalog.place_of(lost).parent
        if not parent:
            # The volume's root, which nothing holds, or a directory that the catalog forgot.
            return [Settled(volume, entry, RENAMED) for entry in entries]
        held = self._held.setdefault((volume, parent), {})
        held.setdefault(lost, []).extend(entries)
        self._count += len(entries)
        return []

    def next(self) -> Search | None:
        """The next search, which is one listing; ``None``: nothing waits."""
        if not self._held:
            return None
        key = volume, directory = next(iter(self._held))
        held = self._held[key]
        lost = {number: held.pop(number) for number in list(islice(held, _AT_ONCE))}
        if not held:
            del self._held[key]
        self._count -= sum(map(len, lost.values()))
        places = [self._catalog.place_of(number) for number in lost]
        own = self._catalog.place_of(directory)
        inode = 0 if directory in self._sure else own.inode
        path = self._catalog.directory_path(directory)
        names = tuple((place.name, place.inode) for place in places)
        return Search(volume, directory, path, inode, names, lost)

    def found(self, search: Search, fates: Iterable[int] | None) -> list[Settled]:
        """Take what a search came to; ``None``: the directory itself was not at its place.

        Returns the entries that have their outcome by that.
        """
        volume, settled = search.volume, []
        if fates is None:
            entries = [entry for some in search.lost.values() for entry in some]
            if search.directory in self._sure:
                return [Settled(volume, entry, RENAMED) for entry in entries]
            return self._add(volume, search.directory, entries)
        for (number, entries), fate in zip(search.lost.items(), fates, strict=True):
            for entry in entries:
                if fate == Fate.HERE and entry.directory != number:
                    # What it lost is looked for in it.
                    self._sure.add(number)
                    settled += self._add(volume, entry.directory, [entry])
                else:
                    settled.append(Settled(volume, entry, "" if fate == Fate.GONE else RENAMED))
        return settled

    def put_back(self, search: Search) -> None:
        """Have it searched once more: the process that was to do it did not come to it."""
        held = self._held.setdefault((search.volume, search.directory), {})
        for number, entries in search.lost.items():
            held.setdefault(number, []).extend(entries)
            self._count += len(entries)

    def failed(self, search: Search, why: str) -> list[Settled]:
        """Take that a search told nothing: what it was to find may be there."""
        problem = f"{_UNKNOWN}: {why}; it is entered in the next scan if it is there"
        return [
            Settled(search.volume, entry, problem)
            for some in search.lost.values()
            for entry in some
        ]
