"""The filter file of a category's known set; the file names the algorithms of the digests.

``bit_file`` has the format and the checks of the file; ``tiers`` has the smaller filters beside it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from hashscan.errors import FilterError, FilterExpiredError
from hashscan.known.filters.bit_file import (
    Bits,
    check_bits,
    metadata_path,
    read_bits,
    read_metadata,
)
from hashscan.known.filters.metadata import FilterMetadata
from hashscan.known.filters.tiers import load_tiers
from hashscan.text import shown

if TYPE_CHECKING:
    from bitarray import bitarray

    from hashscan.known.filters.tiers import FoundTiers
    from hashscan.model import Algorithm, Tiers

_DAY = 86400.0


class BloomFile(Bits):
    """A filter of hashscan that passed all its checks; implements ``model.Filter``.

    Attributes:
        category: the category of the known set.
        algorithms: the algorithms of the filter's digests.
        metadata: the filter's metadata.
        tiers: the tiers beside the filter; scans use these tiers.
        tiers_unused: for each unused tier, a sentence that says why.
    """

    __slots__ = ("algorithms", "category", "metadata", "tiers", "tiers_unused")

    def __init__(
        self, path: str, metadata: FilterMetadata, bits: bitarray, tiers: FoundTiers
    ) -> None:
        """Keep the ``bits`` that ``load`` has checked."""
        super().__init__(path, metadata, bits)
        self.category: str = metadata.category
        self.algorithms: frozenset[Algorithm] = frozenset(metadata.algorithms)
        self.metadata = metadata
        self.tiers: Tiers = tiers.tiers
        self.tiers_unused = tiers.unused

    __contains__ = Bits.holds


def load(path: str, *, max_age: float | None = None) -> BloomFile:
    """Check and open a filter file, and the tiers beside it.

    A damaged tier is left out: then a scan reads more files, and misses no known file.

    Args:
        path: path of the filter file; the filter's metadata is beside it.
        max_age: number of seconds after its creation for which a filter may be used; ``None``: no
            limit.

    Raises:
        FilterError: the filter is missing, damaged, expired, or not written by hashscan; the
            message names the file, the fault and the fix.
    """
    metadata = read_metadata(path, FilterMetadata)
    _check_age(metadata, shown(metadata_path(path)), max_age)
    bits = read_bits(path, metadata)
    one = BloomFile(path, metadata, bits, load_tiers(path, metadata))
    check_bits(one, metadata)
    return one


def _check_age(metadata: FilterMetadata, where: str, max_age: float | None) -> None:
    age = time.time() - metadata.created_seconds
    if age < -_DAY:
        raise FilterError(
            f"{where}: was created at {metadata.created}, which is in the future; check this "
            "machine's clock (timedatectl) and the filter's source"
        )
    if max_age is not None and age > max_age:
        raise FilterExpiredError(
            f"{where}: is {age / _DAY:.1f} days old, {max_age / _DAY:.1f} are allowed "
            "(filter.max_age); get a newer one from where it came, or make one with "
            "'hashscan filter build'"
        )
