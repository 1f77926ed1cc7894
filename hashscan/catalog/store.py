"""The catalog's writer: saves scans, directories, files and candidates."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from hashscan.catalog import checksums, directory_paths
from hashscan.catalog.candidate_state import REPORTED
from hashscan.catalog.checksums import checksum
from hashscan.catalog.expected_work import ExpectedWork
from hashscan.catalog.forget import forget
from hashscan.catalog.mount_points import MountedVolumes
from hashscan.catalog.rows import (
    REJUDGE,
    SELECT,
    UPSERT,
    DirectoryPlace,
    FileRow,
    QueuedDirectory,
    checked,
    directory_of,
    name_of,
    signed,
    stored_row,
    unsigned,
    values_of,
)
from hashscan.catalog.scans import Scans
from hashscan.catalog.schema import damaged, translated

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hashscan.catalog.rows import FoundProblem, RawRow
    from hashscan.model import Digest, Identity

_name_and_hit = values_of("name", "hit")


class Catalog(Scans, ExpectedWork, MountedVolumes):
    """Writes to the catalog, and reads the rows that its writer needs."""

    def filterset(self, name: str) -> int:
        """Begin to use the filter set ``name`` (versions of the filters); return the set's number.

        From now on, rows of files count as not judged if only other filter sets have judged them.
        """
        self._write()
        with translated(self.path):
            self._connection.execute("INSERT OR IGNORE INTO filterset (name) VALUES (?)", (name,))
            (number,) = self._connection.execute(
                "SELECT id FROM filterset WHERE name = ?", (name,)
            ).fetchone()
            self._connection.execute(
                "UPDATE filterset SET judged_until = 0 WHERE id <> ? AND judged_until <> 0",
                (number,),
            )
            self._seal_filtersets()
        return int(number)

    def has_filterset(self, name: str) -> bool:
        """Whether the filter set ``name`` was used before; also true if no file was hashed yet."""
        with translated(self.path):
            return bool(
                self._connection.execute(
                    "SELECT EXISTS (SELECT 1 FROM filterset WHERE name = ?)"
                    " OR NOT EXISTS (SELECT 1 FROM file)",
                    (name,),
                ).fetchone()[0]
            )

    def judged_until(self, filterset: int) -> int:
        """The number of the last scan whose rows a filter set has all judged; 0: no scan."""
        with translated(self.path):
            (number,) = self._connection.execute(
                "SELECT judged_until FROM filterset WHERE id = ?", (filterset,)
            ).fetchone()
        return int(number)

    def set_judged_until(self, filterset: int, scan: int) -> None:
        """Save that a filter set has judged all rows of scans up to ``scan``."""
        self._write()
        with translated(self.path):
            self._connection.execute(
                "UPDATE filterset SET judged_until = ? WHERE id = ?", (scan, filterset)
            )
            self._seal_filtersets()

    def _seal_filtersets(self) -> None:
        self._connection.execute(
            f"UPDATE filterset SET checksum = {checksums.FILTERSET}"  # noqa: S608
            f" WHERE checksum <> {checksums.FILTERSET}"
        )

    def forget_verdicts(self, digests: Iterable[Digest]) -> None:
        """Remove the verdicts about digests, see ``forget.forget``."""
        self._write()
        with translated(self.path):
            forget(self._connection, digests)

    # Directories

    def queue_directories(
        self,
        scan: int,
        parent: int,
        parent_path: bytes,
        names: Iterable[tuple[bytes, int]],
        *,
        again: bool = False,
    ) -> list[QueuedDirectory]:
        """Save subdirectories, and return the subdirectories that this scan must list.

        Args:
            scan: number of the scan that found the subdirectories.
            parent: id of the parent directory; 0: the subdirectory is a volume's root.
            parent_path: path of the parent directory below its volume.
            names: name and inode number of each subdirectory; a root's name is its absolute path.
            again: return all subdirectories, even if this scan has saved them before. Then the scan
                number in a known row is not changed: another running scan must still list the
                directory once.
        """
        self._write()
        prefix = parent_path + b"/" if parent_path else b""
        queued = []
        # An update of a damaged row must not give the row a valid checksum.
        update = (
            f"inode = ?4, checksum = iif(checksum = {checksums.DIRECTORY},"
            " checksum(parent, name, ?4, scan), checksum)"
            if again
            else "scan = ?3, inode = ?4, checksum = ?5 WHERE scan <> ?3"
        )
        with translated(self.path):
            for name, inode in names:
                row = self._connection.execute(
                    "INSERT INTO dir (parent, name, inode, born, scan, checksum)"  # noqa: S608
                    " VALUES (?1, ?2, ?4, ?3, ?3, ?5)"
                    f" ON CONFLICT (parent, name) DO UPDATE SET {update}"
                    " RETURNING id, born = ?3, parent = ?1 AND name = ?2",
                    (
                        parent,
                        name,
                        scan,
                        signed(inode),
                        checksum(parent, name, signed(inode), scan),
                    ),
                ).fetchone()
                if row is None:
                    row = self._damaged_directory(scan, parent, name, inode)
                if row:
                    if not row[2]:
                        raise damaged(self.path, "a directory has the place of another directory")
                    path = prefix + name if parent else b""
                    queued.append(QueuedDirectory(row[0], path, bool(row[1]) and not again, inode))
        return queued

    def _damaged_directory(
        self, scan: int, parent: int, name: bytes, inode: int
    ) -> tuple[int, bool, bool] | None:
        """Repair a damaged row that says that this scan has listed the row's directory.

        Returns:
            The directory's id, whether it is new, and whether the row has its parent and name;
            ``None``: the row is not damaged.
        """
        execute = self._connection.execute
        (number,) = execute(
            "SELECT id FROM dir WHERE parent = ? AND name = ?", (parent, name)
        ).fetchone() or (0,)
        (whole, here) = execute(
            f"SELECT checksum = {checksums.DIRECTORY}, parent = ? AND name = ?"  # noqa: S608
            " FROM dir NOT INDEXED WHERE id = ?",
            (parent, name, number),
        ).fetchone() or (False, False)
        if whole and here:
            return None
        self.damaged += 1
        execute(
            "UPDATE dir SET scan = ?, inode = ?, checksum = ? WHERE id = ?",
            (scan, signed(inode), checksum(parent, name, signed(inode), scan), number),
        )
        return number, False, bool(here)

    def find_directory(self, scan: int, root: int, path: bytes) -> QueuedDirectory:
        """The directory ``path`` below the volume whose root has the id ``root``.

        Directories of the path that are not in the catalog are added with the number ``scan`` and
        the inode 0 (unknown).
        """
        self._write()
        number = root
        with translated(self.path):
            for name in path.split(b"/") if path else ():
                found = self._connection.execute(
                    "SELECT id FROM dir WHERE parent = ? AND name = ?", (number, name)
                ).fetchone()
                if found is None:
                    found = self._connection.execute(
                        "INSERT INTO dir (parent, name, inode, born, scan, checksum)"
                        " VALUES (?1, ?2, 0, ?3, ?3, ?4) RETURNING id",
                        (number, name, scan, checksum(number, name, 0, scan)),
                    ).fetchone()
                (number,) = found
        return QueuedDirectory(number, path, False)

    def directory_path(self, number: int) -> bytes:
        """The path, below its volume, of the directory with the id ``number``."""
        return directory_paths.directory_path(self._connection, self.path, number)

    def place_of(self, number: int) -> DirectoryPlace:
        """Parent, name and inode of the directory with the id ``number``; zeros: it is unknown."""
        with translated(self.path):
            row = self._connection.execute(
                "SELECT parent, name, inode FROM dir WHERE id = ?", (number,)
            ).fetchone()
        if row is None:
            return DirectoryPlace(0, b"", 0)
        return DirectoryPlace(row[0], row[1], unsigned(row[2]))

    def volume_of(self, number: int) -> bytes | None:
        """The root of the volume that contains the directory with the id ``number``."""
        return directory_paths.volume_of(self._connection, self.path, number)

    # Files

    def put_files(self, directory: int, rows: Sequence[RawRow]) -> None:
        """Save rows of files of one directory; a row that is older than the saved row is dropped.

        If a new row hits no filter, its file is removed from the candidates. The problems of
        these files are removed.
        """
        self._write()
        # Insert in the order of the key: some file systems list the newest file first, and in that
        # order the table's pages would remain half empty.
        rows = sorted(rows, key=name_of)
        with translated(self.path):
            now = time.time_ns()
            self._connection.executemany(
                UPSERT, [(*stored_row(row, directory), now) for row in rows]
            )
            if self._has_problems:
                self._connection.executemany(
                    "DELETE FROM problem WHERE dir = ? AND name = ?",
                    [(directory, name_of(row)) for row in rows],
                )
            if self._has_candidates:
                self._connection.executemany(
                    "DELETE FROM candidate WHERE dir = ? AND name = ? AND EXISTS"
                    " (SELECT 1 FROM file AS now WHERE now.dir = candidate.dir"
                    " AND now.name = candidate.name AND hit = 0)",
                    [(directory, name) for name, hit in map(_name_and_hit, rows) if not hit],
                )

    def rejudge(self, directory: int, judged: int, names: list[tuple[bytes, bool]]) -> None:
        """Save the result of another filter set, which has judged the saved digests of files."""
        self._write()
        with translated(self.path):
            self._connection.executemany(
                REJUDGE, [(judged, hit, directory, name) for name, hit in names]
            )
            self._forget_reported_files(directory, [name for name, hit in names if not hit])

    def forget_files(self, directory: int, names: Iterable[bytes]) -> None:
        """Remove the rows of files that no longer exist."""
        self._write()
        with translated(self.path):
            for table in ("file", "problem"):
                self._connection.executemany(
                    f"DELETE FROM {table} WHERE dir = ? AND name = ?",  # noqa: S608
                    [(directory, name) for name in names],
                )
            self._forget_reported_files(directory, names)

    def _forget_reported_files(self, directory: int, names: Iterable[bytes]) -> None:
        if self._has_candidates:
            self._connection.executemany(
                f"DELETE FROM candidate WHERE dir = ? AND name = ? AND {REPORTED}",  # noqa: S608
                [(directory, name) for name in names],
            )

    def put_problems(
        self, scan: int, directory: int, problems: Iterable[FoundProblem]
    ) -> list[FoundProblem]:
        """Save problems with directory entries; return the problems that are new in this scan."""
        self._write()
        self._has_problems = True
        with translated(self.path):
            return [
                problem
                for problem in problems
                if self._connection.execute(
                    "INSERT INTO problem (dir, name, reason, message, scan) VALUES (?, ?, ?, ?, ?)"
                    " ON CONFLICT (dir, name) DO UPDATE SET reason = excluded.reason,"
                    " message = excluded.message, scan = excluded.scan"
                    " WHERE scan <> excluded.scan RETURNING 1",
                    (directory, *problem, scan),
                ).fetchone()
            ]

    def other_names(self, identity: Identity, devices: list[int]) -> list[tuple[int, FileRow]]:
        """Directory id and row of every hard link of an inode in the catalog.

        ``devices`` are the numbers that rows may have for the inode's device (see ``FileRow``).
        """
        marks = ", ".join("?" for _ in devices)
        with translated(self.path):
            rows = self._connection.execute(
                f"{SELECT} WHERE linked = 1 AND inode = ? AND device IN ({marks})",
                (signed(identity.inode), *devices),
            ).fetchall()
        # A hard link whose row is damaged is later reported as a remaining name of the inode.
        found = [(directory_of(row), checked(row)) for row in rows]
        return [(number, row) for number, row in found if row is not None]
