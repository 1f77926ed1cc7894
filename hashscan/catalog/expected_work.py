"""The expected work of a scan, estimated from earlier scans, for the scan's progress bar."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from hashscan.catalog.schema import translated
from hashscan.catalog.writer import CatalogWriter
from hashscan.reporter import Expected

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_WHOLE_SCANS = (
    "SELECT files, summary FROM scan WHERE volumes = ? AND interrupted = -1 ORDER BY id DESC"
)
#: A file whose row has no ``head`` was hashed. A full scan hashes the file again, unless it resumes
#: a full scan that has hashed the file.
_TO_HASH = (
    "WITH RECURSIVE below (id) AS ("
    "SELECT id FROM dir WHERE parent = 0 AND name IN (SELECT value FROM temp.root)"
    " UNION ALL SELECT dir.id FROM dir JOIN below ON dir.parent = below.id)"
    " SELECT count(*), coalesce(sum(size), 0) FROM file"
    " WHERE head IS NULL AND scan < ? AND dir IN (SELECT id FROM below)"
)


class ExpectedWork(CatalogWriter):
    """Estimates the work of a scan from the totals of earlier scans."""

    def expected(
        self, volumes: Sequence[bytes], *, hash_before: int | None = None
    ) -> Expected | None:
        """The expected work of a scan of ``volumes``; ``None``: no whole scan has ended yet.

        Args:
            volumes: roots of the volumes to scan.
            hash_before: a scan number, for a full scan: it hashes again the files that scans with
                lower numbers hashed. These files are counted by reading the table of files once.
        """
        with translated(self.path):
            scans = self._connection.execute(
                _WHOLE_SCANS, (b"\0".join(sorted(volumes)),)
            ).fetchall()
            if not scans or not scans[0][0]:
                return None
            summaries = [json.loads(summary) for _, summary in scans if summary]
            costs = next((summary["costs"] for summary in summaries if summary.get("costs")), None)
            if hash_before is not None:
                hashed, size = self._to_hash(volumes, hash_before)
                return Expected(scans[0][0], hashed, size, costs)
        # The largest number of bytes that a scan has read is the best estimate for all files.
        sizes = [summary.get("bytes_hashed", 0) for summary in summaries]
        return Expected(scans[0][0], None, max(sizes, default=0), costs)

    def _to_hash(self, volumes: Iterable[bytes], before: int) -> tuple[int, int]:
        execute = self._connection.execute
        execute("CREATE TEMP TABLE IF NOT EXISTS root (value BLOB)")
        execute("DELETE FROM temp.root")
        for volume in volumes:
            execute("INSERT INTO temp.root VALUES (?)", (volume,))
        count, size = execute(_TO_HASH, (before,)).fetchone()
        return int(count), int(size)
