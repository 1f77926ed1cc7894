"""Runs the engine: one process that hands out directories, writes the catalog, and acts.

Its loop waits for messages from the worker processes and the asking process, stores them, and hands
out more directories. The engine itself walks and hashes nothing, and never waits for the network.
"""

from __future__ import annotations

import signal
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from hashscan.reporter import Progress
from hashscan.scan.confirmation import Confirmation
from hashscan.scan.options import identity_of_root
from hashscan.scan.scan import Scan
from hashscan.scan.time_left import Remaining
from hashscan.text import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from multiprocessing.connection import Connection
    from types import FrameType

    from hashscan.catalog.store import Catalog
    from hashscan.model import Actor, Candidate, MatchEvent, Summary
    from hashscan.reporter import Reporter
    from hashscan.scan.asker import Asker, NoAnswer
    from hashscan.scan.options import ScanOptions, VolumePresence

#: Seconds between two commits, and between two reports of the progress.
_COMMIT_AFTER = 1.0
_PROGRESS_AFTER = 0.1
#: Seconds without a sign of life from a worker process after which its volume is checked, and
#: seconds between two searches for silent processes.
_SILENT, _LOOK_AFTER = 30.0, 5.0
_NO_ANSWER = "its file system does not answer any more (a dead file server?)"


