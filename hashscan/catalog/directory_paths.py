"""Finds the path and the volume of a directory in the catalog."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hashscan.catalog import checksums
from hashscan.catalog.schema import damaged, translated

if TYPE_CHECKING:
    import sqlite3

#: Maximum number of parents of a directory that are followed; a path has at most 4096 levels.
_LEVELS = 5000


def directory_path(connection: sqlite3.Connection, where: str, number: int) -> bytes:
    """The path, below its volume, of the directory with the id ``number``.

    ``where`` is the path of the catalog, for messages.

    Raises:
        StateError: the row of a parent directory is damaged, or the catalog cannot be read.
    """
    with translated(where):
        names = connection.execute(
            "WITH RECURSIVE up (id, parent, name, level, whole) AS ("  # noqa: S608
            f" SELECT id, parent, name, 0, checksum = {checksums.DIRECTORY}"
            " FROM dir WHERE id = ?"
            " UNION ALL SELECT dir.id, dir.parent, dir.name, level + 1, dir.checksum ="
            " checksum(dir.parent, dir.name, dir.inode, dir.scan)"
            # A flipped bit may make a circle of parents.
            f" FROM dir JOIN up ON dir.id = up.parent WHERE level < {_LEVELS})"
            " SELECT name, whole FROM up WHERE parent <> 0 OR NOT whole ORDER BY level DESC",
            (number,),
        ).fetchall()
    if not all(whole for _, whole in names):
        raise damaged(where, "a directory's name or place")
    return b"/".join(name for name, _ in names)


def volume_of(connection: sqlite3.Connection, where: str, number: int) -> bytes | None:
    """The root of the volume that contains the directory with the id ``number``.

    Raises:
        StateError: the catalog cannot be read.
    """
    with translated(where):
        row = connection.execute(
            "WITH RECURSIVE up (parent, name, level) AS ("  # noqa: S608
            " SELECT parent, name, 0 FROM dir WHERE id = ?"
            " UNION ALL SELECT dir.parent, dir.name, level + 1 FROM dir JOIN up"
            f" ON dir.id = up.parent WHERE level < {_LEVELS})"
            " SELECT name FROM up WHERE parent = 0",
            (number,),
        ).fetchone()
    return None if row is None else bytes(row[0])
