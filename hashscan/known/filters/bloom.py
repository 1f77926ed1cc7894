"""The filter file: a pybloom-live file that is used only after every check that can be made.

Format of the file (pybloom-live 4.0, ``BloomFilter.tofile``): a header of 40 bytes, little-endian
``<dQQQQ`` = error rate, slices, bits a slice, capacity, count; then the bits of all slices, lowest
bit first, padded to a whole byte. Its keys are lower-case hexadecimal digests as ``str``.
``metadata`` describes ``FILE.json`` beside it.

pybloom-live believes any header, so it never parses a file here: length, SHA-256, header and
bounds are checked first, then the bits are handed to it, then the canaries are asked.
"""

from __future__ import annotations

import hashlib
import math
import os
import struct
import time
from binascii import hexlify
from typing import TYPE_CHECKING

from bitarray import bitarray

from hashscan.errors import FilterError, FilterExpiredError
from hashscan.known.filters.metadata import HEADER_LENGTH, METADATA_LIMIT, Metadata, parse
from hashscan.known.filters.regular import content_of, open_regular
from hashscan.known.filters.rounds import rounds_of
from hashscan.text import human_size, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hashscan.model import Algorithm

_DAY = 86400.0
_HEADER = struct.Struct("<dQQQQ")
_MEND = (
    "the filter is not used; make it again with 'hashscan filter build', "
    "or get it again from where it came"
)


class BloomFile:
    """A filter after all its checks; implements ``model.Filter``.

    Attributes:
        path: of the filter file.
        category: of the known set.
        version: of the filter.
        algorithms: whose digests it holds.
        metadata: all that the metadata says.
        fill: share of the bits that are set, 0 to 1.
    """

    __slots__ = (
        "_bits",
        "_bits_per_slice",
        "_rounds",
        "algorithms",
        "category",
        "fill",
        "metadata",
        "path",
        "version",
    )

    def __init__(self, path: str, metadata: Metadata, bits: bitarray) -> None:
        """Only for ``load``: ``bits`` are believed."""
        self.path = path
        self.category: str = metadata.category
        self.version: str = metadata.version
        self.algorithms: frozenset[Algorithm] = frozenset(metadata.algorithms)
        self.metadata = metadata
        slices, self._bits_per_slice = geometry(metadata.capacity, metadata.error_rate)
        self._bits = bits
        self._rounds = rounds_of(slices, self._bits_per_slice)
        self.fill = bits.count() / (slices * self._bits_per_slice)

    def __contains__(self, hex_digest: str) -> bool:
        """Whether the filter holds ``hex_digest`` (lower case); may err towards yes."""
        # The hot path of a scan, so without a call in between.
        bits = self._bits
        step = self._bits_per_slice
        key = hex_digest.encode()
        for _, _, _, start, numbers, offsets in self._rounds:
            state = start.copy()
            state.update(key)
            for offset, number in zip(offsets, numbers(state.digest()), strict=False):
                if not bits[offset + number % step]:
                    return False
        return True

    def among(self, digests: Sequence[bytes]) -> list[int]:
        """Which of ``digests``, by their indices, the filter holds.

        Nearly all digests miss at one of the first two bits, so those are looked at in line.
        """
        bits, step = self._bits, self._bits_per_slice
        first = self._rounds[0]
        make, salt, two = first.make, first.salt, first.two
        offset = first.offsets[1]
        found = []
        for number, digest in enumerate(digests):
            one, other = two(make(salt + hexlify(digest)).digest())
            if bits[one % step] and bits[offset + other % step] and digest.hex() in self:
                found.append(number)
        return found


def geometry(capacity: int, error_rate: float) -> tuple[int, int]:
    """Slices and bits a slice that pybloom-live gives a filter (``BloomFilter.__init__``)."""
    # Not log2: the result must be the library's, to the last bit.
    slices = math.ceil(math.log(1.0 / error_rate, 2))  # noqa: FURB163
    bits = math.ceil(capacity * abs(math.log(error_rate)) / (slices * (math.log(2) ** 2)))
    return slices, bits


