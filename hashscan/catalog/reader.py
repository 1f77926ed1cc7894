"""The queries of the worker processes; each worker has a read-only connection to the catalog."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hashscan.catalog.checksums import add_function, are_whole
from hashscan.catalog.rows import (
    SELECT,
    STORED,
    checked,
    checked_by_name,
    directory_of,
    name_of,
    signed,
    values_of,
)
from hashscan.catalog.schema import translated
from hashscan.database import connect_read_only

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from hashscan.catalog.rows import FileRow, StoredRow
    from hashscan.fs.listing import LastSeen
    from hashscan.model import Algorithm, Stamp

_last_seen = values_of("device", "inode", "size", "mtime_ns", "ctime_ns", "added")
#: Maximum number of files of a directory whose rows are read in one query; larger directories are
#: read in parts, to save memory.
WHOLE_DIRECTORY = 8192


class CatalogReader:
    """Reads the catalog's rows of files by directory and by inode."""

    def __init__(self, path: str) -> None:
        """Open the catalog at ``path``, which the catalog's writer has made.

        Raises:
            StateError: the catalog cannot be opened.
        """
        self.path = path
        with translated(path):
            self._connection = connect_read_only(path, timeout=30)
            self._connection.execute("PRAGMA cache_size = -1024")
        add_function(self._connection)
        #: Number of damaged rows that were read since the caller set this number to 0.
        self.damaged = 0

    def close(self) -> None:
        """Close the reader's connection to the catalog."""
        self._connection.close()

    def directory(self, directory: int) -> dict[bytes, FileRow | None] | None:
        """The rows of all files of a directory by name; ``None``: the directory has too many files.

        The result has ``None`` in place of a damaged row.
        """
        with translated(self.path):
            rows = self._connection.execute(
                f"{SELECT} WHERE dir = ? LIMIT ?",
                (directory, WHOLE_DIRECTORY + 1),
            ).fetchall()
        if len(rows) > WHOLE_DIRECTORY:
            return None
        found = checked_by_name(rows)
        self.damaged += sum(row is None for row in found.values())
        return found

    def _checked(self, row: StoredRow) -> FileRow | None:
        found = checked(row)
        self.damaged += found is None
        return found

    def settled(
        self, directory: int, *, judged: int, until: int, algorithms: Iterable[str]
    ) -> dict[bytes, LastSeen] | None:
        """The states of all files of a directory by name; ``None``: a scan must check a file.

        The kind in each state is 1 for a hashed file, 2 for a file that its size ruled out, and 3
        for a file that its first block ruled out.

        ``None`` also means that the directory has too many files. A file must be checked, even if
        it did not change, if it may have changed without a new stamp, is a candidate, was not
        judged by the filter set ``judged`` (nor by a scan up to ``until``), was hashed without all
        ``algorithms``, or has a damaged row.
        """
        needed = " AND ".join(["1", *(f"{name} NOTNULL" for name in sorted(algorithms))])
        with translated(self.path):
            rows = self._connection.execute(
                f"SELECT {STORED}, CASE"  # noqa: S608
                " WHEN racy OR hit OR (judged <> ? AND scan > ?) THEN 0"
                f" WHEN head ISNULL THEN {needed} ELSE 2 + (head <> x'') END"
                " FROM file WHERE dir = ? LIMIT ?",
                (judged, until, directory, WHOLE_DIRECTORY + 1),
            ).fetchall()
        if len(rows) > WHOLE_DIRECTORY or not all(row[-1] for row in rows):
            return None
        if not are_whole([row[:-1] for row in rows]):
            return None
        return dict(zip(map(name_of, rows), map(_last_seen, rows), strict=True))

    def named(self, directory: int, name: bytes) -> FileRow | None:
        """The row of a file of a directory; ``None``: the file has no row, or a damaged row."""
        with translated(self.path):
            row = self._connection.execute(
                f"{SELECT} WHERE dir = ? AND name = ?",
                (directory, name),
            ).fetchone()
        return None if row is None else self._checked(row)

    def has(self, directory: int, name: bytes) -> bool:
        """Whether a file of a directory has a row in the catalog, even a damaged row."""
        with translated(self.path):
            row = self._connection.execute(
                "SELECT 1 FROM file WHERE dir = ? AND name = ?", (directory, name)
            ).fetchone()
        return row is not None

    def names(self, directory: int) -> Iterator[bytes]:
        """Yield the names of a directory's files; one query reads a thousand names."""
        last = b""
        while True:
            with translated(self.path):
                names = self._connection.execute(
                    "SELECT name FROM file WHERE dir = ? AND name > ? ORDER BY name LIMIT 1000",
                    (directory, last),
                ).fetchall()
            if not names:
                return
            for (last,) in names:
                yield last

    def last_directory(self) -> int:
        """The highest id of all directories in the catalog; 0: the catalog has no directory."""
        with translated(self.path):
            (number,) = self._connection.execute("SELECT max(id) FROM dir").fetchone()
        return number or 0

    def plain_digests(
        self,
        after: int,
        last: int,
        algorithms: Sequence[Algorithm],
        *,
        judged: int,
        until: int,
        step: int,
    ) -> Iterator[list[tuple[bytes | None, ...]] | None]:
        """The digests of files, in lists; ``None`` replaces a list that has a damaged row.

        Args:
            after: a directory's id; only files of directories with higher ids are returned.
            last: the last directory's id; files of directories with higher ids are not returned.
            algorithms: algorithms of the digests to return. The first digest of a candidate is
                ``None``.
            judged: number of a filter set; files that this filter set has judged are skipped.
            until: number of the last scan whose files are returned.
            step: maximum number of files in a list.
        """
        pick = values_of("judged", "scan", "hit", *algorithms)
        with translated(self.path):
            rows = self._connection.execute(f"{SELECT} WHERE dir > ? AND dir <= ?", (after, last))
            while found := rows.fetchmany(step):
                if not are_whole(found):
                    yield None
                    continue
                yield [
                    (None if hit else first, *others)
                    for by, scan, hit, first, *others in map(pick, found)
                    if by != judged and scan <= until
                ]

    def digests_after(
        self, directory: int, name: bytes, last: int, limit: int
    ) -> tuple[list[tuple[int, FileRow]], list[tuple[int, bytes]]]:
        """The next files after the file ``name`` of ``directory``, by directory id and name.

        Args:
            directory: id of the file's directory.
            name: name of the file after which the rows begin.
            last: id of the last directory whose files are returned.
            limit: maximum number of files to return.

        Returns:
            Directory id and row of each file; directory id and name of each file with a damaged
            row.
        """
        with translated(self.path):
            rows = self._connection.execute(
                f"{SELECT} WHERE (dir, name) > (?, ?) AND dir <= ? ORDER BY dir, name LIMIT ?",
                (directory, name, last, limit),
            ).fetchall()
        whole: list[tuple[int, FileRow]] = []
        damaged: list[tuple[int, bytes]] = []
        for stored in rows:
            row = checked(stored)
            if row is None:
                damaged.append((directory_of(stored), name_of(stored)))
            else:
                whole.append((directory_of(stored), row))
        return whole, damaged

    def linked(self, device: int, inode: int, stamp: Stamp) -> FileRow | None:
        """The row of another hard link of a file, with the same stamp; ``None``: no row exists."""
        with translated(self.path):
            row = self._connection.execute(
                f"{SELECT} WHERE linked = 1 AND inode = ? AND device = ?"
                " AND size = ? AND mtime_ns = ? AND ctime_ns = ? AND racy = 0",
                (signed(inode), device, *stamp),
            ).fetchone()
        return None if row is None else self._checked(row)
