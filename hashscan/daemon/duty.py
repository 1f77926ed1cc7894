"""The daemon's work with one configuration: watch, look, scan, ask, judge anew.

One process and one loop, without threads, as the engine of a one-off scan: it writes the catalog,
acts, and waits for no network. Each turn takes what the other processes said and hands out more.
"""

from __future__ import annotations

import os
import time
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING

from hashscan.agent.allowing import Allowing, open_allow
from hashscan.agent.scanning import identity_of_directory, jobs_of, open_actor
from hashscan.catalog.store import Catalog
from hashscan.daemon.coverage import Coverages
from hashscan.daemon.judging import Judging
from hashscan.daemon.looking import Looking
from hashscan.daemon.verdicts import Verdicts
from hashscan.daemon.walking import Walk
from hashscan.errors import UsageError
from hashscan.fs.volume import Volume
from hashscan.model import Summary
from hashscan.scan.asking import Asker
from hashscan.scan.confirmation import Confirmation
from hashscan.scan.options import ScanOptions, device_of_root
from hashscan.text import shown
from hashscan.watch.process import Watching
from hashscan.watch.source import Changed, Coverage, Lost

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from typing import Any

    from hashscan.agent.known_set import KnownSet
    from hashscan.config.settings import Settings
    from hashscan.daemon.log import Log
    from hashscan.model import Candidate
    from hashscan.state import State
    from hashscan.watch.source import Told

_COMMIT_AFTER = 0.25
#: Bytes: a fraction of a second, where max_rate sets no bound.
_LARGE_APART = 64 << 20
_IDLE = 1.0  # seconds without anything to do, at most, before a look at the clock
#: Scans that no customer can bring about.
_ORDINARY = {"start", "schedule", "mount"}
#: After a scan that a loss asked for: so many of its lengths until the next one like it.
_REST_AFTER = 2.0
_SHORTEST_REST = 5.0


