"""A volume: which directory tree, and what of it is left out."""

from __future__ import annotations

import fnmatch
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


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


def excluder(globs: Sequence[str]) -> Callable[[bytes], bool]:
    """A function that says whether one of ``globs`` excludes a path below the root.

    A directory ``d`` need not be entered where ``d`` or ``d/`` is excluded: a glob that ends in
    ``/*`` means all below.
    """
    if not globs:
        return lambda _path: False
    match = re.compile("|".join(f"(?:{fnmatch.translate(glob)})" for glob in globs)).match
    return lambda path: match(os.fsdecode(path)) is not None