def header_of(metadata: Metadata) -> bytes:
    """The header of the filter file that ``metadata`` describes."""
    slices, bits_per_slice = geometry(metadata.capacity, metadata.error_rate)
    count = metadata.digests + len(metadata.canaries_present)
    return _HEADER.pack(metadata.error_rate, slices, bits_per_slice, metadata.capacity, count)


def file_length(capacity: int, error_rate: float) -> int:
    """Length in bytes of a filter file."""
    slices, bits = geometry(capacity, error_rate)
    return HEADER_LENGTH + (slices * bits + 7) // 8


def metadata_path(path: str) -> str:
    """Where the metadata of the filter file ``path`` lies."""
    return path + ".json"


def load(path: str, *, max_age: float | None = None) -> BloomFile:
    """Check a filter file and open it.

    The checks run on a copy in memory, which processes that are forked later share: whatever
    becomes of the file, what was checked is what is used.

    Args:
        path: of the filter file; its metadata lies beside it.
        max_age: seconds after its creation that a filter may be used; ``None`` is for ever.

    Raises:
        FilterError: missing, damaged, foreign, expired: the message says which file, what and the
            mend.
    """
    where = shown(metadata_path(path))
    content = _read_metadata(metadata_path(path), where)
    try:
        metadata = parse(content, where)
    except FilterError as error:
        raise FilterError(f"{error}; {_MEND}") from error
    _check_age(metadata, where, max_age)
    with open_regular(path, _MEND) as descriptor:
        found = os.fstat(descriptor)
        if found.st_size != metadata.length:
            raise _refused(path, f"has {found.st_size} bytes instead of {metadata.length}")
        try:
            one = _checked(path, metadata, content_of(descriptor, found))
        except (OSError, ValueError) as error:
            raise _refused(path, f"cannot be read: {error}") from error
        except MemoryError as error:
            raise _refused(
                path, f"{human_size(metadata.length)} do not fit into the memory"
            ) from error
    return one


def _refused(path: str, what: str) -> FilterError:
    return FilterError(f"{shown(path)}: {what}; {_MEND}")


def _read_metadata(path: str, where: str) -> bytes:
    with open_regular(path, _MEND) as descriptor:
        try:
            content = os.read(descriptor, METADATA_LIMIT + 1)
        except OSError as error:
            raise FilterError(f"{where}: cannot be read: {error.strerror}; {_MEND}") from error
    if len(content) > METADATA_LIMIT:
        raise FilterError(f"{where}: is longer than {METADATA_LIMIT} bytes; {_MEND}")
    return content


def _check_age(metadata: Metadata, where: str, max_age: float | None) -> None:
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


def _checked(path: str, metadata: Metadata, content: memoryview) -> BloomFile:
    slices, bits_per_slice = geometry(metadata.capacity, metadata.error_rate)
    count = metadata.digests + len(metadata.canaries_present)
    header = header_of(metadata)
    if content[:HEADER_LENGTH] != header or metadata.length != file_length(
        metadata.capacity, metadata.error_rate
    ):
        raise _refused(path, "its header is not what its metadata says: no filter of hashscan's")
    if count > metadata.capacity:
        raise _refused(path, f"holds {count} digests, more than its {metadata.capacity}")
    if hashlib.sha256(content).hexdigest() != metadata.sha256:
        raise _refused(path, "is damaged: its SHA-256 is not the one in its metadata")
    one = BloomFile(path, metadata, bitarray(buffer=content[HEADER_LENGTH:], endian="little"))
    # Each digest sets one bit of each slice, unless it is set already. Small filters scatter: six
    # standard deviations, so that none is refused by chance.
    usual = 1 - math.exp(-count / bits_per_slice)
    scatter = 6 * math.sqrt(usual * (1 - usual) / (slices * bits_per_slice))
    if abs(one.fill - usual) > 0.1 * usual + scatter:
        raise _refused(path, f"{one.fill:.2%} of its bits are set instead of {usual:.2%}")
    if not all(canary in one for canary in metadata.canaries_present):
        raise _refused(path, "a digest that was put in does not hit")
    if any(canary in one for canary in metadata.canaries_absent):
        raise _refused(path, "a digest that was never put in hits")
    return one
