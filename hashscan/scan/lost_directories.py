"""Lost directories: gone when they were to be listed, because they were removed or renamed.

A removed directory does not concern a scan; a renamed one would be passed over in silence. To
distinguish them, the directory above is listed: once for all that it lost, after its last
subdirectory was tried. If that directory is gone as well, it is searched in the directory above it,
and all that it lost shares its fate.
"""

from __future__ import annotations

from enum import IntEnum
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hashscan.catalog.store import Catalog

#: Lost directories that wait; if there are more, a search begins while others are still listed.
MOST = 100_000
#: Lost directories that one listing searches.
_AT_ONCE = 50_000
RENAMED = "it was renamed while it was scanned; it is entered in the next scan"
REPLACED = (
    "it was renamed while it was scanned, and another directory has its name now; it is entered in "
    "the next scan"
)


_UNKNOWN = "it was gone when it was to be listed, and the directory above it does not show why"


class Fate(IntEnum):
    """The fate of a lost directory: gone, at its place, or there under another name."""

    GONE = 0
    HERE = 1
    ELSEWHERE = 2


def fate_of(name: bytes, now: bytes | None) -> Fate:
    """The fate of a directory whose inode now has the name ``now`` (``None``: none) there."""
    if now is None:
        return Fate.GONE
    return Fate.HERE if now == name else Fate.ELSEWHERE


class LostEntry(NamedTuple):
    """An entry without an outcome, because its directory is lost.

    Attributes:
        directory: id of that directory.
        name: of a file in it; empty: the directory itself, which counts as one entry.
        instead: inode of the directory that was listed in its place: such an entry counts only if
            the directory has another name now. 0: none was.
    """

    directory: int
    name: bytes = b""
    instead: int = 0


class Settled(NamedTuple):
    """An entry that has its outcome.

    Attributes:
        volume: index of the volume.
        problem: message of the problem; empty: its directory was removed.
    """

    volume: int
    entry: LostEntry
    problem: str


class Search(NamedTuple):
    """A search for lost directories in the directory that held them.

    Attributes:
        volume: index of the volume.
        directory: id of the directory that held them.
        path: its path below the volume's root.
        inode: the inode that it must have; 0: any.
        names: of each lost directory its name, with its inode and that of the one in its place.
        lost: by id of a lost directory, the entries that share its fate.
    """

    volume: int
    directory: int
    path: bytes
    inode: int
    names: tuple[tuple[bytes, int], ...]
    lost: dict[int, list[LostEntry]]


class LostDirectories:
    """The lost directories that are still to be searched, by the directory that held them."""

    def __init__(self, catalog: Catalog) -> None:
        """Names, inodes and parents of directories come from ``catalog``."""
        self._catalog = catalog
        #: By volume and holding directory: the entries, by ids of the directories that it lost.
        self._held: dict[tuple[int, int], dict[int, list[LostEntry]]] = {}
        self._count = 0
        #: Ids of directories that were found at their place, though they could not be opened there
        #: before, or showed another inode: a mount has another one than the directory it hides.
        self._sure: set[int] = set()

    def __len__(self) -> int:
        """Number of entries that wait for a search."""
        return self._count

    def ids(self) -> Iterator[int]:
        """Ids of the directories that wait: the catalog must keep them meanwhile."""
        for lost in self._held.values():
            for number, entries in lost.items():
                yield number
                yield from (entry.directory for entry in entries)

    def forget_volume(self, volume: int) -> None:
        """Drop all searches in a volume."""
        for key in [key for key in self._held if key[0] == volume]:
            self._count -= sum(map(len, self._held.pop(key).values()))

    def add(self, volume: int, entries: Sequence[LostEntry]) -> list[Settled]:
        """Note the entries of one lost directory; return entries that get their outcome by it."""
        return self._add(volume, entries[0].directory, entries)

    def _add(self, volume: int, lost: int, entries: Sequence[LostEntry]) -> list[Settled]:
        parent = self._catalog.place_of(lost).parent
        if not parent:
            # The volume's root, which nothing holds, or a directory that the catalog forgot.
            return [Settled(volume, entry, RENAMED) for entry in entries if not entry.instead]
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
        names = tuple(
            (place.name, inode)
            for place, entries in zip(places, lost.values(), strict=True)
            for inode in (place.inode, max(entry.instead for entry in entries))
        )
        return Search(volume, directory, path, inode, names, lost)

    def found(self, search: Search, fates: Sequence[int] | None) -> list[Settled]:
        """Take the fates that a search found; ``None``: the directory itself was not at its place.

        Returns the entries that get their outcome by it.
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
                    # Else it was removed, or its file system lists other inodes than it opens.
                    if (fate, fate_of_other) == (Fate.ELSEWHERE, Fate.HERE):
                        settled.append(Settled(volume, entry, REPLACED))
                elif fate == Fate.HERE and entry.directory != number:
                    # The directories that it lost are searched in it.
                    self._sure.add(number)
                    settled += self._add(volume, entry.directory, [entry])
                else:
                    settled.append(Settled(volume, entry, "" if fate == Fate.GONE else RENAMED))
        return settled

    def put_back(self, search: Search) -> None:
        """Queue a search again: its process has not begun it."""
        held = self._held.setdefault((search.volume, search.directory), {})
        for number, entries in search.lost.items():
            held.setdefault(number, []).extend(entries)
            self._count += len(entries)

    def failed(self, search: Search, why: str) -> list[Settled]:
        """Note that a search failed: its directories may still be there."""
        problem = f"{_UNKNOWN}: {why}; it is entered in the next scan if it is there"
        return [
            Settled(search.volume, entry, problem)
            for some in search.lost.values()
            for entry in some
        ]
