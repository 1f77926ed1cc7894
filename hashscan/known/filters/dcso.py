"""DCSO Bloom filters, format 1: published by hashlookup (CIRCL) and others.

Format (github.com/DCSO/bloom, ``bloom.go`` and ``io.go``), little-endian: a header of six words of
64 bits, ``<QQdQQQ`` = flags (1), n (capacity), p (error rate), k (hash functions), m (bits), N
(inserted); then the bits in words of 64, lowest first; then free data to the end. The whole file
may be gzipped. Its keys are digests as hexadecimal text, in upper case (hashlookup) or lower case.

The format of DCSO has no checksum, and DCSO's programs believe any header. So hashscan computes
every value of the file that follows from other values, and compares it before use: sizes, k and m,
the number of set bits, and the positions of these bits. A file in this format names neither the
algorithms of its digests nor the time when it was made.
"""

from __future__ import annotations

import gzip
import hashlib
import math
import os
import struct
import time
import zlib
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, NamedTuple, cast

from bitarray import bitarray

from hashscan.errors import FilterError, FilterExpiredError
from hashscan.known.filters.file_bytes import content_of, open_regular
from hashscan.known.filters.metadata import FILTER_LIMIT, in_order
from hashscan.model import EMPTY_DIGESTS, Tiers
from hashscan.text import human_size, rfc3339, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hashscan.model import Algorithm

HEADER_LENGTH = 48
GZIP_MAGIC = b"\x1f\x8b"
#: The most bytes of free data that a file may have after the filter's bits.
DATA_LIMIT = 16 * 1024 * 1024
#: The most bytes to which a gzipped filter is unpacked, and the most times its length: the bits of
#: a full filter are nearly random, and gzip hardly shrinks them.
_EXPANDED = 16 * 1024 * 1024
_EXPANSION = 256
_HEADER = struct.Struct("<QQdQQQ")
_CHUNK = 1024 * 1024
_DAY = 86400.0

# A key's hash is FNV-1 of 64 bits (draft-eastlake-fnv); a chain of products of the hash gives the
# positions of the key's bits, see ``__contains__``.
_FNV_OFFSET = 14695981039346656037
_FNV_PRIME = 1099511628211
_WORD = (1 << 64) - 1
_MODULUS = 18446744073709551557
_FACTOR = 18446744073709550147

_EMPTY = frozenset(digest.hex for digest in EMPTY_DIGESTS)
#: Number of bits of each region whose share of set bits is checked: a page of memory.
_REGION = 4096 * 8
#: Number of random digests that are looked up as a test: they must not hit too often.
_PROBES = 1000
_MEND = "the filter is not used; get it again from where it came"


