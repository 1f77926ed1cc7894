"""Does the daemon's work with one configuration: watch, check changes, scan, ask, judge again.

A session is one process and one loop without threads, like the engine of a one-off scan: it writes
the catalog, acts, and waits for no network. Each turn processes messages and hands out more work.
"""

from __future__ import annotations

import time
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING

from hashscan.catalog.store import Catalog
from hashscan.daemon.changed_files import ChangedFiles
from hashscan.daemon.counters import Counters
from hashscan.daemon.new_list_check import NewLists
from hashscan.daemon.quarantine_process import ActingProcess
from hashscan.daemon.rejudge import RejudgeProcesses
from hashscan.daemon.retry import Retry
from hashscan.daemon.scan_queue import ScanQueue
from hashscan.daemon.session_scan import SessionScan
from hashscan.daemon.status_file import SessionFacts
from hashscan.daemon.watch_coverage import Coverages
from hashscan.daemon.watchers import Watches
from hashscan.fs.volume import Volume
from hashscan.jobs.allowed_matches import Allowing, open_allow
from hashscan.jobs.coverage_gaps import with_distinct_volumes
from hashscan.jobs.new_list_check import check_lists
from hashscan.jobs.scan import open_actor
from hashscan.jobs.scan_options import scan_options
from hashscan.jobs.volume_presence import follow_mounts
from hashscan.jobs.volume_probe import NO_ANSWER, Probes
from hashscan.model import Summary
from hashscan.scan.asker import Asker
from hashscan.scan.confirmation import Confirmation
from hashscan.text import names_of, shown
from hashscan.watch.source import Changed, Lost

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

    from hashscan.config.settings import Settings
    from hashscan.daemon.log import Log
    from hashscan.jobs.known_set import KnownSet
    from hashscan.model import Candidate
    from hashscan.scan.options import ScanOptions
    from hashscan.state import State

_COMMIT_AFTER = 0.25
#: Number of bytes that takes a fraction of a second to read without a max_rate.
_LARGE_APART = 64 << 20
_IDLE = 1.0  # Longest wait of an idle turn in seconds, before timed work is checked
#: Seconds between two probes of volumes that are missing or do not answer.
_PROBE_AGAIN = 30.0
#: Seconds for which a move waits for another process in the quarantine, before it is delayed.
_PATIENCE = 1.0


