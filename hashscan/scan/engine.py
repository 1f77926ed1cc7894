"""The engine: one process that hands out directories, writes the catalog, and acts.

Its loop waits for what the worker processes and the asking process say, stores it, and hands out
more. It walks and hashes nothing itself, and never waits for the network.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hashscan.catalog.rows import FoundProblem
from hashscan.errors import UsageError
from hashscan.fs.beneath import closing, identity_of, open_root
from hashscan.model import Problem, ProblemEvent, Progress, Skipped, Summary, join
from hashscan.scan.confirmation import Confirmation
from hashscan.scan.frontier import Frontier, Waiting
from hashscan.scan.pool import STALL_AFTER, Pool
from hashscan.scan.work import Alive, At, Findings, Tally, Task, WorkerSettings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from hashscan.catalog.rows import QueuedDirectory
    from hashscan.catalog.store import Catalog
    from hashscan.fs.volume import Volume
    from hashscan.model import Actor, Algorithm, Candidate, Filter, Reporter
    from hashscan.scan.asking import Asker
    from hashscan.scan.pool import WorkerHandle
    from hashscan.scan.work import Message

#: Seconds between commits, and between looks at the progress.
_COMMIT_AFTER = 1.0
_PROGRESS_AFTER = 0.1
_WHY_SKIPPED = {
    Skipped.SPARSE.value: "nearly all of it is holes, not data",
    Skipped.TOO_LARGE.value: "it is larger than scan.max_file_size",
}
#: Directories handed out at a time, at most.
_BATCH = 64
#: After so many deaths over one directory it is given up, and said so.
_MOST_DEATHS = 8


@dataclass(frozen=True, slots=True)
class ScanOptions:
    """What to scan and how.

    Attributes:
        jobs: worker processes.
        filters: after all their checks.
        filterset: what tells one set of filters from another: their versions.
        algorithms: what the filters need.
        full: hash what did not change, too.
        own: identities of directories that hold hashscan's state.
        service, remote: the confirmer's name, and whether its verdicts are remembered.
        max_rate: bytes a second, of all processes together.
        stall_after: seconds without a sign of life after which a worker process is replaced.
    """

    volumes: tuple[Volume, ...]
    jobs: int
    filters: tuple[Filter, ...]
    filterset: str
    algorithms: frozenset[Algorithm]
    service: str
    remote: bool
    full: bool = False
    own: frozenset[tuple[int, int]] = frozenset()
    max_file_size: int | None = None
    max_rate: float | None = None
    pause_above_io_pressure: float | None = None
    stall_after: float = STALL_AFTER


@dataclass(slots=True)
class _Group:
    """A directory under way, with what was given away of it."""

    waiting: Waiting
    tally: Tally = field(default_factory=Tally)
    open: int = 1
    failed: bool = False
    deaths: int = 0
    at: bytes | None = None
    avoid: frozenset[bytes] = frozenset()


class Engine:
    """One scan."""

    def __init__(
        self, options: ScanOptions, catalog: Catalog, asker: Asker, actor: Actor, reporter: Reporter
    ) -> None:
        """Prepare a scan; ``run`` does it.

        Raises:
            UsageError: a volume cannot be opened.
            StateError: the catalog cannot be used.
        """
        self._options = options
        self._catalog = catalog
        self._asker = asker
        self._reporter = reporter
        self._summary = Summary()
        self._tally = Tally()
        self._early = Tally()
        roots = [volume.root for volume in options.volumes]
        self._devices = {root: _device(root) for root in roots}
        self._expected = catalog.files_of_last_scan(roots)
        self._scan, self._resumed = catalog.begin_scan(roots, complete=options.full)
        self._judged = catalog.filterset(options.filterset)
        catalog.service = (options.service, options.remote)
        self._roots = {
            root: catalog.queue_directories(self._scan, 0, b"", [(root, 0)])[0] for root in roots
        }
        catalog.commit()
        self._confirmation = Confirmation(
            catalog,
            asker,
            actor,
            reporter,
            self._summary,
            scan=self._scan,
            filterset=self._judged,
            service=options.service,
            remote=options.remote,
            devices_of=self._catalog_devices,
        )
        self._frontier = Frontier(catalog)
        self._groups: dict[int, _Group] = {}
        self._next_group = 1
        self._redo: list[_Group] = []
        self._given: list[Task] = []
        self._fraction = 0.0
        self._provisional_bytes = 0
        self._stop = False
        self._walking = False
        self._last_commit = self._last_progress = time.monotonic()

    def _catalog_devices(self, candidate: Candidate) -> list[int]:
        device = candidate.identity.device
        own = [-self._roots[root].number for root in self._roots if self._devices[root] == device]
        return [device, *own]

    # The run

    def run(self) -> Summary:
        """Scan. An interrupt (SIGINT, SIGTERM) ends it early; what was done is committed.

        Raises:
            StateError: the catalog cannot be written any more.
            HashscanError: the worker processes cannot work.
        """
        started = time.monotonic()
        with self._interruptible():
            if self._resumed is not None:
                self._reporter.notice(
                    "going on with the full scan that was interrupted: "
                    "what it hashed is not hashed again"
                )
            for number, root in enumerate(self._roots.values()):
                self._frontier.push(Waiting(number, root, 1 / len(self._roots)))
            pool = Pool(
                self._options.jobs,
                self._worker_settings(),
                others=[self._asker.connection],
                before_fork=self._catalog.commit,
                stall_after=self._options.stall_after,
            )
            try:
                self._work(pool)
            finally:
                pool.close()
            if not self._stop:
                self._confirmation.drop_gone(self._roots)
                self._drain()
                # A service that was away for a while may be back at the end of a long scan.
                if self._confirmation.ask_again():
                    self._drain()
                self._confirmation.act_on_links(lambda: self._stop)
        summary = self._summary
        self._confirmation.tell_pending()
        self._fill(summary)
        summary.interrupted = self._stop
        summary.seconds = time.monotonic() - started
        self._catalog.end_scan(self._scan, files=summary.files, interrupted=self._stop)
        return summary

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

    def _worker_settings(self) -> WorkerSettings:
        options = self._options
        return WorkerSettings(
            volumes=options.volumes,
            roots=tuple(root.number for root in self._roots.values()),
            catalog=self._catalog.path,
            filters=options.filters,
            algorithms=options.algorithms,
            judged=self._judged,
            scan=self._scan,
            full=options.full,
            resumed=self._resumed,
            own=options.own,
            max_file_size=options.max_file_size,
            max_rate=None if options.max_rate is None else options.max_rate / options.jobs,
            pause_above_io_pressure=options.pause_above_io_pressure,
        )

    def _work(self, pool: Pool) -> None:
        """Hand out and take in until every directory is done."""
        self._walking = True
        self._confirmation.begin([volume.root for volume in self._options.volumes])
        while not self._stop and (self._frontier or self._groups or self._redo or self._given):
            self._hand_out(pool)
            for said in pool.receive([self._asker.connection], 0.1):
                if not isinstance(said, tuple):
                    self._confirmation.take(self._asker.replies())
                elif said[1] is None:
                    self._died(said[0])
                else:
                    self._heard(said[0], said[1])
            self._tick()
        self._walking = False

    def _drain(self) -> None:
        """Wait for the answers to what was asked; the client bounds how long that takes."""
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
        files = self._tally.files + self._early.files
        fraction = self._fraction
        if self._expected:
            fraction = max(fraction, min(0.99, files / self._expected))
        return Progress(
            files=files,
            bytes_hashed=self._tally.bytes_hashed
            + max(self._early.bytes_hashed, self._provisional_bytes),
            fraction=min(1.0, fraction),
            matches=self._summary.matches,
        )

    def _fill(self, summary: Summary) -> None:
        if self._stop:
            # Directories that were not done as a whole: what was hashed there is kept and counts.
            self._tally.add(self._early)
        summary.hashed = self._tally.hashed
        summary.unchanged = self._tally.unchanged
        summary.skipped = dict(sorted(self._tally.skipped.items()))
        summary.problems = self._tally.problems
        summary.bytes_hashed = self._tally.bytes_hashed

    # Handing out

    def _hand_out(self, pool: Pool) -> None:
        idle = pool.idle()
        while idle:
            tasks = self._next_tasks()
            if not tasks:
                break
            pool.give(idle.pop(), tasks)
        pool.tell_idle(len(idle))

    def _next_tasks(self) -> list[Task]:
        if self._given:
            return [self._given.pop()]
        if self._redo:
            # Alone, so that the next death tells which directory it is.
            return [self._task_again(self._redo.pop())]
        count = max(1, min(_BATCH, len(self._frontier) // (2 * self._options.jobs)))
        tasks: list[Task] = []
        while self._frontier and len(tasks) < count:
            waiting = self._frontier.pop()
            tasks.append(self._task(self._group(_Group(waiting))))
        return tasks

    def _group(self, group: _Group) -> int:
        number = self._next_group
        self._next_group += 1
        self._groups[number] = group
        return number

    def _task(self, number: int) -> Task:
        volume, directory, _ = self._groups[number].waiting
        return Task(number, volume, directory.number, directory.path, directory.fresh)

    def _task_again(self, failed: _Group) -> Task:
        avoid = failed.avoid | {failed.at} if failed.at is not None else failed.avoid
        number = self._group(_Group(failed.waiting, deaths=failed.deaths, avoid=avoid))
        return self._task(number)._replace(fresh=False, again=True, avoid=avoid)

    # Taking in

    def _heard(self, worker: WorkerHandle, message: Message) -> None:
        if isinstance(message, Alive):
            self._provisional_bytes += message.bytes_read
        elif isinstance(message, At):
            if message.group in self._groups:
                self._groups[message.group].at = message.name
        elif isinstance(message, list):
            for findings in message:
                self._store(worker, findings)

    def _store(self, worker: WorkerHandle, findings: Findings) -> None:
        group = self._groups[findings.group]
        volume_number, directory, _ = group.waiting
        volume = self._options.volumes[volume_number].root
        catalog = self._catalog
        if findings.rows:
            catalog.put_files(directory.number, findings.rows)
        if findings.rejudged:
            catalog.rejudge(directory.number, self._judged, findings.rejudged)
        if findings.gone:
            catalog.forget_files(directory.number, findings.gone)
        for found in findings.candidates:
            if catalog.put_candidate(self._scan, volume, directory, found):
                self._summary.candidates += 1
                self._confirmation.more = True
        self._tell_problems(volume, directory, findings.problems)
        for name, reason in findings.skipped:
            path = join(volume, directory.path + b"/" + name if directory.path else name)
            self._reporter.skipped(ProblemEvent(path, reason, _WHY_SKIPPED.get(reason, "")))
        if findings.directories:
            children = catalog.queue_directories(
                self._scan, directory.number, directory.path, findings.directories
            )
            self._push(group, children)
        if findings.give:
            self._given.append(self._task(findings.group)._replace(names=findings.give))
            group.open += 1
        group.tally.add(findings.tally)
        self._early.add(findings.tally)
        if findings.done:
            worker.tasks = [task for task in worker.tasks if task.group != findings.group]
            self._part_done(findings.group, group)

    def _tell_problems(
        self, volume: bytes, directory: QueuedDirectory, problems: list[FoundProblem]
    ) -> None:
        if not problems:
            return
        for problem in self._catalog.put_problems(self._scan, directory.number, problems):
            path = directory.path
            if problem.name:
                path = path + b"/" + problem.name if path else problem.name
            self._reporter.problem(
                ProblemEvent(join(volume, path), problem.reason, problem.message)
            )

    def _push(self, group: _Group, children: list[QueuedDirectory]) -> None:
        if not children:
            return
        # A directory's share goes to its subdirectories as they are found; how many more there
        # will be is not known, so each batch gets half of what is left.
        volume, directory, weight = group.waiting
        share = weight / 2
        for child in children:
            self._frontier.push(Waiting(volume, child, share / len(children)))
        group.waiting = Waiting(volume, directory, weight - share)

    def _part_done(self, number: int, group: _Group) -> None:
        group.open -= 1
        if group.open:
            return
        del self._groups[number]
        self._subtract_early(group.tally)
        if group.failed:
            self._give_up_or_redo(group)
            return
        self._tally.add(group.tally)
        self._fraction += group.waiting.weight
        if not self._groups:
            self._provisional_bytes = 0

    def _subtract_early(self, tally: Tally) -> None:
        self._early.hashed -= tally.hashed
        self._early.unchanged -= tally.unchanged
        self._early.problems -= tally.problems
        self._early.bytes_hashed -= tally.bytes_hashed
        self._early.skip({reason: -count for reason, count in tally.skipped.items()})

    def _died(self, worker: WorkerHandle) -> None:
        """A worker process died: what it had is done again, once what was given away is done."""
        tasks, worker.tasks = worker.tasks, []
        for task in tasks:
            group = self._groups.get(task.group)
            if group is None:
                continue
            group.failed = True
            if task is tasks[0]:
                group.deaths += 1
                if worker.stalled:
                    group.deaths += _MOST_DEATHS // 2  # each costs minutes
            self._part_done(task.group, group)

    def _give_up_or_redo(self, group: _Group) -> None:
        if group.deaths < _MOST_DEATHS:
            self._redo.append(group)
            return
        volume, directory, weight = group.waiting
        reason = Problem.WORKER_DIED
        message = (
            f"worker processes died over this directory {group.deaths} times; "
            "see the kernel's log, and scan it alone with --jobs 1"
        )
        root = self._options.volumes[volume].root
        self._tell_problems(root, directory, [FoundProblem(b"", reason.value, message)])
        self._tally.problems += 1
        self._fraction += weight


def _device(root: bytes) -> int:
    try:
        with closing(open_root(root)) as fd:
            return identity_of(fd).device
    except OSError as error:
        raise UsageError(
            f"the volume {os.fsdecode(root)!r} cannot be opened: {error.strerror}; "
            "see the path, the mount and the rights of this user"
        ) from error
