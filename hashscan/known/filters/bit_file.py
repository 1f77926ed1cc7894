"""A file of bits in pybloom-live's format, which is used only after every possible check.

Format of the file (pybloom-live 4.0, ``BloomFilter.tofile``): a header of 40 bytes, little-endian
``<dQQQQ`` = error rate, slices, bits a slice, capacity, count; then the bits of all slices, lowest
bit first, padded to a whole byte. The keys that are added to a file of bits are lower-case
hexadecimal ``str``. The module ``metadata`` describes ``FILE.json`` beside the file.

pybloom-live accepts any header, so hashscan never lets it parse a file. hashscan first checks the
file's length, SHA-256, header and bounds, then hands the bits to pybloom-live, then looks the
canaries up.
"""

from __future__ import annotations

import hashlib
import math
import os
import struct
from binascii import hexlify
from typing import TYPE_CHECKING

from bitarray import bitarray

from hashscan.errors import FilterError
from hashscan.known.filters.file_bytes import content_of, open_regular
from hashscan.known.filters.hash_rounds import rounds_of
from hashscan.known.filters.metadata import HEADER_LENGTH, METADATA_LIMIT, parse
from hashscan.text import human_size, said_by, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hashscan.known.filters.metadata import FileMetadata, M

_HEADER = struct.Struct("<dQQQQ")
MEND = (
    "it is not used; make the filter again with 'hashscan filter build', "
    "or get it again from where it came"
)


class Bits:
    """The bits of a file of bits that passed all its checks.

    Attributes:
        path: the path of the file of bits.
        version: the file's version, from its metadata.
        fill: the share of bits that are set, 0 to 1.
    """

    __slots__ = ("_bits", "_bits_per_slice", "_rounds", "fill", "path", "version")

    def __init__(self, path: str, metadata: FileMetadata, bits: bitarray) -> None:
        """Keep the ``bits`` that ``read_bits`` has checked."""
        self.path = path
        self.version: str = metadata.version
        slices, self._bits_per_slice = geometry(metadata.capacity, metadata.error_rate)
        self._bits = bits
        self._rounds = rounds_of(slices, self._bits_per_slice)
        self.fill = bits.count() / (slices * self._bits_per_slice)

    def holds(self, hex_key: str) -> bool:
        """Whether ``hex_key`` (lower case) was added to the file; the answer may wrongly be yes."""
        # The hot path of a scan calls this often, so the code calls no further function.
        bits = self._bits
        step = self._bits_per_slice
        key = hex_key.encode()
        for _, _, _, start, numbers, offsets in self._rounds:
            state = start.copy()
            state.update(key)
            for offset, number in zip(offsets, numbers(state.digest()), strict=False):
                if not bits[offset + number % step]:
                    return False
        return True

    def among(self, keys: Sequence[bytes]) -> list[int]:
        """Indices of the raw ``keys`` that were added to the file; may wrongly name further keys.

        For nearly all keys, one of the first four bits is not set, so these four bits are checked
        before the positions of the other bits are computed.
        """
        bits, step = self._bits, self._bits_per_slice
        first = self._rounds[0]
        make, salt, few = first.make, first.salt, first.few
        _, at_b, at_c, at_d = first.offsets[:4]
        found = []
        for number, key in enumerate(keys):
            a, b, c, d = few(make(salt + hexlify(key)).digest())
            if (
                bits[a % step]
                and bits[at_b + b % step]
                and bits[at_c + c % step]
                and bits[at_d + d % step]
                and self.holds(key.hex())
            ):
                found.append(number)
        return found


def geometry(capacity: int, error_rate: float) -> tuple[int, int]:
    """Number of slices, and of bits in a slice, as pybloom-live computes both numbers.

    Source: ``BloomFilter.__init__``.
    """
    # ``math.log2`` is not used: the number of slices must equal pybloom-live's number exactly.
    slices = math.ceil(math.log(1.0 / error_rate, 2))  # noqa: FURB163
    bits = math.ceil(capacity * abs(math.log(error_rate)) / (slices * (math.log(2) ** 2)))
    return slices, bits


def header_of(metadata: FileMetadata) -> bytes:
    """The 40 bytes of the header of the file of bits that ``metadata`` describes."""
    slices, bits_per_slice = geometry(metadata.capacity, metadata.error_rate)
    count = metadata.digests + len(metadata.canaries_present)
    return _HEADER.pack(metadata.error_rate, slices, bits_per_slice, metadata.capacity, count)