class Session:
    """Does all the daemon's work that needs usable filters, as long as filters are usable."""

    def __init__(
        self,
        settings: Settings,
        state: State,
        known: KnownSet,
        log: Log,
        *,
        tick: Callable[[bool], None],
        kind: str = "start",
    ) -> None:
        """Start to watch the volumes; the first turn begins a scan, which finds earlier changes.

        ``kind`` is the kind of that scan. ``tick`` is called several times a second during a long
        turn, with whether the turn makes progress; if ``tick`` raises, the turn ends.

        Raises:
            HashscanError: the catalog, the quarantine or the allow-list cannot be used.
        """
        self._settings = with_distinct_volumes(settings)
        self._log = log
        self._tick = tick
        self._kind = kind
        self.began = time.time()
        self.known = known
        self._stack = ExitStack()
        try:
            self._open(state)
        except BaseException:
            self._stack.close()
            raise

    def _open(self, state: State) -> None:
        settings, log, known = self._settings, self._log, self.known
        self._catalog = catalog = Catalog(state.catalog)
        self._stack.callback(catalog.close)
        self._probes = Probes([one.path for one in settings.volumes], before_fork=catalog.commit)
        self._stack.callback(self._probes.close)
        found = self._probes.check_all(lambda: self._tick(True))
        self._volumes = tuple(
            Volume(seen.root, tuple(one.exclude), one.one_file_system)
            for one, seen in zip(settings.volumes, found, strict=True)
        )
        self._numbers = {volume.root: number for number, volume in enumerate(self._volumes)}
        self._devices: dict[int, list[int]] | None = None
        catalog.service = (known.service, known.remote)
        allow = open_allow(settings, state, log.notice, nullcontext)
        if allow is not None:
            self._stack.callback(allow.close)
        actor = open_actor(
            settings,
            state,
            settings.quarantine.action,
            self._volumes,
            known,
            self._stack,
            log.notice,
            patience=_PATIENCE,
            absent=[seen.root for seen in found if seen.error == NO_ANSWER],
            recorder=log.record.recorder,
        )
        if allow is not None:
            actor = Allowing(allow, actor)
        acting = ActingProcess(
            actor, tick=self._tick, before_fork=catalog.commit, is_silent=self._is_silent
        )
        self._stack.callback(acting.close)
        self._options = scan_options(settings, state, known, self._volumes, step_aside=True)
        check_lists(settings, state, catalog, known, log.notice, self._tick)
        self._new_lists = NewLists(settings, state, catalog, log)
        self._stack.callback(self._new_lists.end)
        self._judged = catalog.filterset(known.name)
        catalog.commit()
        self.coverage = Coverages(self._volumes, catalog, log)
        for number, seen in enumerate(found):
            self.coverage.may_be_scanned(number, seen)  # Reports a missing volume immediately.
        self._queue = ScanQueue()
        # The processes are forked before this process opens connections of its own.
        self.watches = Watches(
            self._volumes,
            [one.watch for one in settings.volumes],
            self.coverage,
            log,
            before_fork=catalog.commit,
            on_again=lambda number: self._queue.request(number, "watch-died"),
            on_silent=self._probes.ask,
            is_silent=self._probes.hangs,
        )
        self._stack.callback(self.watches.close)
        self._asker = Asker(known.make_confirmer)
        self._stack.callback(self._asker.close)
        self.found = Summary()
        self._confirmation = Confirmation(
            catalog,
            self._asker,
            acting,
            log,
            self.found,
            scan=catalog.begin_watch(),
            filterset=self._judged,
            service=known.service,
            remote=known.remote,
            devices_of=self._devices_of,
            lasting=True,
            on_stale=self._check_rows,
            is_away=self._is_away,
            record=log.record.match,
        )
        catalog.reconsider(0, known.service)
        self.retry = Retry(self._confirmation, self._asker, log)
        self.changed_files = ChangedFiles(
            self._options_for_changes(),
            catalog,
            log,
            judged=self._judged,
            judged_until=catalog.judged_until(self._judged),
            on_candidate=self._on_candidate,
            on_too_many=self._scan_instead,
        )
        self._stack.callback(self.changed_files.close)
        self.running_scan: SessionScan | None = None
        self._stack.callback(self._end_scan)
        self.rejudging = RejudgeProcesses(
            catalog,
            self.changed_files,
            self._volumes,
            log,
            lambda: self.request_all("filters"),
            jobs=self._options.jobs,
        )
        self._stack.callback(self.rejudging.end)
        self._probe_again = 0.0
        self._last_unwatched = time.monotonic()
        self._last_commit = time.monotonic()
        self.events = self._lost_changes = 0
        self.ended = Counters()
        self.turns = 0
        self.scans = 0
        self.facts = SessionFacts(self, catalog)
        for number in range(len(self._volumes)):
            self._queue.request(number, self._kind)

    def _options_for_changes(self) -> ScanOptions:
        return replace(self._options, large_apart=_LARGE_APART)

    @property
    def absent(self) -> frozenset[bytes]:
        """Return the roots of the volumes that are missing or do not answer."""
        return frozenset(self._volumes[number].root for number in self.coverage.away)

    def commit(self) -> None:
        """Commit the catalog's changes."""
        self._catalog.commit()

    def _is_away(self, root: bytes) -> bool:
        return self._numbers.get(root) in self.coverage.away

    def _is_silent(self, root: bytes) -> bool:
        number = self._numbers.get(root)
        return number is not None and self._probes.is_silent(number, lambda: self._tick(False))

    def _on_candidate(self) -> None:
        self.found.candidates += 1
        self._confirmation.more = True

    def _check_rows(self, directory: int, names: list[bytes]) -> None:
        self.changed_files.check_rows(directory, names)

    def _devices_of(self, candidate: Candidate) -> list[int]:
        if self._devices is None:
            self._devices = {}
            for index, number in enumerate(self.changed_files.root_numbers):
                seen = self._probes.latest(index)
                if seen is not None and seen.identity is not None:
                    self._devices.setdefault(seen.identity.device, []).append(-number)
        device = candidate.identity.device
        return [device, *self._devices.get(device, ())]

    # Scans

    def request_all(self, kind: str) -> None:
        """Request a scan of all volumes of the session."""
        for number in range(len(self._volumes)):
            self._queue.request(number, kind)

    def _begin_scan(self) -> None:
        if self.running_scan is not None:
            return
        due = [number for number in self._queue.due() if self.coverage.has_report(number)]
        answers = {number: self._probes.answer(number, self._queue.since(number)) for number in due}
        for number, answer in answers.items():
            if answer is None:
                self._probes.ask(number)
        if not due or None in answers.values():
            return
        kind = self._queue.begun(due)
        volumes = [
            number
            for number, seen in sorted(answers.items())
            if seen is not None and self.coverage.may_be_scanned(number, seen)
        ]
        if not volumes:
            return
        self._log.info(
            f"scan ({kind}) of {names_of([self._volumes[number].root for number in volumes])}"
        )
        options = replace(
            self._options,
            volumes=tuple(self._volumes[number] for number in volumes),
            others=self._volumes,
            follow_mounts=follow_mounts,
            identities={
                self._volumes[number].root: seen.identity
                for number, seen in answers.items()
                if number in volumes and seen is not None and seen.identity is not None
            },
        )
        self.running_scan = SessionScan(
            options,
            self._catalog,
            self._log,
            self._confirmation,
            self._log.record,
            kind=kind,
            volumes=volumes,
            judged=self._judged,
            judged_until=self._catalog.judged_until(self._judged),
        )
        self.changed_files.begin()

    def _end_scan(self) -> None:
        if self.running_scan is not None:
            scan, self.running_scan = self.running_scan, None
            summary = scan.end(interrupted=True)
            self.ended.add_scan(summary)
            self._log.summary(summary)

    # A turn

    def turn(self, others: list[Connection], longest: float = _IDLE) -> list[Connection]:
        """Run one turn of the daemon, ``longest`` seconds at most; return the ready ``others``.

        Raises:
            HashscanError: the catalog cannot be written, or worker processes cannot work.
        """
        self._begin_scan()
        self.retry.step()
        self.changed_files.hand_out()
        self.watches.step()
        self._probe_volumes()
        listen = [self._asker.connection, *others, *self.watches.connections]
        listen += [*self._probes.connections, *self.rejudging.connections]
        listen += self._new_lists.connections
        if self.running_scan is not None and not self.running_scan.walked:
            self.running_scan.hand_out(hold=self.changed_files.busy)
            listen += self.running_scan.connections
        ready, spoke = self.changed_files.receive(listen, min(longest, self._until_next()))
        for change in self.watches.take(ready):
            self._take_change(change)
        for number in self._probes.take(ready):
            self._take_probe(number)
        if self._asker.connection in ready:
            self._confirmation.take(self._asker.replies())
        self.rejudging.take(ready)
        if (checked := self._new_lists.take(ready)) is not None:
            self._use(checked)
        if self.running_scan is not None:
            if not self.running_scan.walked:
                spoke += self.running_scan.receive()
            self._try_to_end_scan()
        self._scan_unwatched()
        self.turns += spoke
        now = time.monotonic()
        if now - self._last_commit >= _COMMIT_AFTER:
            self._catalog.commit()
            self._last_commit = now
        return [one for one in others if one in ready]

    def _until_next(self) -> float:
        """Return the seconds until timed work is due, if no message arrives before."""
        if self._confirmation.more and self._confirmation.has_room:
            return 0.0
        now = time.monotonic()
        due = self.changed_files.changes.next_due()
        wait = _IDLE if due is None else max(0.0, due - now)
        if self.changed_files.under_way:
            # Messages of worker processes end the wait; the time limit is for dead workers.
            wait = max(wait, 0.1)
        scan = self.running_scan
        if scan is not None and not scan.walked and self.changed_files.busy:
            wait = min(wait, 0.1)
        elif scan is not None and scan.walked:
            wait = min(wait, 0.05)
        if self._confirmation.links_wait:
            wait = min(wait, 0.5)
        return min(wait, _IDLE)

    def _try_to_end_scan(self) -> None:
        scan = self.running_scan
        if scan is None or not scan.settled():
            return
        self.running_scan = None
        summary = scan.end(interrupted=False, held=self.changed_files.held())
        self.changed_files.ended()
        self.ended.add_scan(summary)
        self.scans += 1
        self.found.matches += summary.matches
        self.found.quarantined += summary.quarantined
        self.found.held += summary.held
        self.found.allowed += summary.allowed
        self._log.summary(summary)
        self._queue.ended(scan.volumes, scan.kind, summary.seconds)
        for number in scan.vanished:
            self._queue.request(number, "mount")

    # Watch reports

    def _take_change(self, change: Changed | Lost) -> None:
        if isinstance(change, Lost):
            self._lost(change)
            return
        self.events += 1
        if change.volume in self.coverage.away:
            return  # A missing volume is scanned as soon as it is there again.
        if not self.changed_files.changed(*change):
            # A customer who fills the queue must not cause scans of other customers' volumes.
            crowded = self.changed_files.changes.most_crowded()
            self.changed_files.changes.forget_volume(crowded)
            self._scan_instead(crowded)
            if crowded != change.volume:
                self.changed_files.changed(*change)

    def _scan_instead(self, volume: int) -> None:
        self._lost(Lost(volume, b"", "overflow", "too many changes wait to be checked"))

    @property
    def lost(self) -> int:
        """Return how often the watch lost changes; each loss requested a scan."""
        return self._lost_changes + self.watches.deaths

    def _lost(self, loss: Lost) -> None:
        self._lost_changes += 1
        root = shown(self._volumes[loss.volume].root)
        self._log.limited(f"lost {loss.reason}", "warning", f"{root}: {loss.message}; scanned anew")
        running = self.running_scan is not None and loss.volume in self.running_scan.volumes
        if running and loss.reason == "mount":
            # The catalog must not forget files that are missing because of an unmount.
            self._end_scan_of(loss.volume)
        self._queue.request(loss.volume, loss.reason, running=running)

    def _scan_unwatched(self) -> None:
        now = time.monotonic()
        if (
            now - self._last_unwatched < self._settings.scan.unwatched
            or self.running_scan is not None
        ):
            return
        self._last_unwatched = now
        for number in self.coverage.partly_watched():
            self._queue.request(number, "unwatched")

    # Missing volumes

    def _probe_volumes(self) -> None:
        """Probe missing volumes and volumes with silent worker processes."""
        now = time.monotonic()
        if now < self._probe_again:
            return
        self._probe_again = now + _PROBE_AGAIN
        silent = self.changed_files.pool.silent(_PROBE_AGAIN)
        if self.running_scan is not None:
            silent |= self.running_scan.silent(_PROBE_AGAIN)
        for number in {*self.coverage.away, *silent}:
            self._probes.ask(number)

    def _take_probe(self, number: int) -> None:
        """Process the result of a probe of a volume."""
        self._devices = None
        seen = self._probes.latest(number)
        if seen is None:
            return
        was_away = number in self.coverage.away
        if self.coverage.may_be_scanned(number, seen):
            if was_away:
                self.watches.answer(number)
                self._queue.request(number, "mount")
            return
        self.changed_files.give_up(number)
        self._end_scan_of(number)

    def _end_scan_of(self, number: int) -> None:
        """End a scan of a volume that has changed or vanished; scan its other volumes again."""
        if self.running_scan is not None and number in self.running_scan.volumes:
            others = [one for one in self.running_scan.volumes if one != number]
            self._end_scan()
            for one in others:
                self._queue.request(one, "start")

    # Newer filters

    @property
    def newest(self) -> KnownSet:
        """Return the newer known set that the brakes check now, or else the known set in use."""
        return self._new_lists.known or self.known

    def swap(self, known: KnownSet) -> None:
        """Use newer filters as soon as the brakes have checked them."""
        if not self._new_lists.begin(known):
            self._use(known)

    def _use(self, known: KnownSet) -> None:
        """Use other filters, and judge all earlier hashed files by them."""
        self.rejudging.end()
        self._catalog.commit()
        self.known = known
        self._judged = self._catalog.filterset(known.name)
        self._options = replace(
            self._options,
            filters=known.filters,
            filterset=known.name,
            algorithms=known.algorithms,
        )
        until = self._catalog.judged_until(self._judged)
        self._confirmation.judge_by(self._judged)
        # The new lists may have withdrawn digests that the old lists held.
        self._catalog.reconsider(0, known.service)
        self._confirmation.more = True
        if not known.remote:
            # The local lists give the verdicts, so the confirmer must use the new lists.
            self._confirmation.take(self._asker.restart(known.make_confirmer))
        self.changed_files.swap(self._options_for_changes(), self._judged, until)
        if self.running_scan is not None:
            self.running_scan.swap(self._options, self._judged, until)
        self.rejudging.begin(known, self._judged)

    def close(self) -> None:
        """End all processes of the session within seconds; the results are in the catalog."""
        self._stack.close()
