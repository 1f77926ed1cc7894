"""Recognise content that was hashed before in this scan, so that copies do not pay for MD5 again.

A hosting server holds the same files a thousand times. MD5 costs three times what BLAKE3 does, so
where a known set asks for it, the BLAKE3 of a content is looked up in a table in memory that the
worker processes share: it gives the digests that another file of the same content was found to
have.

Why that is safe: BLAKE3 is collision resistant (github.com/BLAKE3-team/BLAKE3-specs): nobody can
make two contents with one BLAKE3 digest, so what an entry says of a content is true of every file
that has its digest, whoever owns either. MD5 and SHA-1 would not do: somebody who made a harmless
and a harmful file with the same SHA-1 could let the first speak for the second. A name, a size or a
time says nothing; the size is used only to leave BLAKE3 out where no file of that size was met
before, or too few copies lately, so that a volume without copies hardly pays for it. Entries are
only what worker processes of this scan computed themselves, and each has a checksum under a key of
this table: of one that two processes wrote at the same moment, or that was half written when its
process was killed, nothing is believed.
"""

from __future__ import annotations

import mmap
import os
from typing import TYPE_CHECKING, Protocol

from xxhash import xxh3_64_digest

from hashscan.fs.reading import BUFFER_SIZE

if TYPE_CHECKING:
    from collections.abc import Callable

    from hashscan.model import Algorithm

    #: Raw MD5, SHA-1 and SHA-256, where they were asked for.
    RawDigests = tuple[bytes | None, bytes | None, bytes | None]

#: Entries; a content that finds its place taken by one that was found again waits for its turn.
PLACES = 1 << 17
_KEY, _MD5, _SHA1, _SHA256, _CHECK = 32, 16, 20, 32, 8
_ENTRY = _KEY + _MD5 + _SHA1 + _SHA256 + _CHECK
_END_MD5 = _KEY + _MD5
_END_SHA1 = _END_MD5 + _SHA1
_END = _END_SHA1 + _SHA256


class _Blake3(Protocol):
    def digest(self) -> bytes: ...


def _blake3() -> Callable[[memoryview], _Blake3] | None:
    """The hash; ``None`` where there is no package of it for this machine."""
    try:
        from blake3 import blake3  # noqa: PLC0415 - not loaded where it is not used
    except ImportError:
        return None
    return blake3


class CopyTable:
    """Shared by fork: make it before the worker processes start.

    Attributes:
        seen: a byte for each size below ``BUFFER_SIZE``, set where a file of it was met.
        key_of: BLAKE3 of a content; its ``digest()`` is the key.
    """

    def __init__(
        self, algorithms: frozenset[Algorithm], key_of: Callable[[memoryview], _Blake3]
    ) -> None:
        """An empty table of digests by ``algorithms``: 15 MiB at the most, as it fills."""
        self.key_of = key_of
        self.seen = mmap.mmap(-1, BUFFER_SIZE)
        self._entries = mmap.mmap(-1, PLACES * _ENTRY)
        self._used = mmap.mmap(-1, PLACES)
        self._seed = int.from_bytes(os.urandom(8), "little")
        self._md5 = "md5" in algorithms
        self._sha1 = "sha1" in algorithms
        self._sha256 = "sha256" in algorithms

    def get(self, key: bytes) -> RawDigests | None:
        """The digests of the content with this BLAKE3 digest, if they are here."""
        place = int.from_bytes(key[:4], "little") % PLACES
        start = place * _ENTRY
        entry = self._entries[start : start + _ENTRY]
        if entry[:_KEY] != key or xxh3_64_digest(entry[:_END], self._seed) != entry[_END:]:
            return None
        self._used[place] = 1
        return (
            entry[_KEY:_END_MD5] if self._md5 else None,
            entry[_END_MD5:_END_SHA1] if self._sha1 else None,
            entry[_END_SHA1:_END] if self._sha256 else None,
        )

    def put(self, key: bytes, digests: RawDigests) -> None:
        """Keep the digests of a content."""
        place = int.from_bytes(key[:4], "little") % PLACES
        if self._used[place]:
            self._used[place] = 0  # it may stay once more
            return
        md5, sha1, sha256 = digests
        entry = b"".join((key, md5 or bytes(_MD5), sha1 or bytes(_SHA1), sha256 or bytes(_SHA256)))
        start = place * _ENTRY
        self._entries[start : start + _ENTRY] = entry + xxh3_64_digest(entry, self._seed)

    def close(self) -> None:
        """Release the memory; the other processes' views of it stay."""
        self.seen.close()
        self._entries.close()
        self._used.close()


def copy_table(algorithms: frozenset[Algorithm]) -> CopyTable | None:
    """A table where it saves something: MD5 is asked for, and BLAKE3 can be had."""
    key_of = _blake3() if "md5" in algorithms else None
    return None if key_of is None else CopyTable(algorithms, key_of)