class Duty:
    """Everything that goes on while the filters may be used."""

    def __init__(self, settings: Settings, state: State, known: KnownSet, log: Log) -> None:
        """Start to watch; a scan that finds what changed meanwhile is begun with the first turn.

        Raises:
            HashscanError: the catalog, the quarantine or the allow-list cannot be used.
        """
        self._settings = settings
        self._log = log
        self.known = known
        self._stack = ExitStack()
        try:
            self._open(state)
        except BaseException:
            self._stack.close()
            raise

    def _open(self, state: State) -> None:
        settings, log, known = self._settings, self._log, self.known
        self._volumes = tuple(
            Volume(os.fsencode(os.path.realpath(one.path)), tuple(one.exclude), one.one_file_system)
            for one in settings.volumes
        )
        self._catalog = catalog = Catalog(state.catalog)
        self._stack.callback(catalog.close)
        catalog.service = (known.service, known.remote)
        allow = open_allow(settings, state, log.notice, nullcontext)
        if allow is not None:
            self._stack.callback(allow.close)
        actor = open_actor(
            settings, settings.quarantine.action, self._volumes, known, self._stack, log.notice
        )
        if allow is not None:
            actor = Allowing(allow, actor)
        self._options = ScanOptions(
            volumes=self._volumes,
            jobs=jobs_of(settings, None),
            filters=known.filters,
            filterset=known.name,
            algorithms=known.algorithms,
            service=known.service,
            remote=known.remote,
            own=frozenset(
                identity_of_directory(directory)
                for directory in (state.directory, settings.quarantine_directory)
                if os.path.isdir(directory)
            ),
            max_file_size=settings.scan.max_file_size,
            max_rate=settings.scan.max_rate,
            max_files=settings.scan.max_files,
            pause_above_io_pressure=settings.scan.pause_above_io_pressure,
            step_aside=True,
        )
        self._judged = catalog.filterset(known.name)
        catalog.commit()
        self.coverage = Coverages(self._volumes, catalog, log)
        # Before anything is opened that a fork would copy.
        self.watching: Watching | None = None
        self._watch_at, self._watch_wait = 0.0, 0.5
        self._start_watching()
        self._stack.callback(self._end_watching)
        self._asker = Asker(known.make_confirmer)
        self._stack.callback(self._asker.close)
        self.found = Summary()
        self._confirmation = Confirmation(
            catalog,
            self._asker,
            actor,
            log,
            self.found,
            scan=catalog.begin_watch(),
            filterset=self._judged,
            service=known.service,
            remote=known.remote,
            devices_of=self._devices_of,
            lasting=True,
        )
        catalog.reconsider(0, known.service)
        self.verdicts = Verdicts(self._confirmation, self._asker, log)
        self.looking = Looking(
            self._looking_options(),
            catalog,
            log,
            judged=self._judged,
            judged_until=catalog.judged_until(self._judged),
            on_candidate=self._on_candidate,
        )
        self._stack.callback(self.looking.close)
        self.walk: Walk | None = None
        self._stack.callback(self._end_walk)
        self.judging = Judging(
            catalog, self.looking, self._volumes, log, lambda: self.want_all("filters")
        )
        self._stack.callback(self.judging.end)
        self._wanted: dict[int, tuple[float, str]] = {}
        self._rest_until: dict[int, float] = {}
        self._last_unwatched = time.monotonic()
        self._last_commit = time.monotonic()
        self.events = 0
        self.lost = 0
        self.turns = 0
        self.scans = 0
        self._measured = (time.monotonic(), 0)
        self._news: tuple[object, ...] = ()
        self._counts: tuple[int, ...] = ()
        for number in range(len(self._volumes)):
            self.want(number, "start")

    def _looking_options(self) -> ScanOptions:
        # What changed is looked at whatever the disks do: a few files, and soon.
        return replace(
            self._options,
            max_files=None,
            pause_above_io_pressure=None,
            large_apart=_LARGE_APART,
        )

    def _on_candidate(self) -> None:
        self.found.candidates += 1
        self._confirmation.more = True

    def _devices_of(self, candidate: Candidate) -> list[int]:
        device = candidate.identity.device
        numbers = [device]
        for root, number in self.looking.root_numbers.items():
            try:
                if device_of_root(root) == device:
                    numbers.append(-number)
            except UsageError:
                continue
        return numbers

    # What is wanted

    def want(self, volume: int, kind: str, *, rest: float = 0.0) -> None:
        """Have a volume scanned as soon as no other scan goes on, after ``rest`` seconds.

        What a customer can bring about (a loss) is made good, but not by scans without a pause.
        """
        at = time.monotonic() + rest
        if kind not in _ORDINARY:
            at = max(at, self._rest_until.get(volume, 0.0))
        before = self._wanted.get(volume)
        if before is None or at < before[0]:
            self._wanted[volume] = (at, kind)

    def want_all(self, kind: str) -> None:
        """Have all volumes scanned."""
        for number in range(len(self._volumes)):
            self.want(number, kind)

    def _begin_walk(self) -> None:
        now = time.monotonic()
        due = [number for number, (at, _) in self._wanted.items() if at <= now]
        if self.walk is not None or not due or not self.coverage.complete:
            return
        kind = self._wanted[due[0]][1]
        for number in due:
            del self._wanted[number]
        volumes = [number for number in sorted(due) if self.coverage.may_be_scanned(number)]
        if not volumes:
            return
        self._log.info(
            f"scan ({kind}) of "
            + ", ".join(shown(self._volumes[number].root) for number in volumes)
        )
        options = replace(self._options, volumes=tuple(self._volumes[number] for number in volumes))
        self.walk = Walk(
            options,
            self._catalog,
            self._log,
            self._confirmation,
            kind=kind,
            volumes=volumes,
            judged=self._judged,
            judged_until=self._catalog.judged_until(self._judged),
        )
        self.looking.begin()

    def _end_walk(self) -> None:
        if self.walk is not None:
            walk, self.walk = self.walk, None
            self._log.summary(walk.end(interrupted=True))

    def _end_watching(self) -> None:
        if self.watching is not None:
            self.watching.close()  # the one that there is then, not the one of the start

    # A turn

    def turn(self, others: list[Connection], longest: float = _IDLE) -> list[Connection]:
        """One turn of the loop, which waits ``longest`` seconds at most; the ready ``others``.

        Raises:
            HashscanError: the catalog cannot be written, or worker processes cannot work.
        """
        self._begin_walk()
        self.verdicts.step()
        self.looking.hand_out()
        listen = [self._asker.connection, *others]
        if self.watching is not None:
            listen.append(self.watching.connection)
        elif time.monotonic() >= self._watch_at:
            self._watch_anew()
        listen += self.judging.connections
        if self.walk is not None and not self.walk.walked:
            self.walk.hand_out(hold=self.looking.busy)
            listen += self.walk.connections
        ready, spoke = self.looking.receive(listen, min(longest, self._until_next()))
        if self.watching is not None and self.watching.connection in ready:
            self._hear(self.watching)
        if self._asker.connection in ready:
            self._confirmation.take(self._asker.replies())
        self.judging.take(ready)
        if self.walk is not None:
            if not self.walk.walked:
                spoke += self.walk.receive()
            self._try_to_end_walk()
        self._scan_unwatched()
        self.turns += spoke
        now = time.monotonic()
        if now - self._last_commit >= _COMMIT_AFTER:
            self._catalog.commit()
            self._last_commit = now
        return [one for one in others if one in ready]

    def _until_next(self) -> float:
        """Seconds until something is due, whoever says something or not."""
        if self._confirmation.more and self._confirmation.has_room:
            return 0.0
        now = time.monotonic()
        due = self.looking.changes.next_due()
        wait = _IDLE if due is None else max(0.0, due - now)
        if self.looking.under_way:
            # What they say wakes us; the clock is for those that die.
            wait = max(wait, 0.1)
        walk = self.walk
        if walk is not None and not walk.walked and self.looking.busy:
            wait = min(wait, 0.1)
        elif walk is not None and walk.walked:
            wait = min(wait, 0.05)
        if self._confirmation.links_wait:
            wait = min(wait, 0.5)
        return min(wait, _IDLE)

    def _try_to_end_walk(self) -> None:
        walk = self.walk
        if walk is None or not walk.settled():
            return
        self.walk = None
        summary = walk.end(interrupted=False, held=self.looking.held())
        self.looking.ended()
        self.scans += 1
        self.found.matches += summary.matches
        self.found.quarantined += summary.quarantined
        self._log.summary(summary)
        rest = _SHORTEST_REST
        if walk.kind not in _ORDINARY:
            rest = max(rest, _REST_AFTER * summary.seconds)
        until = time.monotonic() + rest
        for number in walk.volumes:
            self._rest_until[number] = until
            if number in self._wanted:
                at, kind = self._wanted[number]
                self._wanted[number] = (max(at, until), kind)

    # The watch

    def _hear(self, watching: Watching) -> None:
        told = watching.take()
        if told is not None:
            for one in told:
                self._heard(one)
            return
        watching.close()
        self.watching = None
        self.coverage.awaits(())  # scans go on without it
        self.lost += 1
        now = time.monotonic()
        lasted = now - self._watch_began
        self._watch_wait = 1.0 if lasted > 60 else min(2 * self._watch_wait, 300.0)
        self._watch_at = now + self._watch_wait
        message = f"the process that watches died; it is started again in {self._watch_wait:.0f} s"
        self._log.limited("watch", "error", message)
        for number, settings in enumerate(self._settings.volumes):
            if settings.watch != "off":
                self.coverage.heard(Coverage(number, "off", unwatched=1, message=message))

    def _watch_anew(self) -> None:
        self._catalog.commit()
        self._start_watching()
        self.want_all("watch-died")

    def _start_watching(self) -> None:
        modes = [one.watch for one in self._settings.volumes]
        self.watching = Watching(self._volumes, modes)
        self.coverage.awaits(range(len(self._volumes)))
        self._watch_began = time.monotonic()

    def _heard(self, told: Told) -> None:
        if isinstance(told, Changed):
            self.events += 1
            if not self.looking.changed(told.volume, told.directory, told.name):
                self._drop_changes(told.volume)
        elif isinstance(told, Coverage):
            self.coverage.heard(told)
            self.coverage.awaits_no_more(told.volume)
        else:
            self._lost(told)

    def _lost(self, told: Lost) -> None:
        self.lost += 1
        root = shown(self._volumes[told.volume].root)
        self._log.limited(f"lost {told.reason}", "warning", f"{root}: {told.message}; scanned anew")
        if told.directory:
            self.looking.rescan(told.volume, told.directory)
            return
        running = self.walk is not None and told.volume in self.walk.volumes
        self.want(told.volume, told.reason, rest=_SHORTEST_REST if running else 0.0)

    def _drop_changes(self, volume: int) -> None:
        self.looking.changes.forget_volume(volume)
        self._lost(Lost(volume, b"", "overflow", "too many changes wait to be looked at"))

    def _scan_unwatched(self) -> None:
        now = time.monotonic()
        if now - self._last_unwatched < self._settings.scan.unwatched or self.walk is not None:
            return
        self._last_unwatched = now
        for number in self.coverage.partly_watched():
            self.want(number, "unwatched")

    # Filters

    def swap(self, known: KnownSet) -> None:
        """Go on with newer filters, and judge by them whatever was hashed before."""
        self.judging.end()
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
        if not known.remote:
            # The lists are others than before, and so is who gives the verdicts.
            self._confirmation.take(self._asker.restart(known.make_confirmer))
        self.looking.swap(self._looking_options(), self._judged, until)
        if self.walk is not None:
            volumes = tuple(self._volumes[number] for number in self.walk.volumes)
            self.walk.swap(replace(self._options, volumes=volumes), self._judged, until)
        self.judging.begin(known, self._judged)

    # What ``status`` tells

    def has_news(self) -> bool:
        """Whether something happened since ``facts`` that ``status`` should tell at once."""
        return self._news_now() != self._news

    def has_counted(self) -> bool:
        """Whether something happened since ``facts`` that ``status`` should tell soon."""
        return self._counts_now() != self._counts

    def _news_now(self) -> tuple[object, ...]:
        return (self.scans, self.walk is None, self.coverage.said)

    def _counts_now(self) -> tuple[int, ...]:
        # Not the events: those of a state directory inside of a volume would never end.
        return (self.lost, self.looking.tally.hashed, self.found.matches, self.found.quarantined)

    def facts(self) -> dict[str, Any]:
        """For the file that ``status`` reads."""
        self._news, self._counts = self._news_now(), self._counts_now()
        pending, oldest, why = self._catalog.waiting()
        walk = self.walk
        tally = self.looking.tally
        return {
            "volumes": self.coverage.facts(),
            "events": self.events,
            "lost": self.lost,
            "backlog": self.looking.backlog,
            "hashed": tally.hashed,
            "rate": self._rate(tally.hashed),
            "bytes_hashed": tally.bytes_hashed,
            "problems": tally.problems,
            "matches": self.found.matches,
            "quarantined": self.found.quarantined,
            "rejudged": self.judging.files,
            "scan": None
            if walk is None
            else {
                "kind": walk.kind,
                "started": walk.started,
                "files": walk.files,
                "fraction": round(walk.fraction, 3),
            },
            "pending": {
                "candidates": pending,
                "oldest": oldest,
                "why": why,
                "next_try": self.verdicts.next_try,
            },
            "next_move": self.verdicts.next_move,
        }

    def _rate(self, hashed: int) -> float:
        """Files hashed a second, since this was asked last."""
        now = time.monotonic()
        at, before = self._measured
        self._measured = (now, hashed)
        return round((hashed - before) / max(0.1, now - at), 1)

    def close(self) -> None:
        """End everything within seconds; what was found is in the catalog."""
        self._stack.close()
