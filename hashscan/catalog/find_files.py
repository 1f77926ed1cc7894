"""Finds files in the catalog by digest or by path, even while another process writes to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hashscan.catalog import checksums, directory_paths
from hashscan.catalog.rows import SELECT, checked, directory_of
from hashscan.catalog.schema import FORMAT, translated
from hashscan.closable import Closable
from hashscan.errors import StateError
from hashscan.model import ALGORITHMS

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from hashscan.catalog.rows import StoredRow
    from hashscan.model import Algorithm, Digest, FileDigests


class FoundFile(NamedTuple):
    """A file that the catalog has; the file on the volume may have changed or been removed."""

    volume: bytes
    path: bytes
    digests: FileDigests


class Finder(Closable):
    """Searches the catalog for files. Close a finder soon: until then, SQLite keeps old pages.

    Attributes:
        damaged: number of damaged rows that the searches skipped; the next scan repairs these rows.
    """

    def __init__(self, path: str, connection: sqlite3.Connection) -> None:
        """Use an open connection to the catalog; callers use ``open_finder`` instead."""
        self._path = path
        self._connection = connection
        self.damaged = 0
        checksums.add_function(connection)
        connection.execute("PRAGMA temp_store = MEMORY")

    def close(self) -> None:
        """Close the finder's connection to the catalog."""
        self._connection.close()

    def with_digests(self, digests: Iterable[Digest], most: int) -> list[FoundFile]:
        """Up to ``most`` files with one of ``digests``; the search reads the whole catalog once.

        Raises:
            StateError: the catalog cannot be read.
        """
        wanted: dict[str, set[bytes]] = {}
        for digest in digests:
            wanted.setdefault(digest.algorithm, set()).add(bytes.fromhex(digest.hex))
        if not wanted:
            return []
        execute = self._connection.execute
        rows: list[StoredRow] = []
        with translated(self._path):
            for name, values in wanted.items():
                execute(f"CREATE TEMP TABLE IF NOT EXISTS want_{name} (digest BLOB PRIMARY KEY)")
                execute(f"DELETE FROM want_{name}")  # noqa: S608
                self._connection.executemany(
                    f"INSERT INTO want_{name} VALUES (?)",  # noqa: S608
                    [(value,) for value in values],
                )
            having = " OR ".join(
                f"{name} IN (SELECT digest FROM want_{name})"  # noqa: S608
                for name in wanted
            )
            rows = execute(
                f"{SELECT} WHERE {having} LIMIT ?",
                (most,),
            ).fetchall()
        return [file for file in map(self._found, rows) if file is not None]

    def _found(self, row: StoredRow) -> FoundFile | None:
        file = checked(row)
        if file is None:
            self.damaged += 1
            return None
        directory = directory_of(row)
        try:
            volume = directory_paths.volume_of(self._connection, self._path, directory)
            above = directory_paths.directory_path(self._connection, self._path, directory)
        except StateError:
            volume = None
        if volume is None:
            self.damaged += 1
            return None
        path = above + b"/" + file.name if above else file.name
        return FoundFile(volume, path, file.digests)

    def at(self, volume: bytes, path: bytes) -> FoundFile | None:
        """The file at a path below a volume's root; ``None``: the catalog lacks the file.

        Raises:
            StateError: the catalog cannot be read.
        """
        *above, name = path.split(b"/")
        parent = 0
        with translated(self._path):
            for directory in (volume, *above):
                row = self._connection.execute(
                    "SELECT id FROM dir WHERE parent = ? AND name = ?", (parent, directory)
                ).fetchone()
                if row is None:
                    return None
                (parent,) = row
            row = self._connection.execute(
                f"{SELECT} WHERE dir = ? AND name = ?",
                (parent, name),
            ).fetchone()
        found = None if row is None else checked(row)
        return None if found is None else FoundFile(volume, path, found.digests)

    def algorithms(self) -> frozenset[Algorithm]:
        """The algorithms of the digests in the catalog; the search may read the whole catalog.

        Raises:
            StateError: the catalog cannot be read.
        """
        with translated(self._path):
            return frozenset(
                algorithm
                for algorithm in ALGORITHMS
                if self._connection.execute(
                    f"SELECT 1 FROM file WHERE {algorithm} IS NOT NULL LIMIT 1"  # noqa: S608
                ).fetchone()
            )

    def was_mounted(self, volume: bytes) -> bool:
        """Whether a volume's root was a mount point when the volume was scanned last.

        Raises:
            StateError: the catalog cannot be read.
        """
        with translated(self._path):
            row = self._connection.execute(
                "SELECT 1 FROM mounted WHERE ? IN (volume, again)", (volume,)
            ).fetchone()
        return row is not None


def open_finder(path: str) -> Finder | None:
    """Open the catalog for searches; ``None``: no catalog exists, because nothing was scanned.

    Raises:
        StateError: the catalog cannot be read, or has another version.
    """
    connection = FORMAT.connect_to_read(path)
    return None if connection is None else Finder(path, connection)
