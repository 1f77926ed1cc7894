"""Checksums of the catalog's rows: a flipped bit on the disk must not make a known file clean.

The last value of a row of ``file`` is a CRC-32 of the other values, as a signed 32-bit number. The
values are encoded by ``marshal`` (format 2, which does not change). So the CRC-32 of a whole row is
always ``_RESIDUE``, and a thousand rows are checked without a loop in Python. The other tables have
fewer rows, and SQL checks them with the function ``checksum``. SQL passes texts as BLOB, because a
damaged text may not be UTF-8.
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

#: CRC-32 of all byte strings that end with their own CRC-32, least significant byte first.
_RESIDUE = 0x2144DF1C
_FORMAT = 2

#: SQL expressions of the checksum that a row of each table must have, except ``file``.
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
    """The checksum of a row with the given values, which is saved as the row's last value."""
    found = crc32(dumps((*values, 0), _FORMAT)[:-4])
    return found - (1 << 32) if found >= 1 << 31 else found


def are_whole(rows: Iterable[tuple[Any, ...]]) -> bool:
    """Whether the last value of every row is the ``checksum`` of the row's other values."""
    return {_RESIDUE}.issuperset(map(crc32, map(dumps, rows, repeat(_FORMAT))))


def add_function(connection: sqlite3.Connection) -> None:
    """Add the SQL function ``checksum`` to a connection, and allow texts that are not UTF-8."""
    connection.create_function("checksum", -1, checksum, deterministic=True)
    connection.text_factory = _text


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
