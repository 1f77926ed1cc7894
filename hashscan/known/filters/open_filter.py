"""Opens any filter file: a filter of hashscan (with ``FILE.json`` beside it), or of DCSO."""

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

#: A filter of hashscan or of DCSO that passed all its checks.
FilterFile: TypeAlias = BloomFile | DcsoFile
#: The algorithms that are assumed for a filter file that does not name its algorithms.
DEFAULT_ALGORITHMS: tuple[Algorithm, ...] = ("md5", "sha1")


def open_filter(
    path: str,
    *,
    max_age: float | None = None,
    category: str = DEFAULT_CATEGORY,
    algorithms: Iterable[Algorithm] = DEFAULT_ALGORITHMS,
) -> FilterFile:
    """Recognise the kind of a filter file, check the file and open it.

    ``category`` and ``algorithms`` are used for a filter file that does not name its category or
    its algorithms. ``max_age``: number of seconds for which a filter may be used, as for ``load``.

    Raises:
        FilterError: the file is not a filter, or is damaged, expired or unreadable.
    """
    if kind_of_filter(path) == "dcso":
        return load_dcso(path, category=category, algorithms=algorithms, max_age=max_age)
    return load(path, max_age=max_age)


def kind_of_filter(path: str) -> Literal["hashscan", "dcso", "other"]:
    """The kind of a filter file, from its first bytes; kind ``other`` may be a digest list.

    Raises:
        FilterError: the file is missing, is not a regular file, or cannot be read.
    """
    mend = "see the path and its permissions"
    with open_regular(path, mend) as descriptor:
        try:
            head = os.pread(descriptor, 16, 0)
        except OSError as error:
            raise FilterError(f"{shown(path)}: cannot be read: {error.strerror}; {mend}") from error
    # The file's first 64-bit words tell the kind. DCSO's format 1 and poppy's 2 begin with their
    # version (poppy has options in the next byte). A hashscan filter begins with a fraction, and
    # then has the number of slices, below 256.
    if head.startswith(GZIP_MAGIC) or (head[:1] in {b"\1", b"\2"} and head[2:8] == bytes(6)):
        return "dcso"
    return "hashscan" if head[9:16] == bytes(7) else "other"
