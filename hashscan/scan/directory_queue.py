"""Holds the directories that wait to be listed: a stack in memory, the rest in the catalog."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, NamedTuple

from hashscan.catalog.rows import QueuedDirectory

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashscan.catalog.store import Catalog

_MOST = 50_000
_MOST_BYTES = 16 << 20
_BACK = 10_000
_STEP = 50
_owners = itertools.count()


class WaitingDirectories(NamedTuple):
    """Describes a directory that waits to be listed.

    Attributes:
        volume: index of the directory's volume among the scan's volumes.
        weight: the share of the whole scan's work that the directory counts as.
    """

    volume: int
    directory: QueuedDirectory
    weight: float


class Frontier:
    """Holds the waiting directories on a stack: last in, first out, so depth decides its size."""

    def __init__(self, catalog: Catalog) -> None:
        """Make an empty stack that spills directories to ``catalog`` if memory holds too many.

        The spilled directories exist only as long as ``catalog`` is open.
        """
        self._catalog = catalog
        self._owner = next(_owners)
        self._stack: list[WaitingDirectories] = []
        self._bytes = 0
        self._spilled = 0

    def __len__(self) -> int:
        return len(self._stack) + self._spilled

    def held(self) -> Iterator[int]:
        """Return the ids of the directories in memory, which are not spilled to the catalog."""
        return (waiting.directory.number for waiting in self._stack)

    def push(self, waiting: WaitingDirectories) -> None:
        """Add a directory to the stack."""
        self._stack.append(waiting)
        self._bytes += len(waiting.directory.path)
        if len(self._stack) > _MOST or self._bytes > _MOST_BYTES:
            half = max(1, len(self._stack) // 2)
            self._catalog.spill(
                self._owner,
                (
                    (volume, directory.number, directory.fresh, weight)
                    for volume, directory, weight in self._stack[:half]
                ),
            )
            self._spilled += half
            del self._stack[:half]
            self._bytes = sum(len(one.directory.path) for one in self._stack)

    def forget_volume(self, volume: int) -> None:
        """Remove the waiting directories of a volume from the stack."""
        self._stack = [one for one in self._stack if one.volume != volume]
        if self._spilled:
            self._spilled -= self._catalog.forget_spilled(self._owner, volume)
        self._bytes = sum(len(one.directory.path) for one in self._stack)

    def pop(self) -> WaitingDirectories:
        """Remove the directory that was added last from the stack, and return it.

        Raises:
            IndexError: no directory waits on the stack.
        """
        if not self._stack and self._spilled:
            self._bring_back()
        waiting = self._stack.pop()
        self._bytes -= len(waiting.directory.path)
        return waiting

    def _bring_back(self) -> None:
        # Only the ids of directories are spilled. Paths may be long, so they come from the
        # catalog's tree.
        while self._spilled and len(self._stack) < _BACK and self._bytes < _MOST_BYTES // 2:
            back = self._catalog.unspill(self._owner, min(self._spilled, _STEP))
            self._spilled -= len(back)
            for volume, number, fresh, weight in back:
                path = self._catalog.directory_path(number)
                inode = self._catalog.place_of(number).inode
                directory = QueuedDirectory(number, path, bool(fresh), inode)
                self._stack.append(WaitingDirectories(volume, directory, weight))
                self._bytes += len(path)
