"""Asks the filters about a file: first its size, then its first block, then its digests.

A file need not be hashed if no known file has its size or its first block. Only filters with tiers
can rule a file out, and all filters must do so. ``known.filters.tiers`` explains why this misses no
known file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hashscan.catalog.rows import values_of
from hashscan.model import ALGORITHMS, Skipped, hits, size_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hashscan.catalog.rows import RawRow
    from hashscan.model import FileDigests, Filter, FilterHit

#: Number of file sizes whose answer is remembered: many files often have the same size.
_REMEMBERED = 1 << 16
#: Functions that return a row's digest, in the order of ``ALGORITHMS``.
_DIGEST_OF = [values_of(name) for name in ALGORITHMS]


class Screen:
    """Searches the tiers of a set of filters for sizes and first blocks.

    Attributes:
        sizes: true if a file's size can rule the file out.
        heads: true if a file's first block can rule the file out when its size does not.
    """

    def __init__(self, filters: Iterable[Filter]) -> None:
        """Prepare to search the tiers of all ``filters``; without filters, no file is ruled out."""
        self._tiers = [one.tiers for one in filters]
        self.sizes = bool(self._tiers) and all(one.sizes is not None for one in self._tiers)
        self.heads = any(one.heads is not None for one in self._tiers) and all(
            one.sizes is not None or one.heads is not None for one in self._tiers
        )
        self._remembered: dict[int, bool] = {}

    def rules_out_size(self, size: int) -> bool:
        """Return whether no known file has the size ``size``, in bytes.

        Size 0 never rules a file out: some file systems report size 0 for files with content (FUSE,
        /proc), and an empty file costs little.
        """
        if not self.sizes or not size:
            return False
        known = self._remembered.get(size)
        if known is None:
            if len(self._remembered) >= _REMEMBERED:
                self._remembered.clear()
            known = self._remembered[size] = self.rules_out(size, b"")
        return known

    def rules_out(self, size: int, head: bytes) -> bool:
        """Return whether no known file has this size together with this first block.

        Args:
            size: size of the file in bytes.
            head: key of the first block (``model.head_key``); empty: the block is not known.
        """
        key = size_key(size)
        return bool(self._tiers) and all(
            (one.sizes is not None and key not in one.sizes)
            or (one.heads is not None and head != b"" and head not in one.heads)
            for one in self._tiers
        )


class Filters:
    """Searches a set of filters for digests."""

    def __init__(self, filters: Sequence[Filter]) -> None:
        """Prepare to search the digests of all ``filters``."""
        self._filters = filters
        self._questions = [
            (one, [number for number, name in enumerate(ALGORITHMS) if name in one.algorithms])
            for one in filters
        ]

    def judge(self, digests: FileDigests) -> tuple[FilterHit, ...]:
        """Return the filter hits of one file's digests."""
        for one, wanted in self._questions:
            for algorithm in wanted:
                raw = digests[algorithm]
                if raw is not None and raw.hex() in one:
                    return hits(self._filters, digests)
        return ()  # Nearly all files have no hit, so no object is built for them.

    def among(self, rows: Sequence[RawRow]) -> set[int]:
        """Return the indices of rows with a digest that a filter contains."""
        found: set[int] = set()
        if rows:
            for one, wanted in self._questions:
                for algorithm in wanted:
                    digests = list(map(_DIGEST_OF[algorithm], rows))
                    numbers: Sequence[int] = range(len(rows))
                    # The first block ruled these files out, so they have no digests.
                    if None in digests:
                        numbers = [number for number in numbers if digests[number] is not None]
                        digests = [digests[number] for number in numbers]
                    hit = one.among(digests)
                    found.update(numbers[number] for number in hit)
        return found


def reason_of(head: bytes) -> Skipped:
    """Return why a file was skipped, from the ``head`` of its row."""
    return Skipped.UNKNOWN_HEAD if head else Skipped.UNKNOWN_SIZE
