"""What the worker processes ask the catalog, each over a read-only connection of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hashscan.catalog.checksums import add_function, are_whole
from hashscan.catalog.rows import CHECKED, FileRow, checked, signed
from hashscan.catalog.schema import translated
from hashscan.database import connect_read_only

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from hashscan.model import Algorithm, Stamp

#: Directory, name, digests, hit, judged, scan, size and head of a file, as plain as it comes.
DigestsRow = tuple[
    int, bytes, bytes | None, bytes | None, bytes | None, int, int, int, int, bytes | None
]
_HIT, _JUDGED, _SCAN, _SIZE, _HEAD, _MD5 = (
    FileRow._fields.index(name) for name in ("hit", "judged", "scan", "size", "head", "md5")
)
#: Directories with more files than this are looked up a few names at a time, to stay flat.
WHOLE_DIRECTORY = 8192


class CatalogReader:
    """Look-ups by directory and by inode."""

    def __init__(self, path: str) -> None:
        """Open the catalog at ``path``, which the writer has made.

        Raises:
            StateError: it cannot be opened.
        """
        self.path = path
        with translated(path):
            self._connection = connect_read_only(path, timeout=30)
            self._connection.execute("PRAGMA cache_size = -1024")
        add_function(self._connection)
        #: Damaged rows that were read since this was set to 0.
        self.damaged = 0

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def directory(self, directory: int) -> dict[bytes, FileRow | None] | None:
        """All files of a directory by name; ``None`` if they are too many for the memory.

        A file whose row is damaged has no row here.
        """
        with translated(self.path):
            rows = self._connection.execute(
                f"SELECT {CHECKED} FROM file WHERE dir = ? LIMIT ?",  # noqa: S608
                (directory, WHOLE_DIRECTORY + 1),
            ).fetchall()
        if len(rows) > WHOLE_DIRECTORY:
            return None
        if are_whole(rows):
            return {row[0]: FileRow._make(row[:-2]) for row in rows}
        return {row[0]: self._checked(row) for row in rows}

    def _checked(self, row: tuple[Any, ...]) -> FileRow | None:
        found = checked(row)
        self.damaged += found is None
        return found

    def settled(
        self, directory: int, *, judged: int, until: int, algorithms: Iterable[str]
    ) -> dict[bytes, tuple[Any, ...]] | None:
        """Name, device, inode, size, mtime, ctime ... of all files of a directory, by name.

        The last value is 1 for a file that was hashed, 2 for a file that its size ruled out, 3 for
        a file that its first block ruled out.

        ``None`` if they are too many for the memory, or if a file must be checked even if it has
        not changed: it may have changed without a new stamp, is a candidate, was not judged by the
        filter set ``judged`` (nor by a scan up to ``until``), lacks a digest of ``algorithms``
        without being ruled out, or has a damaged row.
        """
        needed = " AND ".join(["1", *(f"{name} NOTNULL" for name in sorted(algorithms))])
        with translated(self.path):
            rows = self._connection.execute(
                f"SELECT {CHECKED}, CASE"  # noqa: S608
                " WHEN racy OR hit OR (judged <> ? AND scan > ?) THEN 0"
                f" WHEN head ISNULL THEN {needed} ELSE 2 + (head <> x'') END"
                " FROM file WHERE dir = ? LIMIT ?",
                (judged, until, directory, WHOLE_DIRECTORY + 1),
            ).fetchall()
        if len(rows) > WHOLE_DIRECTORY or not all(row[-1] for row in rows):
            return None
        if not are_whole([row[:-1] for row in rows]):
            return None
        return {row[0]: row for row in rows}

    def named(self, directory: int, name: bytes) -> FileRow | None:
        """One file of a directory; ``None`` also if its row is damaged."""
        with translated(self.path):
            row = self._connection.execute(
                f"SELECT {CHECKED} FROM file WHERE dir = ? AND name = ?",  # noqa: S608
                (directory, name),
            ).fetchone()
        return None if row is None else self._checked(row)

    def has(self, directory: int, name: bytes) -> bool:
        """Whether a file of a directory has a row, damaged or not."""
        with translated(self.path):
            row = self._connection.execute(
                "SELECT 1 FROM file WHERE dir = ? AND name = ?", (directory, name)
            ).fetchone()
        return row is not None

    def names(self, directory: int) -> Iterator[bytes]:
        """The names of a directory's files, a thousand at a time."""
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
        """The highest id of a directory, or 0."""
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
        """The digests of files, and nothing else; ``None`` if some rows are damaged.

        Args:
            after: of the directories after this one,
            last: up to this one.
            algorithms: which digests; ``None`` instead of the first, where the file is a candidate.
            judged: not those that this set of filters has judged, ...
            until: ... nor those of later scans.
            step: so many at a time.
        """
        places = [FileRow._fields.index(name) for name in algorithms]
        first, others = places[0], places[1:]
        with translated(self.path):
            rows = self._connection.execute(
                f"SELECT {CHECKED} FROM file WHERE dir > ? AND dir <= ?",  # noqa: S608
                (after, last),
            )
            while found := rows.fetchmany(step):
                if not are_whole(found):
                    yield None
                    continue
                yield [
                    (None if row[_HIT] else row[first], *[row[place] for place in others])
                    for row in found
                    if row[_JUDGED] != judged and row[_SCAN] <= until
                ]

    def digests_after(
        self, directory: int, name: bytes, last: int, limit: int
    ) -> tuple[list[DigestsRow], list[tuple[int, bytes]]]:
        """The next files after one, in the order of directory ids and names.

        Up to the directory ``last``, and at most ``limit``. A file whose row is damaged has only
        its directory and its name.
        """
        with translated(self.path):
            rows = self._connection.execute(
                f"SELECT {CHECKED} FROM file"  # noqa: S608
                " WHERE (dir, name) > (?, ?) AND dir <= ? ORDER BY dir, name LIMIT ?",
                (directory, name, last, limit),
            ).fetchall()
        whole: list[DigestsRow] = []
        damaged: list[tuple[int, bytes]] = []
        for row in rows:
            if are_whole((row,)):
                kept = row[_HIT], row[_JUDGED], row[_SCAN], row[_SIZE], row[_HEAD]
                whole.append((row[-2], row[0], *row[_MD5 : _MD5 + 3], *kept))
            else:
                damaged.append((row[-2], row[0]))
        return whole, damaged

    def linked(self, device: int, inode: int, stamp: Stamp) -> FileRow | None:
        """A file that is another name of this inode, with the stamp it has now."""
        with translated(self.path):
            row = self._connection.execute(
                f"SELECT {CHECKED} FROM file WHERE linked = 1 AND inode = ?"  # noqa: S608
                " AND device = ? AND size = ? AND mtime_ns = ? AND ctime_ns = ? AND racy = 0",
                (signed(inode), device, *stamp),
            ).fetchone()
        return None if row is None else self._checked(row)
