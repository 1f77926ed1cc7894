"""A volume: a directory tree to scan, and the globs of files that are not scanned."""

from __future__ import annotations

import fnmatch
import os
import re
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence


@dataclass(frozen=True, slots=True)
class Volume:
    """A directory tree to scan.

    Attributes:
        root: absolute path of the volume, without symbolic links.
        exclude: globs of the paths below the root that scans skip.
        one_file_system: whether scans do not enter other file systems below the root.
    """

    root: bytes
    exclude: tuple[str, ...] = ()
    one_file_system: bool = True


class Roots:
    """An index of the roots of many volumes, for fast look-ups by path."""

    def __init__(self, roots: Iterable[bytes]) -> None:
        """Index the volumes' roots, which are absolute paths without symbolic links."""
        self._roots = frozenset(roots)
        self._places = sorted(root.rstrip(b"/") + b"/" for root in self._roots)

    def inside(self, root: bytes) -> list[bytes]:
        """Paths, relative to ``root``, of the other volumes' roots below ``root``."""
        prefix = root.rstrip(b"/") + b"/"
        start = bisect_right(self._places, prefix)
        end = bisect_left(self._places, prefix[:-1] + b"0", start)  # "0" is the byte after "/"
        return [place[len(prefix) : -1] for place in self._places[start:end]]

    def holding(self, path: bytes) -> bytes | None:
        """The innermost root that contains or equals ``path``; ``None``: no volume contains it."""
        while path not in self._roots:
            if path in {b"/", b""}:
                return None
            path = path.rpartition(b"/")[0] or b"/"
        return path


def excluder(globs: Sequence[str]) -> Callable[[bytes], bool]:
    """A function that returns whether one of ``globs`` excludes a path below the root.

    A directory ``d`` need not be entered if the function excludes ``d`` or ``d/``: the glob ``d/*``
    matches ``d/`` and every path below ``d``.
    """
    if not globs:
        return lambda _path: False
    match = re.compile("|".join(f"(?:{fnmatch.translate(glob)})" for glob in globs)).match
    return lambda path: match(os.fsdecode(path)) is not None