class Header(NamedTuple):
    """The six words of a DCSO filter's header, in the file's order."""

    flags: int
    capacity: int
    error_rate: float
    hashes: int
    bits: int
    inserted: int

    @property
    def body_length(self) -> int:
        """Length in bytes of a file's header and bits together."""
        return HEADER_LENGTH + 8 * -(-self.bits // 64)


@dataclass(frozen=True, slots=True)
class DcsoMetadata:
    """The metadata of a DCSO filter: values from its header and from its file.

    Attributes:
        digests: number of added digests, according to the program that wrote the filter.
        capacity: number of digests that the filter can hold at its error rate.
        error_rate: probability that a digest hits although it was never added, if the filter is
            full.
        created_seconds: the file's modification time, in seconds since the epoch.
        length, sha256: length in bytes, and SHA-256, of the filter's file on disk.
        gzipped: whether the file on disk is gzipped.
    """

    digests: int
    capacity: int
    error_rate: float
    created_seconds: float
    length: int
    sha256: str
    gzipped: bool

    @property
    def created(self) -> str:
        """The file's modification time as text, RFC 3339 in UTC."""
        return rfc3339(self.created_seconds)


class DcsoFile:
    """A DCSO filter that passed all its checks; implements ``model.Filter``.

    Attributes:
        path: path of the DCSO filter file.
        category, algorithms: category and algorithms that the caller names; the file names neither.
        version: the start of the file's SHA-256, and the algorithms.
        metadata: the file's metadata.
        fill: the share of bits that are set, 0 to 1.
        tiers, tiers_unused: always empty, because a DCSO filter has no tiers.
    """

    __slots__ = (
        "_bits",
        "_modulus",
        "_rounds",
        "algorithms",
        "category",
        "fill",
        "metadata",
        "path",
        "tiers",
        "tiers_unused",
        "version",
    )

    def __init__(
        self,
        path: str,
        header: Header,
        bits: bitarray,
        metadata: DcsoMetadata,
        *,
        category: str,
        algorithms: Iterable[Algorithm],
    ) -> None:
        """Keep the ``header`` and the ``bits`` that ``load_dcso`` has checked."""
        names = in_order(algorithms)
        self.path = path
        self.category = category
        self.algorithms: frozenset[Algorithm] = frozenset(names)
        # The version names the algorithms: if they change, scans must check all files again.
        self.version = "+".join([metadata.sha256[:16], *names])
        self.metadata = metadata
        self.tiers = Tiers()  # a DCSO filter has no tiers
        self.tiers_unused: tuple[str, ...] = ()
        self._bits = bits
        self._modulus = header.bits
        self._rounds = range(header.hashes)
        self.fill = bits.count(1, 0, header.bits) / header.bits

    def __contains__(self, hex_digest: str) -> bool:
        """Whether the filter holds ``hex_digest`` in lower or upper case; may wrongly answer yes.

        The digest of empty content is never in the filter. Some published filters hold it, and
        hashscan would then move all empty files.
        """
        bits = self._bits
        modulus = self._modulus
        for spelling in (hex_digest.upper(), hex_digest):
            value = _FNV_OFFSET
            for byte in spelling.encode():
                value = value * _FNV_PRIME & _WORD ^ byte
            value %= _MODULUS
            for _ in self._rounds:
                # Each product of the chain wraps at 64 bits before the modulus is taken, as the
                # format demands.
                value = (value * _FACTOR & _WORD) % _MODULUS
                if not bits[value % modulus]:
                    break
            else:
                return hex_digest not in _EMPTY
        return False

    def among(self, digests: Sequence[bytes]) -> list[int]:
        """Indices of the ``digests`` that the filter holds; may wrongly name further digests."""
        return [number for number, digest in enumerate(digests) if digest.hex() in self]


def load_dcso(
    path: str, *, category: str, algorithms: Iterable[Algorithm], max_age: float | None = None
) -> DcsoFile:
    """Check a DCSO filter file, plain or gzipped, and open it.

    A plain file is mapped, so that processes share its memory; a gzipped file is unpacked into
    memory, which processes that are forked afterwards share. If others than root and this user
    could rewrite the file, a private copy is checked and used.

    Args:
        path: path of the DCSO filter file.
        category: the category of the filter's digests, which the file does not name.
        algorithms: at least one algorithm; only digests of these algorithms are looked up.
        max_age: number of seconds after the file's modification time for which the filter may be
            used; ``None``: no limit.

    Raises:
        FilterError: the filter is damaged, expired or unreadable; the message names the file, the
            fault and the fix.
    """
    with open_regular(path, _MEND) as descriptor:
        try:
            found = os.fstat(descriptor)
            _check_age(path, found, max_age)
            head = os.pread(descriptor, HEADER_LENGTH, 0)
            gzipped = head.startswith(GZIP_MAGIC)
            if gzipped:
                header, content, sha256 = _unpacked(path, descriptor, found)
            else:
                header = _header(path, head)
                _check_length(path, header, found.st_size)
                content = content_of(descriptor, found)
                if content[:HEADER_LENGTH] != head:
                    raise ValueError("it changed while it was read")
                sha256 = hashlib.sha256(content).hexdigest()
        except (OSError, ValueError, EOFError, zlib.error) as error:
            what = getattr(error, "strerror", None) or str(error)
            raise _refused(path, f"cannot be read: {what}") from error
        except MemoryError as error:
            raise _refused(path, "does not fit into the memory") from error
    metadata = DcsoMetadata(
        digests=header.inserted,
        capacity=header.capacity,
        error_rate=header.error_rate,
        created_seconds=_modified(found),
        length=found.st_size,
        sha256=sha256,
        gzipped=gzipped,
    )
    bits = bitarray(buffer=content[HEADER_LENGTH : header.body_length], endian="little")
    one = DcsoFile(path, header, bits, metadata, category=category, algorithms=algorithms)
    _check_bits(one, header, bits)
    return one


def formula_bits(capacity: int, error_rate: float) -> int:
    """The number of bits (m), as programs that write DCSO filters compute it."""
    return abs(math.ceil(capacity * math.log(error_rate) / math.log(2) ** 2))


def formula_hashes(capacity: int, bits: int) -> int:
    """The number of hash functions (k), as programs that write DCSO filters compute it."""
    return math.ceil(math.log(2) * bits / capacity)


def _refused(path: str, what: str) -> FilterError:
    return FilterError(f"{shown(path)}: {what}; {_MEND}")


def _modified(found: os.stat_result) -> float:
    return max(0.0, found.st_mtime)


def _check_age(path: str, found: os.stat_result, max_age: float | None) -> None:
    age = time.time() - _modified(found)
    if age < -_DAY:
        raise FilterError(
            f"{shown(path)}: its modification time is in the future; check this machine's clock "
            "(timedatectl), then get the filter again"
        )
    if max_age is not None and age > max_age:
        raise FilterExpiredError(
            f"{shown(path)}: was modified {age / _DAY:.1f} days ago, {max_age / _DAY:.1f} are "
            "allowed (filter.max_age); get a newer one from where it came"
        )


def _header(path: str, head: bytes) -> Header:
    """Return the file's header, after every check that uses nothing but the header."""
    if len(head) < HEADER_LENGTH:
        raise _refused(path, "is no DCSO filter: it is too short")
    header = Header(*_HEADER.unpack(head))
    if header.flags & 0xFF == 2:
        raise FilterError(
            f"{shown(path)}: is a filter of poppy's format 2, which is not read; make one of "
            "format 1, or a filter of a digest list with 'hashscan filter build'"
        )
    if header.flags != 1:
        raise _refused(path, "is no DCSO filter of format 1")
    if not 1 <= header.capacity <= 1 << 40 or not 1e-12 <= header.error_rate <= 0.1:
        raise _refused(path, "its header has an impossible capacity or error rate")
    if header.body_length > FILTER_LIMIT:
        raise _refused(
            path, f"has more than the {human_size(FILTER_LIMIT)} of bits that are accepted"
        )
    # Programs that write filters round a product differently, so m may differ by one.
    if (
        abs(header.bits - formula_bits(header.capacity, header.error_rate)) > 1
        or header.bits < 1
        or header.hashes != formula_hashes(header.capacity, header.bits)
    ):
        raise _refused(path, "its header contradicts itself: no writer makes such a filter")
    if _is_near_power_of_two(header.bits):
        raise FilterError(
            f"{shown(path)}: has {header.bits} bits, a power of two or nearly, and then filters of "
            "this format hit far too often (github.com/DCSO/bloom, issue 19); the filter is not "
            "used. Whoever makes it should choose another capacity"
        )
    if not 1 <= header.inserted <= header.capacity:
        raise _refused(
            path,
            f"says that it holds {header.inserted} digests, where 1 to {header.capacity} can be: "
            "it is empty, overfull or damaged",
        )
    return header


def _is_near_power_of_two(bits: int) -> bool:
    """Whether a filter with so many bits has many more false hits than its error rate says.

    A key's bits are at positions that a chain of products gives. A power of two may divide
    ``bits``. Then the first position alone decides the remainders, by that power, of all positions.
    With p = 0.0001, 2000 times as many false hits as expected were measured at 2^18, 97 times at 3
    * 2^17, 3 times at 33 * 2^13, and about the expected number from 129 * 2^11 on.
    """
    power = bits & -bits
    odd = bits // power
    return odd == 1 or (odd < 256 <= power)


def _check_length(path: str, header: Header, length: int) -> None:
    if not header.body_length <= length <= header.body_length + DATA_LIMIT:
        raise _refused(path, f"has {length} bytes instead of {header.body_length}")


class _Tee:
    """Reads a descriptor for gzip, and hashes the bytes that are read."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.state = hashlib.sha256()

    def read(self, size: int) -> bytes:
        data = os.read(self._descriptor, size)
        self.state.update(data)
        return data


def _unpacked(path: str, descriptor: int, found: os.stat_result) -> tuple[Header, memoryview, str]:
    """Unpack a gzipped filter; return header, content, and the SHA-256 of the gzipped file."""
    source = _Tee(descriptor)
    content = bytearray()
    with gzip.GzipFile(fileobj=cast("IO[bytes]", source), mode="rb") as packed:
        while len(content) < HEADER_LENGTH and (data := packed.read(HEADER_LENGTH - len(content))):
            content += data
        if bytes(content[:1]) not in {b"\1", b"\2"}:
            raise _refused(
                path, "has no DCSO filter in its gzip (a digest list must be unpacked: gunzip)"
            )
        header = _header(path, bytes(content))
        allowed = max(_EXPANDED, _EXPANSION * found.st_size)
        if header.body_length > allowed:
            raise _refused(path, "would expand to more than a filter in use can")
        while data := packed.read(_CHUNK):
            content += data
            if len(content) > header.body_length + DATA_LIMIT:
                raise _refused(path, f"expands to more than the {header.body_length} bytes it has")
    _check_length(path, header, len(content))
    del content[header.body_length :]
    return header, memoryview(content), source.state.hexdigest()


def _check_bits(one: DcsoFile, header: Header, bits: bitarray) -> None:
    """Raise for a damaged filter, by the set bits, their positions, and the rate of false hits."""
    path = one.path
    if bits.find(1, header.bits) >= 0:
        raise _refused(path, "has bits set behind its last one")
    usual = 1 - math.exp(-header.hashes * header.inserted / header.bits)
    scatter = 6 * math.sqrt(usual * (1 - usual) / header.bits)
    if abs(one.fill - usual) > 0.1 * usual + scatter:
        raise _refused(
            path,
            f"is damaged: {one.fill:.2%} of its bits are set, where its {header.inserted} digests "
            f"would set {usual:.2%}",
        )
    # The number of set bits may differ from the expected number by seven standard deviations, and
    # by more in regions with few bits: no sound filter is refused, and a page of zeros or of other
    # data is found.
    mean = one.fill * _REGION
    scatter = 7 * math.sqrt(mean * (1 - one.fill)) + 7
    worst, start = max(
        (
            (abs(bits.count(1, start, start + _REGION) - mean), start)
            for start in range(0, header.bits - _REGION + 1, _REGION)
        ),
        default=(0.0, 0),
    )
    if worst > scatter:
        raise _refused(
            path,
            f"is damaged near byte {HEADER_LENGTH + start // 8}: other bits are set there than "
            "elsewhere",
        )
    if header.bits < _REGION:
        return  # the positions of so few bits are not independent of each other
    # Each digest is looked up in two spellings.
    errs = 2 * _PROBES * one.fill**header.hashes
    hits = sum(hashlib.sha1(b"hashscan %d" % n).hexdigest() in one for n in range(_PROBES))
    if hits > 2 * errs + 6 * math.sqrt(errs) + 3:
        raise _refused(path, f"{hits} of {_PROBES} digests that nobody put in hit")
