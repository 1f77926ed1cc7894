"""Which files need not be hashed, because no known file has their size, or begins as they do.

Only where every filter that is asked has a tier that can say so; ``known.filters.tiers`` says why
that misses nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hashscan.model import Skipped, size_key

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hashscan.model import Filter

#: Sizes whose answer is remembered; files of one size come in crowds.
_REMEMBERED = 1 << 16


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


def reason_of(head: bytes) -> Skipped:
    """Why a file was skipped whose row has this ``head``."""
    return Skipped.UNKNOWN_HEAD if head else Skipped.UNKNOWN_SIZE
