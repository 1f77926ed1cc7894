"""One scan of volumes inside the daemon: paced, and with less priority than the watch."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from hashscan.model import Summary
from hashscan.scan.dispatch import Dispatch
from hashscan.scan.messages import Tally, WorkerSettings
from hashscan.scan.pool import Pool

if TYPE_CHECKING:
    from collections.abc import Iterable
    from multiprocessing.connection import Connection

    from hashscan.catalog.store import Catalog
    from hashscan.daemon.audit_lines import DaemonRecord
    from hashscan.reporter import Reporter
    from hashscan.scan.confirmation import Confirmation
    from hashscan.scan.options import ScanOptions

#: Seconds for which the end of a scan waits for verdicts; missing verdicts are pending then.
_VERDICTS = 60.0
#: Seconds for which changes may hold back a scan before it gets a turn anyway.
_HELD = 1.0


class Walk:
    """A scan under way.

    Attributes:
        kind: reason of the scan: ``start``, ``schedule``, ``unwatched``, ``overflow``, ``mount``...
        volumes: indices of the daemon's volumes.
        started: start of the scan in seconds since the epoch.
    """

    def __init__(
        self,
        options: ScanOptions,
        catalog: Catalog,
        reporter: Reporter,
        confirmation: Confirmation,
        record: DaemonRecord,
        *,
        kind: str,
        volumes: list[int],
        judged: int,
        judged_until: int,
    ) -> None:
        """Begin a scan of the volumes in ``options``. ``record`` writes the audit log."""
        self.kind = kind
        self.volumes = volumes
        self.started = time.time()
        self._began = time.monotonic()
        self._options = options
        self._catalog = catalog
        self._confirmation = confirmation
        self._roots = [volume.root for volume in options.volumes]
        self._record = record
        self._lines = record.scan(self._roots, kind=kind)
        self._expected = catalog.expected(self._roots)
        self.scan, _ = catalog.begin_scan(self._roots, complete=False, kind=kind)
        self._summary = confirmation.summaries[self.scan] = Summary()
        self._dispatch = Dispatch(
            catalog,
            reporter,
            options.volumes,
            scan=self.scan,
            judged=judged,
            jobs=options.jobs,
            on_candidate=self._on_candidate,
        )
        self._dispatch.unseen.follow_mounts = options.follow_mounts
        self._numbers = [
            catalog.queue_directories(self.scan, 0, b"", [(root, 0)])[0] for root in self._roots
        ]
        catalog.commit()
        for number, directory in enumerate(self._numbers):
            self._dispatch.push(number, directory, 1 / len(self._roots))
        self.pool = self._make_pool(judged, judged_until)
        self._walked: float | None = None
        self._last_turn = self._began

    def _make_pool(self, judged: int, judged_until: int) -> Pool:
        settings = WorkerSettings(
            self._options,
            tuple(directory.number for directory in self._numbers),
            self._catalog.path,
            judged=judged,
            scan=self.scan,
            judged_until=judged_until,
        )
        return Pool(settings, before_fork=self._catalog.commit)

    def _on_candidate(self) -> None:
        self._summary.candidates += 1
        self._confirmation.more = True

    @property
    def connections(self) -> list[Connection]:
        """Return the connections of the worker processes."""
        return [worker.connection for worker in self.pool.workers]

    @property
    def walked(self) -> bool:
        """Return whether every directory is done, and only verdicts may be missing."""
        return not self._dispatch

    @property
    def vanished(self) -> list[int]:
        """Return the indices of the daemon's volumes that vanished during the scan."""
        return [self.volumes[number] for number in self._dispatch.unseen.vanished]

    @property
    def files(self) -> int:
        """Return the number of files found so far."""
        return self._dispatch.tally.files + self._dispatch.early.files

    @property
    def tally(self) -> Tally:
        """Return the outcomes so far, including those in unfinished directories."""
        found = Tally()
        found.add(self._dispatch.tally)
        found.add(self._dispatch.early)
        return found

    @property
    def fraction(self) -> float:
        """Return the finished share of the scan, an estimate from 0 to 1."""
        if self._expected is not None:
            return min(0.99, self.files / self._expected.files)
        return min(1.0, self._dispatch.fraction)

    def hand_out(self, *, hold: bool) -> None:
        """Give directories to the worker processes; with ``hold`` only every ``_HELD`` seconds."""
        now = time.monotonic()
        if hold and now - self._last_turn < _HELD:
            self._dispatch.hand_out(self.pool, urgent=True)
            return
        self._last_turn = now
        self._dispatch.hand_out(self.pool)

    def receive(self) -> int:
        """Process messages of the workers without waiting; return the number of messages."""
        spoke = 0
        for said in self.pool.receive([], 0):
            if isinstance(said, tuple):
                spoke += 1
                worker, message = said
                if message is None:
                    self._dispatch.died(worker)
                else:
                    self._dispatch.heard(worker, message)
        return spoke

    def settled(self) -> bool:
        """Return whether the walk has ended and no verdict is missing, or the wait is over."""
        if not self.walked:
            return False
        now = time.monotonic()
        if self._walked is None:
            self._walked = now
            self.pool.close()
            self._confirmation.drop_gone(set(self._roots) - self._dispatch.unseen.roots, self.scan)
            self._confirmation.more = True
        busy = self._confirmation.busy or self._confirmation.more
        return not busy or now - self._walked > _VERDICTS

    def swap(self, options: ScanOptions, judged: int, judged_until: int) -> None:
        """Continue with other filters: work under way is repeated with them."""
        now = self._options
        self._options = replace(
            options, volumes=now.volumes, others=now.others, identities=now.identities
        )
        if not self.walked:
            self.pool.close()
            self._dispatch.start_over(judged)
            self.pool = self._make_pool(judged, judged_until)

    def end(self, *, interrupted: bool, held: Iterable[int] = ()) -> Summary:
        """End the worker processes, store the scan's result in the catalog, and return it.

        ``held``: ids of directories that the catalog must not forget, because they are in work.
        """
        if self._walked is None:
            self.pool.close()
        summary = self._summary
        tally = self._dispatch.tally
        if interrupted:
            tally.add(self._dispatch.early)
        tally.fill(summary)
        summary.pending = self._catalog.pending_of(self.scan)
        summary.interrupted = interrupted
        summary.seconds = time.monotonic() - self._began
        self._confirmation.summaries.pop(self.scan, None)
        self._catalog.end_scan(
            self.scan,
            files=summary.files,
            interrupted=interrupted,
            unseen=self._dispatch.unseen.roots,
            summary=summary,
            held=held,
        )
        self._record.scan_ended(self._lines, summary)
        return summary
