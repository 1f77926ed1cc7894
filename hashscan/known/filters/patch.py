"""Patches, which turn a version of a filter file into another version with the same geometry.

Format of a patch, before it is packed (``packing``): ``HSPATCH1``; two unsigned 64-bit integers,
little-endian: the number of bits of the filter (those after the header, padding included) and the
number of positions; then the ascending positions of the bits that differ. A position is written as
the number of bits between this position and the position before (-1 before the first position), in
LEB128 (7 bits a byte, the lowest bits first, the top bit set in all bytes but the last). A patch
does not hold the header of the result, because that header follows from the metadata.

Applying a patch inverts each bit that differs, so a patch works in both directions. Applying two
patches in a row has the same effect as applying the symmetric difference of their positions
(``compose``).
"""

from __future__ import annotations

import hashlib
import os
import struct
from array import array
from typing import TYPE_CHECKING

from bitarray import bitarray

from hashscan.durable import new_file
from hashscan.errors import FilterError
from hashscan.known.filters.bit_file import header_of
from hashscan.known.filters.metadata import HEADER_LENGTH

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hashscan.known.filters.metadata import FileMetadata

MAGIC = b"HSPATCH1"
_COUNTS = struct.Struct("<QQ")
_START = len(MAGIC) + _COUNTS.size
_CHUNK = 1 << 20
_SMALL = 100_000
_ONE = bitarray("1", endian="little")
#: Most bytes in which LEB128 writes a position: 7 bits a byte, see ``metadata.FILTER_LIMIT``.
_LONGEST_GAP = 6


def diff(base: str, result: str) -> bytes | None:
    """The patch that turns the filter file ``base`` into ``result``.

    Returns:
        The unpacked patch; ``None`` if the files differ so much that a patch would save little.

    Raises:
        FilterError: the two filter files differ in length, so no patch can be made.
        OSError: a filter file cannot be read.
    """
    length = os.stat(result).st_size
    if os.stat(base).st_size != length:
        raise FilterError("filters of different lengths have no patch")
    positions = array("Q")
    with open(base, "rb") as old, open(result, "rb") as new:
        old.seek(HEADER_LENGTH)
        new.seek(HEADER_LENGTH)
        at = 0
        while left := old.read(_CHUNK):
            right = new.read(_CHUNK)
            if left != right:
                changed = _bits(left) ^ _bits(right)
                positions.extend(at + found for found in changed.search(_ONE))
                # At most one bit in 32 may differ: that patch packs to a fifth of the filter; a
                # larger patch saves little.
                if len(positions) > max(length // 4, _SMALL):
                    return None
            at += 8 * len(left)
    patch = _encode(positions, at)
    return patch if len(patch) < length else None


def _bits(content: bytes) -> bitarray:
    bits = bitarray(endian="little")
    bits.frombytes(content)
    return bits


def compose(first: bytes, second: bytes) -> bytes:
    """The patch that has the same effect as ``first`` and then ``second``.

    Raises:
        FilterError: a patch is damaged, or the two patches are for filters of different sizes.
    """
    bits = bits_of(first)
    if bits_of(second) != bits:
        raise FilterError("patches for filters of different sizes cannot be joined")
    return _encode(_in_one(_positions(first), _positions(second)), bits)


def _in_one(first: Iterator[int], second: Iterator[int]) -> Iterator[int]:
    """The numbers in exactly one of two ascending sequences, in ascending order."""
    left, right = next(first, None), next(second, None)
    while left is not None and right is not None:
        if left == right:
            left, right = next(first, None), next(second, None)
        elif left < right:
            yield left
            left = next(first, None)
        else:
            yield right
            right = next(second, None)
    for last, rest in ((left, first), (right, second)):
        if last is not None:
            yield last
            yield from rest


def bits_of(patch: bytes) -> int:
    """The number of bits of the filters for which the patch was made.

    Raises:
        FilterError: the bytes of ``patch`` are not a patch.
    """
    return _head(patch)[0]


def apply(base: str, patch: bytes, metadata: FileMetadata, output: str) -> None:
    """Invert the patch's bits in ``base``, and write the filter file that ``metadata`` describes.

    Args:
        base: path of the filter file that the patch changes.
        patch: the unpacked patch.
        metadata: metadata of the resulting filter.
        output: path of a new file, which is synced and has mode 0600.

    Raises:
        FilterError: ``base`` or ``patch`` does not fit ``metadata``, or the result is not the file
            that ``metadata`` describes; no ``output`` remains.
        OSError: a file cannot be read or written; no ``output`` remains.
    """
    with open(base, "rb") as file:
        content = bytearray(file.read(metadata.length + 1))
    if len(content) != metadata.length:
        raise FilterError("is for a filter of another length")
    bits, _ = _head(patch)
    if bits != 8 * (len(content) - HEADER_LENGTH):
        raise FilterError("is for a filter of another size")
    for position in _positions(patch):
        content[HEADER_LENGTH + (position >> 3)] ^= 1 << (position & 7)
    content[:HEADER_LENGTH] = header_of(metadata)
    if hashlib.sha256(content).hexdigest() != metadata.sha256:
        raise FilterError("does not give the filter that was announced")
    with new_file(output) as file:
        file.write(content)


def _head(patch: bytes) -> tuple[int, int]:
    if len(patch) < _START or not patch.startswith(MAGIC):
        raise FilterError("is no patch for a filter")
    bits, positions = _COUNTS.unpack_from(patch, len(MAGIC))
    return bits, positions


def _encode(positions: Iterable[int], bits: int) -> bytes:
    encoded = bytearray()
    number = 0
    before = -1
    for position in positions:
        gap = position - before - 1
        before = position
        while gap > 0x7F:
            encoded.append(gap & 0x7F | 0x80)
            gap >>= 7
        encoded.append(gap)
        number += 1
    return MAGIC + _COUNTS.pack(bits, number) + encoded


def _positions(patch: bytes) -> Iterator[int]:
    """The positions in a patch, checked to be ascending and within the filter.

    Raises:
        FilterError: the patch's positions are not ascending or not within the filter, or their
            number is not the number that the patch names.
    """
    bits, expected = _head(patch)
    position, gap, shift, number = -1, 0, 0, 0
    for byte in memoryview(patch)[_START:]:
        gap |= (byte & 0x7F) << shift
        if byte & 0x80:
            shift += 7
            if shift >= 7 * _LONGEST_GAP:
                raise FilterError("is a damaged patch: a gap is too long")
            continue
        position += gap + 1
        if position >= bits:
            raise FilterError("is a damaged patch: it leaves the filter")
        yield position
        gap = shift = 0
        number += 1
    if shift or number != expected:
        raise FilterError("is a damaged patch: it is cut off")
