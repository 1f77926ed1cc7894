"""The catalog as its one writer sees it: scans, directories and files, and the candidates."""

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
    """Everything that is written to the catalog, and what its writer reads from it."""

    def filterset(self, name: str) -> int:
        """The number of the set of filters called ``name`` (their versions, joined), used from now.

        What others had judged does not count any more: rows are judged by this one.
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
        """Whether the set of filters called ``name`` was used before; or no file was hashed yet."""
        with translated(self.path):
            return bool(
                self._connection.execute(
                    "SELECT EXISTS (SELECT 1 FROM filterset WHERE name = ?)"
                    " OR NOT EXISTS (SELECT 1 FROM file)",
                    (name,),
                ).fetchone()[0]
            )

    def judged_until(self, filterset: int) -> int:
        """The last scan before all that was in the catalog was judged by a set of filters; or 0."""
        with translated(self.path):
            (number,) = self._connection.execute(
                "SELECT judged_until FROM filterset WHERE id = ?", (filterset,)
            ).fetchone()
        return int(number)

    def set_judged_until(self, filterset: int, scan: int) -> None:
        """Note that all rows of scans up to ``scan`` were judged by a set of filters."""
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
        """See ``forgetting.forget``."""
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
        """Note subdirectories (name, inode) to be listed; those noted in this scan before are not.

        With ``again`` they all are, and to which scan one that was known belongs stays as it is: a
        scan under way beside this one must meet it once, and forget what it did not meet. A
        volume's root has the parent 0 and its absolute path as name.
        """
        self._write()
        prefix = parent_path + b"/" if parent_path else b""
        queued = []
        # A damaged row must not get a right checksum by this.
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
                        raise damaged(self.path, "a directory has the place of another one")
                    path = prefix + name if parent else b""
                    queued.append(QueuedDirectory(row[0], path, bool(row[1]) and not again, inode))
        return queued

    def _damaged_directory(
        self, scan: int, parent: int, name: bytes, inode: int
    ) -> tuple[int, bool, bool] | None:
        """Mend a directory's row if it claims, by damage, that this scan has listed the directory.

        Returns:
            its id, whether it is new, whether it is at its place; ``None``: the row is not damaged.
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

        Those of its components that the catalog did not know are noted as met by ``scan``, with an
        inode of 0: not known.
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
        """The path below its volume of the directory with this id."""
        return directory_paths.directory_path(self._connection, self.path, number)

    def place_of(self, number: int) -> DirectoryPlace:
        """Where the directory with this id was."""
        with translated(self.path):
            row = self._connection.execute(
                "SELECT parent, name, inode FROM dir WHERE id = ?", (number,)
            ).fetchone()
        if row is None:
            return DirectoryPlace(0, b"", 0)
        return DirectoryPlace(row[0], row[1], unsigned(row[2]))

    def volume_of(self, number: int) -> bytes | None:
        """The root of the volume that the directory with this id is in."""
        return directory_paths.volume_of(self._connection, self.path, number)

    # Files

    def put_files(self, directory: int, rows: Sequence[RawRow]) -> None:
        """Store what was found in files of one directory.

        A file whose new content hits no filter is a candidate no longer, and one that could not be
        judged before is no problem any more. What is older than the row that is there is dropped.
        """
        self._write()
        # In the order of the key, or the table's pages stay half empty: some file systems list the
        # newest file first.
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
        """Note that files, by their kept digests, were judged by another set of filters."""
        self._write()
        with translated(self.path):
            self._connection.executemany(
                REJUDGE, [(judged, hit, directory, name) for name, hit in names]
            )
            self._forget_reported_files(directory, [name for name, hit in names if not hit])

    def forget_files(self, directory: int, names: Iterable[bytes]) -> None:
        """Forget files that are not there any more."""
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
        """Store problems; returns those that were not yet noted in this scan."""
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
        """Directory id and row of every name of an inode that the catalog knows.

        ``devices`` are the numbers that rows may have for its device (see ``FileRow``).
        """
        marks = ", ".join("?" for _ in devices)
        with translated(self.path):
            rows = self._connection.execute(
                f"{SELECT} WHERE linked = 1 AND inode = ? AND device IN ({marks})",
                (signed(identity.inode), *devices),
            ).fetchall()
        # A link whose row is damaged is reported as a name that remains.
        found = [(directory_of(row), checked(row)) for row in rows]
        return [(number, row) for number, row in found if row is not None]