def file_length(capacity: int, error_rate: float) -> int:
    """Length in bytes of a file of bits with this geometry."""
    slices, bits = geometry(capacity, error_rate)
    return HEADER_LENGTH + (slices * bits + 7) // 8


def metadata_path(path: str) -> str:
    """The path of the metadata that describes the file ``path``."""
    return path + ".json"


def read_metadata(path: str, kind: type[M]) -> M:
    """Read the metadata that describes the file ``path``.

    Raises:
        FilterError: the file with the metadata is missing, or was changed after it was written.
    """
    where = shown(metadata_path(path))
    content = _read_metadata(metadata_path(path), where)
    try:
        return parse(content, where, kind)
    except FilterError as error:
        raise FilterError(f"{error}; {MEND}") from error


def read_bits(path: str, metadata: FileMetadata) -> bitarray:
    """The bits of the file ``path``, after every check except the canaries.

    The checks run on a copy in memory, which processes that are forked later share. A later change
    of the file has no effect, because the checked copy is used.

    Raises:
        FilterError: the file is missing, damaged, or not a file of bits that hashscan wrote.
    """
    with open_regular(path, MEND) as descriptor:
        found = os.fstat(descriptor)
        if found.st_size != metadata.length:
            raise refused(path, f"has {found.st_size} bytes instead of {metadata.length}")
        try:
            return _checked(path, metadata, content_of(descriptor, found))
        except (OSError, ValueError) as error:
            raise refused(path, f"cannot be read: {said_by(error)}") from error
        except MemoryError as error:
            raise refused(
                path, f"{human_size(metadata.length)} do not fit into the memory"
            ) from error


def refused(path: str, what: str) -> FilterError:
    """The ``FilterError`` for a file of bits that cannot be used."""
    return FilterError(f"{shown(path)}: {what}; {MEND}")


def _read_metadata(path: str, where: str) -> bytes:
    with open_regular(path, MEND) as descriptor:
        try:
            content = os.read(descriptor, METADATA_LIMIT + 1)
        except OSError as error:
            raise FilterError(f"{where}: cannot be read: {error.strerror}; {MEND}") from error
    if len(content) > METADATA_LIMIT:
        raise FilterError(f"{where}: is longer than {METADATA_LIMIT} bytes; {MEND}")
    return content


def _checked(path: str, metadata: FileMetadata, content: memoryview) -> bitarray:
    count = metadata.digests + len(metadata.canaries_present)
    header = header_of(metadata)
    if content[:HEADER_LENGTH] != header or metadata.length != file_length(
        metadata.capacity, metadata.error_rate
    ):
        raise refused(path, "its header is not what its metadata says: no filter of hashscan's")
    if count > metadata.capacity:
        raise refused(path, f"holds {count} digests, more than its {metadata.capacity}")
    if hashlib.sha256(content).hexdigest() != metadata.sha256:
        raise refused(path, "is damaged: its SHA-256 is not the one in its metadata")
    return bitarray(buffer=content[HEADER_LENGTH:], endian="little")


def check_bits(one: Bits, metadata: FileMetadata) -> None:
    """Make the last checks of a file of bits: the number of set bits, and the canaries.

    Raises:
        FilterError: the number of set bits does not fit the number of keys, or the canaries do not
            hit as they should.
    """
    path = one.path
    slices, bits_per_slice = geometry(metadata.capacity, metadata.error_rate)
    count = metadata.digests + len(metadata.canaries_present)
    # Each key sets one bit of each slice, unless that bit is set already. The number of set bits
    # varies more in small filters. The number may differ from the expected number by six standard
    # deviations, so that no sound file is refused.
    usual = 1 - math.exp(-count / bits_per_slice)
    scatter = 6 * math.sqrt(usual * (1 - usual) / (slices * bits_per_slice))
    if abs(one.fill - usual) > 0.1 * usual + scatter:
        raise refused(path, f"{one.fill:.2%} of its bits are set instead of {usual:.2%}")
    if not all(one.holds(canary) for canary in metadata.canaries_present):
        raise refused(path, "a digest that was put in does not hit")
    if any(one.holds(canary) for canary in metadata.canaries_absent):
        raise refused(path, "a digest that was never put in hits")
