"""Recognise content that was hashed before in this scan, so that copies cost no second MD5.

A hosting server holds the same files a thousand times. MD5 costs three times as much as BLAKE3. So
if a known set needs MD5, the worker processes share a table in memory: it maps the BLAKE3 digest of
a content to its other digests, which were computed for another file of the same content.

The shared digests are safe: BLAKE3 is collision resistant (github.com/BLAKE3-team/BLAKE3-specs).
Nobody can make two contents with the same BLAKE3 digest, so an entry is true for every file with
its digest, also for files of different customers. MD5 and SHA-1 are not safe as keys: an attacker
could make a harmless and a harmful file with the same SHA-1, and the digests of the first would
count for the second. A file's name, size or time proves nothing about its content. The size only
decides whether BLAKE3 is computed: a file is hashed without BLAKE3 if no earlier file had its size,
or if few of the latest files were copies. Therefore a volume without copies is hardly slower.
Entries hold only digests that worker processes of this scan computed themselves. Each entry has a
checksum under a key of this table. The checksum rejects an entry that two processes wrote at the
same moment, and an entry that a killed process wrote by half.
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

    #: The raw digests MD5, SHA-1 and SHA-256 of a content. A digest is ``None`` if its algorithm is
    #: not needed.
    RawDigests = tuple[bytes | None, bytes | None, bytes | None]

#: Number of entries in the table. An entry that was found again survives the next content that
#: needs its place.
PLACES = 1 << 17
_KEY, _MD5, _SHA1, _SHA256, _CHECK = 32, 16, 20, 32, 8
_ENTRY = _KEY + _MD5 + _SHA1 + _SHA256 + _CHECK
_END_MD5 = _KEY + _MD5
_END_SHA1 = _END_MD5 + _SHA1
_END = _END_SHA1 + _SHA256


class _Blake3(Protocol):
    def digest(self) -> bytes: ...


def _blake3() -> Callable[[memoryview], _Blake3] | None:
    """Return the BLAKE3 constructor of the package blake3.

    The result is ``None`` if the package blake3 is not installed on this machine.
    """
    try:
        from blake3 import blake3  # noqa: PLC0415 - loaded only if it is used
    except ImportError:
        return None
    return blake3


class CopyTable:
    """Maps contents to digests for forked processes: make the table before the first fork.

    Attributes:
        seen: one byte for each size below ``BUFFER_SIZE``, set if a file of that size was hashed.
        key_of: returns the BLAKE3 state of a content; its ``digest()`` is the key.
    """

    def __init__(
        self, algorithms: frozenset[Algorithm], key_of: Callable[[memoryview], _Blake3]
    ) -> None:
        """Make an empty table for the digests by ``algorithms``; it grows to 15 MiB at most."""
        self.key_of = key_of
        self.seen = mmap.mmap(-1, BUFFER_SIZE)
        self._entries = mmap.mmap(-1, PLACES * _ENTRY)
        self._used = mmap.mmap(-1, PLACES)
        self._seed = int.from_bytes(os.urandom(8), "little")
        self._md5 = "md5" in algorithms
        self._sha1 = "sha1" in algorithms
        self._sha256 = "sha256" in algorithms

    def get(self, key: bytes) -> RawDigests | None:
        """Return the digests of the content with this BLAKE3 digest.

        The result is ``None`` if the table does not contain the content.
        """
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
        """Store the digests of a content."""
        place = int.from_bytes(key[:4], "little") % PLACES
        if self._used[place]:
            self._used[place] = 0  # The next ``put`` may replace the entry.
            return
        md5, sha1, sha256 = digests
        entry = b"".join((key, md5 or bytes(_MD5), sha1 or bytes(_SHA1), sha256 or bytes(_SHA256)))
        start = place * _ENTRY
        self._entries[start : start + _ENTRY] = entry + xxh3_64_digest(entry, self._seed)

    def close(self) -> None:
        """Release this process's mapping of the table; other processes keep their mappings."""
        self.seen.close()
        self._entries.close()
        self._used.close()


def copy_table(algorithms: frozenset[Algorithm]) -> CopyTable | None:
    """Return a table of copied contents if the table saves time, else ``None``.

    The table saves time if a filter needs MD5 and BLAKE3 is installed.
    """
    key_of = _blake3() if "md5" in algorithms else None
    return None if key_of is None else CopyTable(algorithms, key_of)
