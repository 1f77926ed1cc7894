"""Tiers: small filters beside a filter that tell, without all of a file, that it cannot be known.

Two tiers of a filter ``FILE``, each a file of bits (``bit_file``) with its metadata beside it:

- ``FILE.sizes``: the sizes of all known files (keys: ``model.size_key``). A file of another size is
  none of them, and need not be opened.
- ``FILE.heads``: the first blocks of all known files (keys: ``model.head_key``: XXH3-128 of the
  first 4,096 bytes). A file that begins otherwise is none of them, after one short read.

Why that is safe: a digest says what a file's bytes are, all of them, so a file with that digest has
that size and that first block. Whoever owns a file chooses its name, its times and its content, but
not the content of a known file: with another byte, or one more, it is another file, which no digest
would find either. A Bloom filter errs only towards "may be known", and two contents with the same
XXH3 are one more reason to hash, never one to pass over. So a tier costs work where it errs.

The exception is a list that gives a wrong size, or key, to a digest. So sizes are taken only from
what is defined to be one in bytes, tiers are made only where **every** digest of the set has what
they tell by, whoever builds a filter is told the range of the sizes and may leave tiers out, and so
may whoever scans.

A tier names the filter file that it belongs to by its SHA-256 and is not used with another.
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

#: A hit by chance costs opening a file, or reading one: 11.5 bits a key.
TIER_ERROR_RATE = 1 / 256


class TierFile(Bits):
    """A tier after all its checks; implements ``model.Tier``.

    Attributes:
        metadata: all that the metadata says.
    """

    __slots__ = ("metadata",)

    def __init__(self, path: str, metadata: TierMetadata, bits: bitarray) -> None:
        """Only for ``load_tier``: ``bits`` are believed."""
        super().__init__(path, metadata, bits)
        self.metadata = metadata

    def __contains__(self, key: bytes) -> bool:
        """Whether a known file may have ``key``; may err towards yes."""
        first = self._rounds[0]
        a, b, _, _ = first.few(first.make(first.salt + hexlify(key)).digest())
        bits, step = self._bits, self._bits_per_slice
        # Most keys miss at one of these two.
        return bool(bits[a % step] and bits[first.offsets[1] + b % step] and self.holds(key.hex()))


class FoundTiers(NamedTuple):
    """The tiers beside a filter.

    Attributes:
        tiers: those that are used.
        unused: why others are not, a sentence for each.
    """

    tiers: Tiers
    unused: tuple[str, ...] = ()


def tier_path(path: str, name: TierName) -> str:
    """Where the tier ``name`` of the filter file ``path`` lies."""
    return f"{path}.{name}"


def load_tiers(path: str, metadata: FilterMetadata) -> FoundTiers:
    """The tiers beside the filter file ``path``, which ``metadata`` describes."""
    found: dict[TierName, TierFile | None] = {}  # a tier that is left out is ``None``
    unused = []
    for name in TIER_NAMES:
        try:
            found[name] = load_tier(path, name, metadata)
        except FilterError as error:
            unused.append(f"{error} (until then more files are read than need be)")
    return FoundTiers(Tiers(**found), tuple(unused))


def load_tier(path: str, name: TierName, filter_metadata: FilterMetadata) -> TierFile | None:
    """One tier of the filter file ``path``; ``None`` where there is none.

    Raises:
        FilterError: it is damaged, or belongs to another filter.
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
