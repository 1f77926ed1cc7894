"""What the filters know of a file: of its digests, and before that of its size and first block.

A file need not be hashed if no known file has its size, or begins as it does. Only filters with a
tier can say so, and all of them must; ``known.filters.tiers`` says why that misses nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from hashscan.model import ALGORITHMS, Skipped, hits, size_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hashscan.catalog.rows import RawRow
    from hashscan.model import FileDigests, Filter, FilterHit

#: Sizes whose answer is remembered; files of one size come in crowds.
_REMEMBERED = 1 << 16
#: Index of a row's first digest.
_FIRST_DIGEST = 6


class Screen:
    """The tiers of a set of filters.

    Attributes:
        sizes: a size can rule a file out.
        heads: the first block can, where the size does not.
    """

    def __init__(self, filters: Iterable[Filter]) -> None:
        """Of all ``filters``; none: nothing is ruled out."""
        self._tiers = [one.tiers for one in filters]
        self.sizes = bool(self._tiers) and all(one.sizes is not None for one in self._tiers)
        self.heads = any(one.heads is not None for one in self._tiers) and all(
            one.sizes is not None or one.heads is not None for one in self._tiers
        )
        self._remembered: dict[int, bool] = {}

    def rules_out_size(self, size: int) -> bool:
        """Whether no known file has this size, in bytes.

        Nothing is no size to go by: some file systems say so of whatever they hold (FUSE, /proc),
        and an empty file costs little.
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
        """Whether no known file has this size and begins so.

        Args:
            size: in bytes.
            head: the key of the first block (``model.head_key``); empty: it is not known.
        """
        key = size_key(size)
        return bool(self._tiers) and all(
            (one.sizes is not None and key not in one.sizes)
            or (one.heads is not None and head != b"" and head not in one.heads)
            for one in self._tiers
        )


class Filters:
    """The digests of a set of filters."""

    def __init__(self, filters: Sequence[Filter]) -> None:
        """Of all ``filters``."""
        self._filters = filters
        self._questions = [
            (one, [number for number, name in enumerate(ALGORITHMS) if name in one.algorithms])
            for one in filters
        ]

    def judge(self, digests: FileDigests) -> tuple[FilterHit, ...]:
        """Return the hits of one file's digests."""
        for one, wanted in self._questions:
            for algorithm in wanted:
                raw = digests[algorithm]
                if raw is not None and raw.hex() in one:
                    return hits(self._filters, digests)
        return ()  # as nearly always: nothing was made for it

    def among(self, rows: Sequence[RawRow]) -> set[int]:
        """Return the indices of rows with a digest that a filter holds."""
        found: set[int] = set()
        if rows:
            for one, wanted in self._questions:
                for algorithm in wanted:
                    digests = [row[_FIRST_DIGEST + algorithm] for row in rows]
                    numbers: Sequence[int] = range(len(rows))
                    if None in digests:  # of files that their first block ruled out
                        numbers = [number for number in numbers if digests[number] is not None]
                        digests = [digests[number] for number in numbers]
                    hit = one.among(cast("list[bytes]", digests))
                    found.update(numbers[number] for number in hit)
        return found


def reason_of(head: bytes) -> Skipped:
    """Why a file was skipped whose row has this ``head``."""
    return Skipped.UNKNOWN_HEAD if head else Skipped.UNKNOWN_SIZE
