"""Checksums of the catalog's rows: a bit that flips on the disk must not make a known file clean.

The last value of a row of ``file`` is the CRC-32 of its other values as ``marshal`` writes them
(format 2, which does not change), as a signed number of 32 bits. So the CRC-32 of a complete row is
always ``_RESIDUE``, and a thousand rows are checked without a loop in Python. The other tables have
fewer rows: SQL checks them, with the function ``checksum``. Texts are passed to it as BLOB: a text
that is not UTF-8 any more is damage, not an error.
"""

from __future__ import annotations

from itertools import repeat
from marshal import dumps
from typing import TYPE_CHECKING
from zlib import crc32

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable
    from typing import Any

#: CRC-32 of anything that ends in its own CRC-32, least significant byte first.
_RESIDUE = 0x2144DF1C
_FORMAT = 2

#: SQL for the checksum that a row must have, by table; for ``file`` see its columns.
SCAN = (
    "checksum(id, started, ended, volumes, complete, files, interrupted,"
    " CAST(kind AS BLOB), CAST(summary AS BLOB))"
)
FILTERSET = "checksum(id, CAST(name AS BLOB), judged_until)"
DIRECTORY = "checksum(parent, name, inode, scan)"
VERDICT = (
    "checksum(CAST(service AS BLOB), CAST(algorithm AS BLOB), digest, known,"
    " CAST(category AS BLOB), filterset, time)"
)
CANDIDATE = (
    "checksum(volume, path, dir, name, device, inode, size, mtime_ns, ctime_ns, md5, sha1, sha256,"
    " links, uid, CAST(hits AS BLOB), CAST(service AS BLOB), remote, full_path)"
)


def checksum(*values: float | bytes | None) -> int:
    """The checksum of a row of ``values``: its last value."""
    found = crc32(dumps((*values, 0), _FORMAT)[:-4])
    return found - (1 << 32) if found >= 1 << 31 else found


def are_whole(rows: Iterable[tuple[Any, ...]]) -> bool:
    """Whether the last value of every row is its ``checksum``."""
    return {_RESIDUE}.issuperset(map(crc32, map(dumps, rows, repeat(_FORMAT))))


def add_function(connection: sqlite3.Connection) -> None:
    """Add ``checksum`` to SQL, and let texts be read that are not UTF-8."""
    connection.create_function("checksum", -1, checksum, deterministic=True)
    connection.text_factory = _text


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
