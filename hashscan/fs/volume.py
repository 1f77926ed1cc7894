"""A volume: which directory tree, and what of it is left out."""

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
        root: absolute path, links resolved.
        exclude: globs against the path below the root.
        one_file_system: do not enter other file systems.
    """

    root: bytes
    exclude: tuple[str, ...] = ()
    one_file_system: bool = True


class Roots:
    """The roots of many volumes, indexed: a look-up costs the depth of a path, or its answer."""

    def __init__(self, roots: Iterable[bytes]) -> None:
        """``roots``: absolute paths, links resolved."""
        self._roots = frozenset(roots)
        self._places = sorted(root.rstrip(b"/") + b"/" for root in self._roots)

    def inside(self, root: bytes) -> list[bytes]:
        """Paths below ``root`` of the volumes whose roots are inside it."""
        prefix = root.rstrip(b"/") + b"/"
        start = bisect_right(self._places, prefix)
        end = bisect_left(self._places, prefix[:-1] + b"0", start)  # "0" follows "/"
        return [place[len(prefix) : -1] for place in self._places[start:end]]

    def holding(self, path: bytes) -> bytes | None:
        """The innermost root that is ``path`` or above it; ``None``: there is none."""
        while path not in self._roots:
            if path in {b"/", b""}:
                return None
            path = path.rpartition(b"/")[0] or b"/"
        return path


def excluder(globs: Sequence[str]) -> Callable[[bytes], bool]:
    """A function that says whether one of ``globs`` excludes a path below the root.

    A directory ``d`` need not be entered where ``d`` or ``d/`` is excluded: a glob that ends in
    ``/*`` means all below.
    """
    if not globs:
        return lambda _path: False
    match = re.compile("|".join(f"(?:{fnmatch.translate(glob)})" for glob in globs)).match
    return lambda path: match(os.fsdecode(path)) is not None
