"""Skips unchanged files: decides by a file's row in the catalog whether it must be hashed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hashscan.catalog.rows import signed
from hashscan.fs.listing import Unchanged
from hashscan.fs.reading import stamp_of
from hashscan.model import Skipped
from hashscan.scan.findings import candidate_of
from hashscan.scan.hashing import has_all
from hashscan.scan.screening import reason_of

if TYPE_CHECKING:
    import os

    from hashscan.catalog.reader import CatalogReader
    from hashscan.catalog.rows import FileRow
    from hashscan.scan.messages import Findings, Tally, Task, WorkerSettings
    from hashscan.scan.screening import Filters, Screen
    from hashscan.scan.volume_root import VolumeRoot


class UnchangedFiles:
    """Decides by rows and stamps which files of one scan need not be hashed."""

    def __init__(
        self, settings: WorkerSettings, catalog: CatalogReader, filters: Filters, screen: Screen
    ) -> None:
        """Prepare to decide which files of a scan are unchanged.

        ``filters`` judge the digests in rows; ``screen`` judges the sizes and first blocks in rows.
        """
        self._settings = settings
        self._options = settings.options
        self._catalog = catalog
        self._filters = filters
        self._screen = screen

    def of_directory(self, task: Task, root: VolumeRoot) -> Unchanged | None:
        """Return a directory's rows if all its files are unchanged and can be counted together."""
        settings = self._settings
        if task.again or self._options.full or root.has_excludes:
            return None
        files = self._catalog.settled(
            task.directory,
            judged=settings.judged,
            until=settings.judged_until,
            algorithms=self._options.algorithms,
        )
        return None if files is None else Unchanged(files, *root.row_device)

    def is_settled(
        self,
        row: FileRow | None,
        status: os.stat_result,
        device: int,
        findings: Findings,
        *,
        again: bool,
    ) -> bool:
        """Return whether a file's row is still valid; if so, count the file in ``findings``.

        Args:
            row: catalog row of the file's name.
            status: status (stat) of the file.
            device: the number that the catalog's rows use for the file's device.
            findings: receives the file's outcome.
            again: a worker process died at the file's directory before, see ``Task``.
        """
        if (
            row is None
            or row.inode != signed(status.st_ino)
            or row.stamp != stamp_of(status)
            or row.device != device
            or not (row.head is not None or has_all(row.digests, self._options.algorithms))
        ):
            return False
        settings = self._settings
        tally = findings.tally
        if self._options.full and row.head is not None:
            return False  # A full scan hashes every file.
        if again and row.scan == settings.scan and row.judged == settings.judged:
            if row.head is None:
                tally.hashed += 1
                tally.bytes_hashed += row.size
                return True
            if not row.hit:
                tally.skip({reason_of(row.head).value: 1})
                return True
        if row.racy:
            return False
        if self._options.full and (settings.resumed is None or row.scan < settings.resumed):
            return False
        is_judged = row.judged == settings.judged or row.scan <= settings.judged_until
        if row.head is not None:
            if row.hit or not is_judged:
                if not self._screen.rules_out(row.size, row.head):
                    return False
                findings.rejudged.append((row.name, False))
            tally.skip({reason_of(row.head).value: 1})
            return True
        tally.unchanged += 1
        if row.hit or not is_judged:
            found = self._filters.judge(row.digests)
            if row.judged != settings.judged:
                findings.rejudged.append((row.name, bool(found)))
            if found:
                findings.candidates.append(candidate_of(row.name, status, row.digests, found))
        return True


def count_unchanged(unchanged: Unchanged, tally: Tally) -> None:
    """Count unchanged files: files with digests, and files that the filters still rule out."""
    _, hashed, by_size, by_head = unchanged.met
    tally.unchanged += hashed
    for reason, count in ((Skipped.UNKNOWN_SIZE, by_size), (Skipped.UNKNOWN_HEAD, by_head)):
        if count:
            tally.skip({reason.value: count})
