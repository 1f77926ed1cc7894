"""Holds the tree of watched directories, by parent and name, so that a rename moves one node.

Events show the past and walks show the present, so the tree may be wrong for moments. Two
directories may even be inside each other, if a customer exchanged them between an event and a walk.
Later events correct the tree.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: Parent number of a volume's root, which has no parent.
ROOT = -1
#: Parent number of a directory that was moved to an unknown place.
AWAY = -2
#: Largest depth of a directory with a place; scans have the same limit (``scan.directory_task``).
MOST_LEVELS = 4096


class Node:
    """Describes a watched directory of a volume.

    Attributes:
        volume: index of the directory's volume.
        parent: watch of the directory's parent directory, or ``ROOT`` or ``AWAY``.
        name: name of the directory in its parent directory.
        children: watches of the directory's subdirectories, by name.
    """

    __slots__ = ("children", "name", "parent", "volume")

    def __init__(self, volume: int, parent: int, name: bytes) -> None:
        """Make a node without subdirectories."""
        self.volume = volume
        self.parent = parent
        self.name = name
        self.children: dict[bytes, int] | None = None


class NoPlaceError(Exception):
    """Raised if a directory is too deep or, for a moment, seems to be inside itself."""


class Tree:
    """Holds all watched directories, by the numbers of their watches."""

    def __init__(self) -> None:
        """Make an empty tree of watched directories."""
        self._nodes: dict[int, Node] = {}
        self._of: defaultdict[int, set[int]] = defaultdict(set)
        #: The directory that had a name before another directory got the name, by parent and name;
        #: and the same by directory.
        self._displaced: dict[tuple[int, bytes], int] = {}
        self._lost_names: dict[int, set[tuple[int, bytes]]] = {}

    def __contains__(self, watch: int) -> bool:
        return watch in self._nodes

    def get(self, watch: int) -> Node | None:
        """Return the directory with the watch of this number."""
        return self._nodes.get(watch)

    def watches_of(self, volume: int) -> list[int]:
        """Return the watches of a volume's directories."""
        return list(self._of[volume])

    def put(self, watch: int, volume: int, parent: int, name: bytes) -> int | None:
        """Note the place of a watched directory: its volume, parent and name.

        Returns:
            the volume in which the directory was before; ``None``: the directory was not watched.
        """
        node = self._nodes.get(watch)
        before = None if node is None else node.volume
        if node is None:
            self._nodes[watch] = Node(volume, parent, name)
            self._of[volume].add(watch)
        elif (node.parent, node.name, node.volume) != (parent, name, volume):
            self._detach(watch, node)
            self._of[node.volume].discard(watch)
            self._of[volume].add(watch)
            node.parent, node.name, node.volume = parent, name, volume
        above = self._nodes.get(parent)
        if above is not None:
            if above.children is None:
                above.children = {}
            self._displace(above.children.get(name, watch), watch)
            above.children[name] = watch
        return before

    def _displace(self, old: int, new: int) -> None:
        """Note that directory ``new`` took the name of ``old``, which was removed or exchanged."""
        node = self._nodes.get(old)
        if node is not None and old != new:
            place = node.parent, node.name
            self._forget_displaced(place)
            self._displaced[place] = old
            self._lost_names.setdefault(old, set()).add(place)
            node.parent = AWAY

    def _forget_displaced(self, place: tuple[int, bytes]) -> int | None:
        """Forget that a directory had a name before, and return the directory."""
        one = self._displaced.pop(place, None)
        if one is not None:
            places = self._lost_names[one]
            places.discard(place)
            if not places:
                del self._lost_names[one]
        return one

    def child(self, watch: int, name: bytes) -> int | None:
        """Return the watch of the subdirectory that an event reports as moved away."""
        displaced = self._forget_displaced((watch, name))
        if displaced is not None and self.is_away(displaced):
            return displaced
        node = self._nodes.get(watch)
        return None if node is None or node.children is None else node.children.get(name)

    def move_away(self, watch: int) -> None:
        """Note that a directory was moved away from its place."""
        node = self._nodes[watch]
        self._detach(watch, node)
        node.parent = AWAY

    def is_away(self, watch: int) -> bool:
        """Return whether a directory was moved away, and has no new place yet."""
        node = self._nodes.get(watch)
        return node is not None and node.parent == AWAY

    def _detach(self, watch: int, node: Node) -> None:
        above = self._nodes.get(node.parent)
        if above is not None and above.children and above.children.get(node.name) == watch:
            del above.children[node.name]

    def take_out(self, watch: int) -> Iterator[tuple[int, Node]]:
        """Remove a directory and all directories below it; yield each with its watch."""
        node = self._nodes.get(watch)
        if node is not None:
            self._detach(watch, node)
        waiting = [watch]
        while waiting:
            one = waiting.pop()
            node = self._nodes.pop(one, None)
            if node is None:
                continue
            self._of[node.volume].discard(one)
            for place in list(self._lost_names.get(one, ())):
                self._forget_displaced(place)
            waiting += (node.children or {}).values()
            yield one, node

    def topmost(self, watches: Iterable[int]) -> list[int]:
        """Return those of the directories that are not below another of the directories."""
        wanted = dict.fromkeys(watches)
        below: dict[int, bool] = {}  # True for a directory below another of ``watches``.
        found = []
        for watch in wanted:
            node = self._nodes.get(watch)
            climbed: list[int] = []
            here = ROOT if node is None else node.parent
            while here not in wanted and here not in below and here in self._nodes:
                if len(climbed) > MOST_LEVELS:
                    break  # For a moment, the tree shows the directory inside itself.
                climbed.append(here)
                here = self._nodes[here].parent
            is_below = here in wanted or below.get(here, False)
            below.update(dict.fromkeys(climbed, is_below))
            if not is_below:
                found.append(watch)
        return found

    def place(self, watch: int) -> tuple[int, bytes] | None:
        """Return the volume and the path of a watched directory.

        The result is ``None`` if the directory is not in a volume any more.

        Raises:
            NoPlaceError: the directory is deeper than ``MOST_LEVELS``, or inside itself.
        """
        names: list[bytes] = []
        node = self._nodes.get(watch)
        while node is not None:
            if node.parent == ROOT:
                return node.volume, b"/".join(reversed(names))
            if len(names) >= MOST_LEVELS:
                raise NoPlaceError
            names.append(node.name)
            node = self._nodes.get(node.parent)
        return None
