"""Tiers: small filters beside a filter; they rule a file out by its size or its first block.

A filter ``FILE`` has two tiers, each a file of bits (``bit_file``) with its metadata beside it:

- ``FILE.sizes``: the sizes of all known files (keys: ``model.size_key``). A file of another size
cannot be known, and need not be opened.
- ``FILE.heads``: the first blocks of all known files (keys: ``model.head_key``: XXH3-128 of the
  first 4,096 bytes). A file with another first block cannot be known. The check of a file's first
  block takes one short read.

Ruling files out in this way is safe: a digest depends on all bytes of a file, so each file with a
known digest has the size and the first block of the known file. A customer chooses the name, the
times and the content of a file, but cannot change the content of a known file: with a changed or
added byte, the file is another file, and its digest is not in the known set either. A Bloom filter
may wrongly answer "may be known", but never wrongly "not known". Two contents with the same XXH3
only cause more hashing; no file is skipped because of them. So a wrong answer of a tier costs work,
and no known file is missed.

A known file is missed only if a digest list names a wrong size, or key, for its digest. So hashscan
reads sizes only from fields of lists that are defined as a size in bytes. A tier is made only if
**every** digest of the known set has a key for this tier. The publisher who builds a filter sees
the range of the sizes, and may leave tiers out. An administrator who scans may also decide to use
no tiers.

A tier's metadata has the SHA-256 of the filter file to which the tier belongs; hashscan does not
use the tier with another filter file.
"""

from __future__ import annotations

import os
from binascii import hexlify
from typing import TYPE_CHECKING, NamedTuple

from hashscan.errors import FilterError
from hashscan.known.filters.bit_file import (
    Bits,
    check_bits,
    metadata_path,
    read_bits,
    read_metadata,
    refused,
)
from hashscan.known.filters.metadata import TierMetadata
from hashscan.model import TIER_NAMES, TierName, Tiers

if TYPE_CHECKING:
    from bitarray import bitarray

    from hashscan.known.filters.metadata import FilterMetadata

#: A tier's probability of a wrong hit, which costs opening or reading a file: 11.5 bits a key.
TIER_ERROR_RATE = 1 / 256


class TierFile(Bits):
    """A tier that passed all its checks; implements ``model.Tier``.

    Attributes:
        metadata: the tier's metadata.
    """

    __slots__ = ("metadata",)

    def __init__(self, path: str, metadata: TierMetadata, bits: bitarray) -> None:
        """Keep the ``bits`` that ``load_tier`` has checked."""
        super().__init__(path, metadata, bits)
        self.metadata = metadata

    def __contains__(self, key: bytes) -> bool:
        """Whether a known file may have ``key``; the answer may wrongly be yes."""
        first = self._rounds[0]
        a, b, _, _ = first.few(first.make(first.salt + hexlify(key)).digest())
        bits, step = self._bits, self._bits_per_slice
        # Most look-ups end here, because one of the first two bits of a key is not set.
        return bool(bits[a % step] and bits[first.offsets[1] + b % step] and self.holds(key.hex()))


class FoundTiers(NamedTuple):
    """The tiers beside a filter.

    Attributes:
        tiers: the tiers that scans use.
        unused: for each tier that scans do not use, a sentence that says why.
    """

    tiers: Tiers
    unused: tuple[str, ...] = ()


def tier_path(path: str, name: TierName) -> str:
    """The path of the tier ``name`` of the filter file ``path``."""
    return f"{path}.{name}"


def load_tiers(path: str, metadata: FilterMetadata) -> FoundTiers:
    """Load the tiers beside the filter file ``path``, which ``metadata`` describes."""
    found: dict[TierName, TierFile | None] = {}  # ``None`` for a tier that is missing or unusable
    unused = []
    for name in TIER_NAMES:
        try:
            found[name] = load_tier(path, name, metadata)
        except FilterError as error:
            unused.append(f"{error} (until then more files are read than need be)")
    return FoundTiers(Tiers(**found), tuple(unused))


def load_tier(path: str, name: TierName, filter_metadata: FilterMetadata) -> TierFile | None:
    """Load a tier of the filter file ``path``, or ``None`` if the tier does not exist.

    Raises:
        FilterError: the tier is damaged, or belongs to another filter.
    """
    where = tier_path(path, name)
    if not os.path.lexists(where) and not os.path.lexists(metadata_path(where)):
        return None
    metadata = read_metadata(where, TierMetadata)
    if metadata.tier != name or metadata.filter != filter_metadata.sha256:
        raise refused(where, "belongs to another filter")
    one = TierFile(where, metadata, read_bits(where, metadata))
    check_bits(one, metadata)
    return one
