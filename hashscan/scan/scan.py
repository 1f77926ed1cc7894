"""Runs one scan of volumes: its directories, its worker processes, and its result in the catalog.

A scan has no loop of its own: ``scan/engine`` runs it as a one-off scan, ``daemon/session_scan``
beside the daemon's other work.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from hashscan.model import Summary
from hashscan.scan.dispatch import Dispatch
from hashscan.scan.messages import Tally, WorkerSettings
from hashscan.scan.pool import Pool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from multiprocessing.connection import Connection

    from hashscan.catalog.store import Catalog
    from hashscan.reporter import Reporter
    from hashscan.scan.options import ScanOptions


class Scan:
    """Scans the volumes in its options once.

    Attributes:
        options: options of the scan.
        number: number of the scan in the catalog.
        resumed: number of the interrupted full scan that this scan continues; ``None``: it
            continues none.
        roots: the queued root directory of each volume, by the volume's path.
        dispatch: hands out directories and stores findings.
        pool: the worker processes; see ``start_workers``.
        expected: the expected amount of work; ``None``: there was no whole scan of these volumes.
        summary: the numbers and results of the scan; complete after ``end``.
    """

    pool: Pool

    def __init__(
        self,
        options: ScanOptions,
        catalog: Catalog,
        reporter: Reporter,
        *,
        judged: int,
        on_candidate: Callable[[], None],
        kind: str = "scan",
    ) -> None:
        """Note the start of the scan in the catalog, and queue the volumes' roots.

        ``judged`` is the number of the filter set in the catalog; ``on_candidate`` is called after
        each candidate; ``kind`` is the reason of the scan, for ``status``.

        Raises:
            StateError: the catalog cannot be written.
        """
        self.options = options
        self._catalog = catalog
        self._judged = judged
        self._began = time.monotonic()
        paths = [volume.root for volume in options.volumes]
        self.number, self.resumed = catalog.begin_scan(paths, complete=options.full, kind=kind)
        first = self.number if self.resumed is None else self.resumed
        self.expected = catalog.expected(paths, hash_before=first if options.full else None)
        self.summary = Summary()
        self._on_candidate = on_candidate
        self.dispatch = Dispatch(
            catalog,
            reporter,
            options.volumes,
            scan=self.number,
            judged=judged,
            jobs=options.jobs,
            on_candidate=self._count_candidate,
        )
        self.dispatch.unseen.follow_mounts = options.follow_mounts
        self.roots = {
            path: catalog.queue_directories(self.number, 0, b"", [(path, 0)])[0] for path in paths
        }
        catalog.commit()
        for volume, root in enumerate(self.roots.values()):
            self.dispatch.push(volume, root, 1 / len(self.roots))

    def _count_candidate(self) -> None:
        self.summary.candidates += 1
        self._on_candidate()

    def start_workers(self, judged_until: int = 0) -> None:
        """Start the worker processes. For ``judged_until``, see ``WorkerSettings``."""
        settings = WorkerSettings(
            self.options,
            tuple(root.number for root in self.roots.values()),
            self._catalog.path,
            judged=self._judged,
            scan=self.number,
            resumed=self.resumed,
            judged_until=judged_until,
        )
        self.pool = Pool(settings, before_fork=self._catalog.commit)

    def start_over(self, options: ScanOptions, judged: int, judged_until: int) -> None:
        """Continue with new worker processes and other filters; they repeat the work under way."""
        self.pool.close()
        self.options, self._judged = options, judged
        self.dispatch.start_over(judged)
        self.start_workers(judged_until)

    @property
    def tally(self) -> Tally:
        """Return the counts of the outcomes so far, including those in unfinished directories."""
        found = Tally()
        found.add(self.dispatch.tally)
        found.add(self.dispatch.early)
        return found

    def receive(self, others: list[Connection], timeout: float) -> tuple[int, list[Connection]]:
        """Store the findings that the worker processes report within ``timeout`` seconds.

        Returns:
            the number of messages from workers, and the readable connections of ``others``.

        Raises:
            HashscanError: the worker processes cannot work.
        """
        messages, ready = 0, []
        for said in self.pool.receive(others, timeout):
            if not isinstance(said, tuple):
                ready.append(said)
                continue
            messages += 1
            worker, message = said
            if message is None:
                self.dispatch.died(worker)
            else:
                self.dispatch.heard(worker, message)
        return messages, ready

    def end(
        self,
        *,
        interrupted: bool,
        missing: int = 0,
        costs: Sequence[float] | None = None,
        held: Iterable[int] = (),
    ) -> Summary:
        """Store the scan's summary in the catalog, and return it; the caller has closed the pool.

        The volumes in ``missing`` count as problems. For ``costs`` and ``held``, see
        ``Catalog.end_scan``.

        Raises:
            StateError: the catalog cannot be written.
        """
        summary = self.summary
        # Files that were hashed in unfinished directories of an interrupted scan are kept.
        tally = self.tally if interrupted else self.dispatch.tally
        tally.fill(summary)
        summary.problems += missing
        summary.interrupted = interrupted
        summary.seconds = time.monotonic() - self._began
        self._catalog.end_scan(
            self.number,
            files=summary.files,
            interrupted=interrupted,
            unseen=self.dispatch.unseen.roots,
            summary=summary,
            costs=costs,
            held=held,
        )
        return summary