class Engine:
    """Runs a one-off scan."""

    def __init__(
        self,
        options: ScanOptions,
        catalog: Catalog,
        asker: Asker,
        actor: Actor,
        reporter: Reporter,
        *,
        missing: int = 0,
        record: Callable[[MatchEvent], None] = lambda _event: None,
    ) -> None:
        """Prepare the one-off scan.

        The method ``run`` carries the scan out. Volumes in ``missing`` count as problems.

        ``record`` puts a match on record; see ``Confirmation``.

        Raises:
            UsageError: a volume cannot be opened.
            StateError: the catalog cannot be used.
        """
        self._catalog = catalog
        self._asker = asker
        self._reporter = reporter
        self._missing = missing
        roots = [volume.root for volume in options.volumes]
        # The identity of a volume that was found before is kept: the volume may have vanished
        # since.
        given = options.identities
        found = {root: given[root] if root in given else identity_of_root(root) for root in roots}
        self._options = replace(options, identities=found)
        judged = catalog.filterset(options.filterset)
        catalog.service = (options.service, options.remote)
        self._scan = Scan(
            self._options, catalog, reporter, judged=judged, on_candidate=self._on_candidate
        )
        expected = self._scan.expected
        self._remaining = Remaining(
            expected.costs if expected is not None else None,
            options.max_rate,
            options.max_files,
        )
        #: Device numbers that rows of the catalog use, by the real device numbers of the volumes'
        #: roots.
        self._numbers_on: dict[int, list[int]] = {}
        for root, queued in self._scan.roots.items():
            self._numbers_on.setdefault(found[root].device, []).append(-queued.number)
        self._confirmation = Confirmation(
            catalog,
            asker,
            actor,
            reporter,
            self._scan.summary,
            scan=self._scan.number,
            filterset=judged,
            service=options.service,
            remote=options.remote,
            devices_of=self._catalog_devices,
            is_away=lambda root: root in self._silent,
            record=record,
        )
        self._stop = False
        self._walking = False
        #: Roots of volumes that do not answer any more.
        self._silent: set[bytes] = set()
        self._last_commit = self._last_progress = self._last_look = time.monotonic()

    def _on_candidate(self) -> None:
        self._confirmation.more = True

    def _catalog_devices(self, candidate: Candidate) -> list[int]:
        device = candidate.identity.device
        return [device, *self._numbers_on.get(device, ())]

    # The run

    def run(self) -> Summary:
        """Run the scan from its first directory to its summary.

        An interrupt (SIGINT, SIGTERM) ends the scan early; the finished work is committed.

        Raises:
            StateError: the catalog cannot be written any more.
            HashscanError: the worker processes cannot work.
        """
        scan = self._scan
        with self._interruptible():
            if scan.resumed is not None:
                self._reporter.notice(
                    "going on with the full scan that was interrupted: "
                    "what it hashed is not hashed again"
                )
            scan.start_workers()
            try:
                self._walk()
            finally:
                scan.pool.close()
            if not self._stop:
                self._confirmation.drop_gone(scan.roots.keys() - scan.dispatch.unseen.roots)
                self._drain()
                # A service that did not answer for a while may answer again at the end of a long
                # scan.
                if self._confirmation.ask_again():
                    self._drain()
                self._confirmation.act_on_links(lambda: self._stop)
        self._confirmation.tell_pending()
        if self._catalog.damaged:
            self._reporter.notice(
                f"the catalog {shown(self._catalog.path)} had {self._catalog.damaged:,} damaged "
                "rows or indexes: their content was found out again; see the kernel's log for "
                "errors of the disk"
            )
        return scan.end(interrupted=self._stop, missing=self._missing, costs=self._remaining.costs)

    @property
    def unanswered(self) -> NoAnswer | None:
        """Return why the service gave no verdict for some candidates of the scan.

        The result is ``None`` if the service answered every question.
        """
        return self._confirmation.last_failure if self._scan.summary.pending else None

    @property
    def is_answered(self) -> bool:
        """Return whether the service gave a verdict."""
        return self._confirmation.answered > 0

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        def stop(_signal: int, _frame: FrameType | None) -> None:
            self._stop = True

        before = {name: signal.signal(name, stop) for name in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for name, handler in before.items():
                signal.signal(name, handler)

    def _walk(self) -> None:
        """Hand out directories and store findings until every directory is done."""
        self._walking = True
        self._confirmation.begin([volume.root for volume in self._options.volumes])
        presence = self._options.presence
        scan = self._scan
        while not self._stop and scan.dispatch:
            scan.dispatch.hand_out(scan.pool)
            others = [] if presence is None else presence.connections
            _, ready = scan.receive([self._asker.connection, *others], 0.1)
            if self._asker.connection in ready:
                self._confirmation.take(self._asker.replies())
            if presence is not None:
                self._give_up_silent(presence, ready)
            self._tick()
        self._walking = False

    def _give_up_silent(self, presence: VolumePresence, ready: Collection[Connection]) -> None:
        """Give up volumes on which a worker hangs and which do not answer another process."""
        before = len(self._silent)
        for number in presence.take(ready):
            root = self._options.volumes[number].root
            if not presence.hangs(number) or root in self._silent:
                continue
            self._silent.add(root)
            self._scan.dispatch.give_up(number, _NO_ANSWER)
            self._scan.pool.give_up(number)
        if len(self._silent) > before:
            for number, volume in enumerate(self._options.volumes):
                if volume.root not in self._silent:
                    # An early check also finds the other volumes of the same dead server.
                    presence.ask(number)
        now = time.monotonic()
        if now - self._last_look >= _LOOK_AFTER:
            self._last_look = now
            for number in self._scan.pool.silent(_SILENT):
                presence.ask(number)

    def _drain(self) -> None:
        """Wait for the service's answers; the client's time limits bound the wait."""
        while not self._stop and (self._confirmation.ask_more() or self._confirmation.busy):
            if self._asker.connection.poll(0.1):
                self._confirmation.take(self._asker.replies())
            self._tick()

    def _tick(self) -> None:
        now = time.monotonic()
        if now - self._last_commit >= _COMMIT_AFTER:
            self._catalog.commit()
            self._last_commit = now
        self._confirmation.ask_more(walking=self._walking)
        if now - self._last_progress >= _PROGRESS_AFTER:
            self._last_progress = now
            self._reporter.progress(self._progress())

    def _progress(self) -> Progress:
        scan = self._scan
        tally = scan.tally
        progress = Progress(
            files=tally.files,
            hashed=tally.hashed,
            unchanged=tally.unchanged,
            bytes_hashed=tally.bytes_hashed + sum(scan.dispatch.provisional.values()),
            fraction=min(1.0, scan.dispatch.fraction),
            matches=scan.summary.matches,
            expected=scan.expected,
        )
        remaining = self._remaining.update(progress)
        return replace(progress, seconds=self._remaining.elapsed, remaining=remaining)
