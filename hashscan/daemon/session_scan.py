"""Runs one scan of volumes inside the daemon: paced, and with less priority than the watch."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from hashscan.scan.scan import Scan

if TYPE_CHECKING:
    from collections.abc import Iterable
    from multiprocessing.connection import Connection

    from hashscan.catalog.store import Catalog
    from hashscan.daemon.audit_lines import DaemonRecord
    from hashscan.model import Summary
    from hashscan.reporter import Reporter
    from hashscan.scan.confirmation import Confirmation
    from hashscan.scan.messages import Tally
    from hashscan.scan.options import ScanOptions

#: Seconds for which the end of a scan waits for verdicts; missing verdicts are pending then.
_VERDICTS = 60.0
#: Seconds for which the check of changes may delay a scan before the scan continues anyway.
_HELD = 1.0


class SessionScan:
    """Runs a scan beside the daemon's other work.

    Attributes:
        kind: reason of the scan: ``start``, ``schedule``, ``unwatched``, ``overflow``, ``mount``...
        volumes: indices of the scanned volumes among the daemon's volumes.
        started: start of the scan in seconds since the epoch.
        scan: the scan of the volumes, with its worker processes.
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
        """Begin a scan of the volumes in ``options``. ``record`` writes a line to the audit log."""
        self.kind = kind
        self.volumes = volumes
        self.started = time.time()
        self._catalog = catalog
        self._confirmation = confirmation
        paths = [volume.root for volume in options.volumes]
        self._record = record
        self._lines = record.scan(paths, kind=kind)
        self.scan = Scan(
            options, catalog, reporter, judged=judged, on_candidate=self._ask_soon, kind=kind
        )
        confirmation.summaries[self.scan.number] = self.scan.summary
        self.scan.start_workers(judged_until)
        self._walked: float | None = None
        self._last_turn = time.monotonic()

    def _ask_soon(self) -> None:
        self._confirmation.more = True

    @property
    def connections(self) -> list[Connection]:
        """Return the connections of the scan's worker processes."""
        return [worker.connection for worker in self.scan.pool.workers]

    @property
    def walked(self) -> bool:
        """Return whether every directory is scanned, and only verdicts may be missing."""
        return not self.scan.dispatch

    @property
    def vanished(self) -> list[int]:
        """Return the indices of the daemon's volumes that vanished during the scan."""
        return [self.volumes[number] for number in self.scan.dispatch.unseen.vanished]

    def silent(self, seconds: float) -> set[int]:
        """Return the indices of volumes whose worker processes are silent for ``seconds``."""
        return {self.volumes[number] for number in self.scan.pool.silent(seconds)}

    @property
    def tally(self) -> Tally:
        """Return the counts of the outcomes so far, including those in unfinished directories."""
        return self.scan.tally

    @property
    def files(self) -> int:
        """Return the number of files that the scan has found so far."""
        return self.scan.tally.files

    @property
    def fraction(self) -> float:
        """Return the finished share of the scan, an estimate from 0 to 1."""
        if self.scan.expected is not None:
            return min(0.99, self.files / self.scan.expected.files)
        return min(1.0, self.scan.dispatch.fraction)

    def hand_out(self, *, hold: bool) -> None:
        """Give directories to the worker processes; with ``hold`` only every ``_HELD`` seconds."""
        now = time.monotonic()
        if hold and now - self._last_turn < _HELD:
            self.scan.dispatch.hand_out(self.scan.pool, urgent=True)
            return
        self._last_turn = now
        self.scan.dispatch.hand_out(self.scan.pool)

    def receive(self) -> int:
        """Process messages of the worker processes without waiting; return their number."""
        return self.scan.receive([], 0)[0]

    def settled(self) -> bool:
        """Return whether the walk has ended and no verdict is missing, or the wait is over."""
        if not self.walked:
            return False
        now = time.monotonic()
        if self._walked is None:
            self._walked = now
            self.scan.pool.close()
            seen = self.scan.roots.keys() - self.scan.dispatch.unseen.roots
            self._confirmation.drop_gone(seen, self.scan.number)
            self._confirmation.more = True
        busy = self._confirmation.busy or self._confirmation.more
        return not busy or now - self._walked > _VERDICTS

    def swap(self, options: ScanOptions, judged: int, judged_until: int) -> None:
        """Use other filters from now on: the worker processes repeat the directories under way."""
        if self.walked:
            return
        now = self.scan.options
        changed = replace(
            options, volumes=now.volumes, others=now.others, identities=now.identities
        )
        self.scan.start_over(changed, judged, judged_until)

    def end(self, *, interrupted: bool, held: Iterable[int] = ()) -> Summary:
        """End the worker processes, store the scan's result in the catalog, and return it.

        ``held`` are ids of directories that the catalog must not forget, because their files are
        being checked.
        """
        if self._walked is None:
            self.scan.pool.close()
        self.scan.summary.pending = self._catalog.pending_of(self.scan.number)
        self._confirmation.summaries.pop(self.scan.number, None)
        summary = self.scan.end(interrupted=interrupted, held=held)
        self._record.scan_ended(self._lines, summary)
        return summary
