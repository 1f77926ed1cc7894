"""Searches for lost directories, which were removed or renamed before a worker listed them.

A scan can ignore a removed directory. The files of a renamed directory would be skipped in silence.
To distinguish the two cases, the parent directory is listed: once for all its lost subdirectories,
after its last subdirectory was tried. If the parent is gone as well, the parent is searched in its
own parent, and its lost subdirectories share its fate.
"""

from __future__ import annotations

from enum import IntEnum
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hashscan.catalog.store import Catalog

#: Number of lost directories that may wait for a search. If more directories wait, a search begins
#: before all directories are listed.
MOST = 100_000
#: Number of lost directories that one listing searches.
_AT_ONCE = 50_000
RENAMED = "it was renamed while it was scanned; it is entered in the next scan"
REPLACED = (
    "it was renamed while it was scanned, and another directory has its name now; it is entered in "
    "the next scan"
)


_UNKNOWN = "it was gone when it was to be listed, and the directory above it does not show why"


class Fate(IntEnum):
    """Names what happened to a lost directory: gone, at its place, or renamed there."""

    GONE = 0
    HERE = 1
    ELSEWHERE = 2


def fate_of(name: bytes, now: bytes | None) -> Fate:
    """Return what happened to the lost directory ``name``.

    ``now`` is the present name of the lost directory's inode in its parent, if there is one.
    """
    if now is None:
        return Fate.GONE
    return Fate.HERE if now == name else Fate.ELSEWHERE


class LostEntry(NamedTuple):
    """Describes a file or directory without an outcome, because its directory is lost.

    Attributes:
        directory: id of the lost directory.
        name: name of a file in the lost directory; empty: the directory itself, which counts as one
            entry.
        instead: inode of another directory that was listed in place of the lost directory; 0: none
            was listed. If it is set, the entry counts only if the lost directory has another name
            now.
    """

    directory: int
    name: bytes = b""
    instead: int = 0


class Settled(NamedTuple):
    """Describes a file or directory that now has its outcome.

    Attributes:
        volume: index of the entry's volume.
        problem: message of the problem; empty: there is no problem, the directory was removed.
    """

    volume: int
    entry: LostEntry
    problem: str


class Search(NamedTuple):
    """Describes a search for lost directories in the directory that contained them.

    Attributes:
        volume: index of the searched directory's volume.
        directory: id of the searched directory.
        path: path of the searched directory below the volume's root.
        inode: inode that the searched directory must have; 0: any inode.
        names: two pairs for each lost directory: its name with its inode, and its name with the
            inode of the directory in its place.
        lost: entries without an outcome, by the id of their lost directory.
    """

    volume: int
    directory: int
    path: bytes
    inode: int
    names: tuple[tuple[bytes, int], ...]
    lost: dict[int, list[LostEntry]]


class LostDirectories:
    """Holds the lost directories that wait for a search, by their parent directory."""

    def __init__(self, catalog: Catalog) -> None:
        """Start without lost directories; names, inodes and parents come from ``catalog``."""
        self._catalog = catalog
        #: Entries without an outcome by the id of their lost directory, for each volume and parent.
        self._held: dict[tuple[int, int], dict[int, list[LostEntry]]] = {}
        self._count = 0
        #: Ids of directories that a search found at their place, although they could not be opened
        #: there before or had another inode: a mount's inode differs from the hidden directory's.
        self._sure: set[int] = set()

    def __len__(self) -> int:
        """Return the number of entries whose directory waits for a search."""
        return self._count

    def ids(self) -> Iterator[int]:
        """Yield the ids of lost directories, which the catalog must keep until the search."""
        for lost in self._held.values():
            for number, entries in lost.items():
                yield number
                yield from (entry.directory for entry in entries)

    def forget_volume(self, volume: int) -> None:
        """Drop all searches for lost directories in a volume."""
        for key in [key for key in self._held if key[0] == volume]:
            self._count -= sum(map(len, self._held.pop(key).values()))

    def add(self, volume: int, entries: Sequence[LostEntry]) -> list[Settled]:
        """Queue the entries of one lost directory; return entries that now have an outcome."""
        return self._add(volume, entries[0].directory, entries)

    def _add(self, volume: int, lost: int, entries: Sequence[LostEntry]) -> list[Settled]:
        parent = self._catalog.place_of(lost).parent
        if not parent:
            # The lost directory is the volume's root, which has no parent, or the catalog forgot
            # the directory.
            return [Settled(volume, entry, RENAMED) for entry in entries if not entry.instead]
        held = self._held.setdefault((volume, parent), {})
        held.setdefault(lost, []).extend(entries)
        self._count += len(entries)
        return []

    def next(self) -> Search | None:
        """Return the next search for lost directories, which lists one directory.

        The result is ``None`` if no lost directory waits for a search.
        """
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
        names = tuple(
            (place.name, inode)
            for place, entries in zip(places, lost.values(), strict=True)
            for inode in (place.inode, max(entry.instead for entry in entries))
        )
        return Search(volume, directory, path, inode, names, lost)

    def found(self, search: Search, fates: Sequence[int] | None) -> list[Settled]:
        """Process what a search found out; return the entries that now have an outcome.

        ``fates`` is ``None`` if the searched directory itself was not at its path.
        """
        volume, settled = search.volume, []
        if fates is None:
            entries = [
                entry for some in search.lost.values() for entry in some if not entry.instead
            ]
            if search.directory in self._sure:
                return [Settled(volume, entry, RENAMED) for entry in entries]
            return self._add(volume, search.directory, entries)
        pairs = zip(search.lost.items(), fates[::2], fates[1::2], strict=True)
        for (number, entries), fate, fate_of_other in pairs:
            for entry in entries:
                if entry.instead:
                    # Otherwise the directory was removed, or its file system shows other inodes in
                    # a listing than after opening.
                    if (fate, fate_of_other) == (Fate.ELSEWHERE, Fate.HERE):
                        settled.append(Settled(volume, entry, REPLACED))
                elif fate == Fate.HERE and entry.directory != number:
                    # The lost subdirectories of a directory are searched in this directory.
                    self._sure.add(number)
                    settled += self._add(volume, entry.directory, [entry])
                else:
                    settled.append(Settled(volume, entry, "" if fate == Fate.GONE else RENAMED))
        return settled

    def put_back(self, search: Search) -> None:
        """Queue a search again because its process did not begin it."""
        held = self._held.setdefault((search.volume, search.directory), {})
        for number, entries in search.lost.items():
            held.setdefault(number, []).extend(entries)
            self._count += len(entries)

    def failed(self, search: Search, why: str) -> list[Settled]:
        """Note that a search failed: the lost directories may still be there."""
        problem = f"{_UNKNOWN}: {why}; it is entered in the next scan if it is there"
        return [
            Settled(search.volume, entry, problem)
            for some in search.lost.values()
            for entry in some
        ]
