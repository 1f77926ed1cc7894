"""Opens any filter file: one of hashscan (with ``FILE.json`` beside it), or a DCSO filter."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal, TypeAlias

from hashscan.errors import FilterError
from hashscan.known.filters.dcso import GZIP_MAGIC, DcsoFile, load_dcso
from hashscan.known.filters.file_bytes import open_regular
from hashscan.known.filters.filter_file import BloomFile, load
from hashscan.model import DEFAULT_CATEGORY
from hashscan.text import shown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hashscan.model import Algorithm

#: A filter after all its checks.
FilterFile: TypeAlias = BloomFile | DcsoFile
#: The algorithms that are assumed for a file that does not name them.
DEFAULT_ALGORITHMS: tuple[Algorithm, ...] = ("md5", "sha1")


def open_filter(
    path: str,
    *,
    max_age: float | None = None,
    category: str = DEFAULT_CATEGORY,
    algorithms: Iterable[Algorithm] = DEFAULT_ALGORITHMS,
) -> FilterFile:
    """Recognise a filter file, check it and open it.

    ``category`` and ``algorithms`` are used for a file that does not name them; ``max_age`` is as
    for ``load``.

    Raises:
        FilterError: it is not a filter, or cannot be used.
    """
    if kind_of_filter(path) == "dcso":
        return load_dcso(path, category=category, algorithms=algorithms, max_age=max_age)
    return load(path, max_age=max_age)


def kind_of_filter(path: str) -> Literal["hashscan", "dcso", "other"]:
    """The kind of a file by its first bytes; ``other`` may be a digest list.

    Raises:
        FilterError: it is missing, is not a regular file, or cannot be read.
    """
    mend = "see the path and its permissions"
    with open_regular(path, mend) as descriptor:
        try:
            head = os.pread(descriptor, 16, 0)
        except OSError as error:
            raise FilterError(f"{shown(path)}: cannot be read: {error.strerror}; {mend}") from error
    # As numbers of 64 bits: the version of DCSO's format 1 or of poppy's 2 (whose next byte has
    # options); hashscan's has a fraction there, and then the number of slices, below 256.
    if head.startswith(GZIP_MAGIC) or (head[:1] in {b"\1", b"\2"} and head[2:8] == bytes(6)):
        return "dcso"
    return "hashscan" if head[9:16] == bytes(7) else "other"
