"""Saves the begin and end of scans; at a scan's end, removes the rows of files now gone."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

from hashscan.catalog import checksums
from hashscan.catalog.candidates import CandidateQueue
from hashscan.catalog.schema import translated

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from hashscan.model import Summary

#: Value of ``owner`` for directories that are spilled (saved on the disk) only during the end of a
#: scan; all other owners are 0 or more.
_HELD = -1
#: Values of ``interrupted``: ``WHOLE`` for a scan that saw every file of its volumes, ``NOT_WHOLE``
#: for a scan that ended without a signal but did not see every file.
WHOLE = -1
NOT_WHOLE = -2


class Scans(CandidateQueue):
    """Saves scans, and the queued directories that scans spill from memory to the disk."""

    def begin_scan(
        self, volumes: Iterable[bytes], *, complete: bool, kind: str = "scan"
    ) -> tuple[int, int | None]:
        """Save that a scan begins; ``kind`` is the reason of the scan that ``status`` shows.

        Returns:
            The scan's number. The second value is the number of the interrupted full scan that
            this full scan of the same volumes resumes, or ``None``.
        """
        key = b"\0".join(sorted(volumes))
        self.forget_done()
        with translated(self.path):
            last = self._connection.execute(
                "SELECT id, interrupted, complete FROM scan WHERE volumes = ?"
                " ORDER BY id DESC LIMIT 1",
                (key,),
            ).fetchone()
            resumed = None
            if complete and last and last[2] and last[1] >= 0:
                # ``interrupted`` is 0 while a scan runs (and after a kill), 1 if a signal ended
                # it, negative if it saw its volumes to the end.
                resumed = self._first_of(last[0])
            (number,) = self._connection.execute(
                "INSERT INTO scan (started, volumes, complete, kind) VALUES (?, ?, ?, ?)"
                " RETURNING id",
                (time.time(), key, complete, kind),
            ).fetchone()
            self._seal_scan(number)
        self.commit()
        return int(number), resumed

    def _seal_scan(self, number: int) -> None:
        self._connection.execute(
            f"UPDATE scan SET checksum = {checksums.SCAN} WHERE id = ?",  # noqa: S608
            (number,),
        )

    def _first_of(self, number: int) -> int:
        """The number of the first of consecutive interrupted full scans of the same volumes."""
        (first,) = self._connection.execute(
            "SELECT coalesce(min(id), :n) FROM scan WHERE complete AND interrupted >= 0"
            " AND volumes = (SELECT volumes FROM scan WHERE id = :n) AND id > coalesce("
            "(SELECT max(id) FROM scan WHERE interrupted < 0"
            " AND volumes = (SELECT volumes FROM scan WHERE id = :n)), 0)",
            {"n": number},
        ).fetchone()
        return int(first)

    def begin_watch(self) -> int:
        """A new scan number for files that the watch reports, above all earlier scan numbers."""
        number, _ = self.begin_scan((), complete=False, kind="watch")
        # Delete the watch's earlier rows last: otherwise SQLite could use the highest number again.
        with translated(self.path):
            self._connection.execute("DELETE FROM scan WHERE kind = 'watch' AND id < ?", (number,))
        return number

    def end_scan(
        self,
        scan: int,
        *,
        files: int,
        interrupted: bool,
        unseen: Collection[bytes] = (),
        summary: Summary | None = None,
        costs: Sequence[float] | None = None,
        held: Iterable[int] = (),
    ) -> None:
        """Save that a scan ended. After a whole scan, remove the rows of files that are gone.

        ``unseen`` has the roots of volumes of which the scan did not see every file. The rows of
        these volumes are kept, and the scan is whole only for its other volumes.

        ``costs`` are the costs of ``Expected``, for the estimate of the next scan.

        The argument ``held`` has the ids of directories whose results are not saved yet. These
        directories, the directories above them, and spilled directories are kept until the end of
        the next scan.
        """
        self.forget_done()
        with translated(self.path):
            (volumes,) = self._connection.execute(
                "SELECT volumes FROM scan WHERE id = ?", (scan,)
            ).fetchone()
            if not interrupted:
                self._forget_gone_directories(scan, held, unseen)
                self.forget_reported(scan, set(volumes.split(b"\0")).difference(unseen))
            self._connection.execute(
                "UPDATE scan SET ended = ?, files = ?, interrupted = ?, summary = ? WHERE id = ?",
                (
                    time.time(),
                    files,
                    1 if interrupted else NOT_WHOLE if unseen else WHOLE,
                    None if summary is None else json.dumps({**asdict(summary), "costs": costs}),
                    scan,
                ),
            )
            self._seal_scan(scan)
            if unseen and not interrupted:
                self._part_whole(scan, volumes.split(b"\0"), unseen)
            # If one volume is scanned every few seconds, the last scans of other volumes are kept.
            self._connection.execute(
                "DELETE FROM scan WHERE id < ? - 1000 AND id NOT IN"
                " (SELECT max(id) FROM scan WHERE interrupted = -1 GROUP BY volumes)",
                (scan,),
            )
        self.commit()

    def _part_whole(self, scan: int, volumes: list[bytes], unseen: Collection[bytes]) -> None:
        """Split a scan's row: a whole scan of the volumes not in ``unseen``, and a scan of all."""
        whole = [volume for volume in volumes if volume not in unseen]
        if not whole:
            return
        (number,) = self._connection.execute(
            "INSERT INTO scan"
            " (started, ended, volumes, complete, files, interrupted, kind, summary)"
            " SELECT started, ended, volumes, complete, files, interrupted, kind, summary FROM scan"
            " WHERE id = ? RETURNING id",
            (scan,),
        ).fetchone()
        self._seal_scan(number)
        self._connection.execute(
            "UPDATE scan SET volumes = ?, interrupted = ? WHERE id = ?",
            (b"\0".join(whole), WHOLE, scan),
        )
        self._seal_scan(scan)

    def _forget_gone_directories(
        self, scan: int, held: Iterable[int], unseen: Iterable[bytes]
    ) -> None:
        execute = self._connection.execute
        self.spill(_HELD, ((0, number, False, 0.0) for number in held))
        execute("CREATE TEMP TABLE IF NOT EXISTS gone (id INTEGER PRIMARY KEY)")
        execute("DELETE FROM gone")
        execute(
            "INSERT INTO gone WITH RECURSIVE lost (id) AS ("
            " SELECT child.id FROM dir AS child JOIN dir AS parent ON child.parent = parent.id"
            " WHERE child.scan < ?1 AND parent.scan = ?1 AND NOT EXISTS (SELECT 1 FROM problem"
            " WHERE problem.dir = parent.id AND problem.name = x'' AND problem.scan = ?1)"
            " UNION ALL SELECT dir.id FROM dir JOIN lost ON dir.parent = lost.id)"
            " SELECT id FROM lost",
            (scan,),
        )
        execute(
            "DELETE FROM gone WHERE id IN (WITH RECURSIVE up (id) AS (SELECT id FROM frontier"
            " UNION SELECT dir.parent FROM dir JOIN up ON dir.id = up.id) SELECT id FROM up)"
        )
        execute("DELETE FROM frontier WHERE owner = ?", (_HELD,))
        for root in unseen:
            execute(
                "DELETE FROM gone WHERE id IN (WITH RECURSIVE below (id) AS ("
                " SELECT id FROM dir WHERE parent = 0 AND name = ? UNION ALL"
                " SELECT dir.id FROM dir JOIN below ON dir.parent = below.id)"
                " SELECT id FROM below)",
                (root,),
            )
        for table in ("file", "problem"):
            execute(f"DELETE FROM {table} WHERE dir IN (SELECT id FROM gone)")  # noqa: S608
        execute("DELETE FROM dir WHERE id IN (SELECT id FROM gone)")

    def spill(self, owner: int, directories: Iterable[tuple[int, int, bool, float]]) -> None:
        """Save queued directories of ``owner`` on the disk: volume, id, ``fresh`` and weight."""
        with translated(self.path):
            self._connection.execute(
                "CREATE TEMP TABLE IF NOT EXISTS frontier"
                " (number INTEGER PRIMARY KEY, volume, id, fresh, weight, owner)"
            )
            self._connection.executemany(
                "INSERT INTO frontier (volume, id, fresh, weight, owner) VALUES (?, ?, ?, ?, ?)",
                [(*directory, owner) for directory in directories],
            )

    def unspill(self, owner: int, limit: int) -> list[tuple[int, int, bool, float]]:
        """Remove and return up to ``limit`` spilled directories of ``owner``, the latest first."""
        with translated(self.path):
            return self._connection.execute(
                "DELETE FROM frontier WHERE number IN"
                " (SELECT number FROM frontier WHERE owner = ? ORDER BY number DESC LIMIT ?)"
                " RETURNING volume, id, fresh, weight",
                (owner, limit),
            ).fetchall()

    def forget_spilled(self, owner: int, volume: int) -> int:
        """Remove the spilled directories of a volume; return the number of removed directories."""
        with translated(self.path):
            return self._connection.execute(
                "DELETE FROM frontier WHERE owner = ? AND volume = ?", (owner, volume)
            ).rowcount
