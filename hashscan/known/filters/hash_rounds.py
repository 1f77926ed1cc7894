"""Computes the bits that a digest sets: pybloom-live's scheme, in the order of a look-up.

pybloom-live (4.0, ``pybloom.make_hashfuncs``) hashes the key several times, each time after another
salt. pybloom-live splits each hash into numbers, one number for each slice of the filter; the
number modulo the bits of a slice is the position of the key's bit in the slice. pybloom-live's
generator costs more than the hashing. The code here hashes the key once and checks two bits on
average in a look-up without a hit; nearly all look-ups are without a hit.
"""

from __future__ import annotations

import hashlib
import importlib
import struct
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, Protocol

import xxhash

if TYPE_CHECKING:
    from collections.abc import Callable


class Hash(Protocol):
    """The common interface of hashes from hashlib and xxhash."""

    @property
    def name(self) -> str:
        """The name of the hash algorithm."""
        ...

    @property
    def digest_size(self) -> int:
        """The length of the digest in bytes."""
        ...

    def copy(self) -> Hash:
        """An independent copy of this hash's state."""
        ...

    def update(self, data: bytes, /) -> None:
        """Add ``data`` to the hashed bytes."""
        ...

    def digest(self) -> bytes:
        """The digest of all bytes that were added to this hash."""
        ...


class HashRound(NamedTuple):
    """The hash of a key with one salt, and the bits of a filter that this hash chooses.

    Attributes:
        salt, make: the salt, and the function that hashes the salt and a key: the quickest way for
            a single key.
        few: function that takes only the first four numbers from a digest, because every filter has
            four slices or more.
        start: a hash object that has already hashed the salt; copy this object and add the key.
        numbers: function that splits a digest into all its numbers, one for each slice.
        offsets: for each number, the position of the first bit of the number's slice.
    """

    salt: bytes
    make: Callable[[bytes], Hash]
    few: Callable[[bytes], tuple[int, int, int, int]]
    start: Hash
    numbers: Callable[[bytes], tuple[int, ...]]
    offsets: tuple[int, ...]


def _hash_for(bits: int) -> Callable[..., Hash]:
    """The hash function whose digest has ``bits`` bits; for few bits, the hash is not secure."""
    for more_than, name in ((384, "sha512"), (256, "sha384"), (160, "sha256"), (128, "sha1")):
        if bits > more_than:
            return partial(hashlib.new, name, usedforsecurity=False)
    return xxhash.xxh128


def _quickest(name: str) -> Callable[[bytes], Hash]:
    """The implementation of the hash ``name`` that is quickest for keys of a hundred bytes.

    Python's own modules are used if they exist: OpenSSL's setup takes longer than the hashing of so
    few bytes.
    """
    for module in ("_sha2", "_sha512", "_sha256", "_sha1"):
        with suppress(ImportError, AttributeError):
            make: Callable[[bytes], Hash] = getattr(importlib.import_module(module), name)
            return make
    return xxhash.xxh128 if name == "XXH3_128" else partial(hashlib.new, name)


def rounds_of(slices: int, bits_per_slice: int) -> tuple[HashRound, ...]:
    """The ``HashRound`` objects of a filter with ``slices`` slices of ``bits_per_slice`` bits."""
    if bits_per_slice >= 1 << 31:
        code, size = "Q", 8
    elif bits_per_slice >= 1 << 15:
        code, size = "I", 4
    else:
        code, size = "H", 2
    make = _hash_for(8 * slices * size)
    length = make().digest_size
    numbers = struct.Struct(code * (length // size))
    few = struct.Struct(code * 4).unpack_from
    quick = _quickest(make().name)
    each = length // size
    rounds = []
    for number in range(-(-slices // each)):
        salt = make(struct.pack("I", number)).digest()
        first = number * each
        offsets = tuple(one * bits_per_slice for one in range(first, min(first + each, slices)))
        rounds.append(HashRound(salt, quick, few, make(salt), numbers.unpack, offsets))
    return tuple(rounds)
