"""Hands out directories to worker processes, and stores the findings in the catalog.

A scan hands out every directory of its volumes once. The daemon's watch hands out the directories
with changes. The findings of a directory count only when the whole directory is done.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

from hashscan.catalog.rows import FoundProblem, QueuedDirectory
from hashscan.model import Problem, ProblemEvent, Skipped, join
from hashscan.scan.directory_group import CheckedEntries, DirectoryGroup, group_of
from hashscan.scan.directory_queue import Frontier, WaitingDirectories
from hashscan.scan.findings import WHY_SKIPPED
from hashscan.scan.incomplete_volumes import UnseenVolumes
from hashscan.scan.large_files import LargeFiles
from hashscan.scan.lost_directories import MOST, LostDirectories, LostEntry, Search, Settled
from hashscan.scan.messages import PART_FILES, Alive, At, Findings, Job, Tally, Task
from hashscan.text import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hashscan.catalog.store import Catalog
    from hashscan.fs.volume import Volume
    from hashscan.reporter import Reporter
    from hashscan.scan.messages import Message
    from hashscan.scan.pool import Pool, WorkerHandle

#: Largest number of directories that the engine hands out at the same time.
_BATCH = 64
#: Number of lost files of one directory after which the directory is listed again, although other
#: files of it are not hashed yet.
_MOST_LOST = 50_000
#: Number of processes that may die at one directory; then the engine reports the directory as a
#: problem and skips it.
_MOST_DEATHS = 8


def _is_bulk(task: Task) -> bool:
    return not task.look or task.large


class Dispatch:
    """Hands out directories to worker processes and takes in their findings.

    Attributes:
        tally: counts of the outcomes in finished directories.
        early: counts of the outcomes in unfinished directories.
        fraction: finished share of the work, an estimate from 0 to 1.
        provisional: number of bytes read of files that have no outcome yet, by worker process.
        unseen: volumes with files that the scan does not see.
    """

    def __init__(
        self,
        catalog: Catalog,
        reporter: Reporter,
        volumes: Sequence[Volume],
        *,
        scan: int,
        judged: int,
        jobs: int,
        on_candidate: Callable[[], None],
        once: bool = True,
        on_checked: Callable[[CheckedEntries], None] | None = None,
        on_too_many: Callable[[int], None] = lambda _volume: None,
    ) -> None:
        """Store findings under scan number ``scan``, judged by filter set number ``judged``.

        ``on_candidate`` is called for each queued candidate. With ``once`` a directory is listed
        once in this scan, however often a worker finds it. ``on_checked`` receives the result of
        each ``look``. ``on_too_many`` receives the index of a volume with so many waiting large
        files that they are dropped: the volume must be scanned.
        """
        self._catalog = catalog
        self._reporter = reporter
        self._volumes = volumes
        self.scan = scan
        self._judged = judged
        self._jobs = jobs
        self._on_candidate = on_candidate
        self._once = once
        # The watch keeps one process free of bulk work. Therefore a user who moves whole trees into
        # a volume, or keeps changing large files, does not delay the small files of others.
        self._most_in_bulk = jobs if once else max(1, jobs - 1)
        self._on_checked = on_checked
        self._frontier = Frontier(catalog)
        self._lost = LostDirectories(catalog)
        self._groups: dict[int, DirectoryGroup] = {}
        self._next_group = 1
        self._redo: list[DirectoryGroup] = []
        self._given: list[Task] = []
        self._checks: deque[DirectoryGroup] = deque()
        self._large = LargeFiles(jobs, on_too_many)
        self.tally = Tally()
        self.unseen = UnseenVolumes(volumes, reporter, self.tally)
        self.early = Tally()
        self.fraction = 0.0
        self.provisional: dict[WorkerHandle, int] = {}

    def __bool__(self) -> bool:
        """Return whether any directory waits or is under way."""
        return bool(
            self._groups
            or self._frontier
            or self._redo
            or self._given
            or self._checks
            or self._large
            or self._lost
            or self.unseen
        )

    def __len__(self) -> int:
        """Return the number of directories that wait or are under way."""
        return (
            len(self._groups)
            + len(self._frontier)
            + len(self._redo)
            + len(self._checks)
            + len(self._large)
            + len(self._lost)
        )

    @property
    def ahead(self) -> int:
        """Return the number of waiting checks of changed entries."""
        return len(self._checks)

    @property
    def waits_since(self) -> float | None:
        """Return the monotonic time at which the oldest waiting check was requested.

        The result is ``None`` if no check of changed entries waits.
        """
        return self._checks[0].since if self._checks else None

    @property
    def under_way(self) -> bool:
        """Return whether a worker process has begun a directory and not finished it."""
        return bool(self._groups)

    def held(self) -> set[int]:
        """Return the ids of directories that wait or are under way, except spilled directories."""
        groups = [*self._groups.values(), *self._redo, *self._checks, *self._large.groups()]
        numbers = {group.waiting.directory.number for group in groups}
        for group in groups:
            if group.search is not None:
                numbers |= group.search.lost.keys()
        return numbers.union(self._frontier.held(), self._lost.ids())

    def push(self, volume: int, directory: QueuedDirectory, weight: float = 0.0) -> None:
        """Queue a directory for listing; it counts as the share ``weight`` of the scan's work."""
        waiting = WaitingDirectories(volume, directory, weight)
        self._frontier.push(waiting)
        self.unseen.begin(waiting)

    def forget_volume(self, volume: int) -> None:
        """Drop a volume's waiting directories; do not repeat its running directories."""
        self._checks = deque(one for one in self._checks if one.waiting.volume != volume)
        self._frontier.forget_volume(volume)
        self._lost.forget_volume(volume)
        self._large.forget_volume(volume)
        self._leave(volume)

    def _leave(self, volume: int) -> None:
        """Forget the failed groups of a volume, and do not repeat its running groups."""
        self._redo = [one for one in self._redo if one.waiting.volume != volume]
        for group in self._groups.values():
            group.forgotten |= group.waiting.volume == volume

    def give_up(self, volume: int, why: str) -> None:
        """Report that a volume vanished for the reason ``why``, and drop its directories."""
        self._take_unseen(volume, Findings(0, vanished=why))

    def start_over(self, judged: int) -> None:
        """Repeat the tasks of worker processes that have ended, by filter set ``judged``."""
        self._judged = judged
        self._given.clear()
        for number in list(self._groups):
            group = self._groups[number]
            group.open, group.failed, group.at = 1, True, None
            self._part_done(number, group)

    def look(
        self, volume: int, directory: QueuedDirectory, names: Sequence[bytes], *, final: bool
    ) -> None:
        """Queue a check of some entries of a directory, before all other waiting work.

        A file to which a process still writes goes back to the caller, unless ``final`` is set.
        """
        self._checks.append(
            DirectoryGroup(
                WaitingDirectories(volume, directory, 0.0),
                names=tuple((name, 0) for name in names),
                final=final,
                since=time.monotonic(),
            )
        )

    # Worker tasks

    def hand_out(self, pool: Pool, *, urgent: bool = False) -> None:
        """Give tasks to idle processes; if ``urgent`` is set, only tasks of begun directories."""
        idle = pool.idle()
        in_bulk = sum(any(map(_is_bulk, worker.tasks)) for worker in pool.workers)
        while idle:
            tasks = self._next_tasks(urgent=urgent, bulk=in_bulk < self._most_in_bulk)
            if not tasks:
                break
            in_bulk += _is_bulk(tasks[0])
            pool.give(idle.pop(), tasks)
        # Advertise idle workers only if one of them may take bulk work.
        pool.tell_idle(len(idle) if in_bulk < self._most_in_bulk else 0)

    def _next_tasks(self, *, urgent: bool, bulk: bool) -> list[Task]:
        if self._given and bulk:
            return [self._given.pop()]
        if self._redo and (bulk or not self._redo[-1].is_bulk):
            # A directory at which a process died gets a process of its own: another death then
            # shows that this directory is the cause.
            return [self._task_again(self._redo.pop())]
        if urgent:
            return []
        if bulk and len(self._lost) > MOST:
            return self._next_searches()
        if bulk and self._large.is_next:
            return [self._task(self._group(self._large.next()))]
        if self._checks:
            count = max(1, min(_BATCH, len(self._checks) // (2 * self._jobs)))
            return [
                self._task(self._group(self._checks.popleft()))
                for _ in range(min(count, len(self._checks)))
            ]
        if not bulk:
            return []
        # In a scan a batch is allowed, because no other work waits. In the watch, a change must not
        # wait for a batch of tasks.
        most = _BATCH if self._once else 1
        count = max(1, min(most, len(self._frontier) // (2 * self._jobs)))
        tasks: list[Task] = []
        while self._frontier and len(tasks) < count:
            waiting = self._frontier.pop()
            if waiting.volume not in self.unseen.vanished:
                tasks.append(self._task(self._group(DirectoryGroup(waiting))))
        if not tasks and self._large:
            return [self._task(self._group(self._large.next()))]
        if not tasks and not any(group.is_bulk for group in self._groups.values()):
            # No remaining task can lose directories of the same parent, so the parent is listed
            # once.
            tasks = self._next_searches()
        if not tasks and not self._groups:
            return self._next_checks()
        return tasks

    def _next_checks(self) -> list[Task]:
        tasks: list[Task] = []
        while len(tasks) < _BATCH and (check := self.unseen.next()) is not None:
            tasks.append(self._task(self._group(check)))
        return tasks

    def _next_searches(self) -> list[Task]:
        tasks: list[Task] = []
        while len(tasks) < _BATCH and (search := self._lost.next()) is not None:
            if search.volume in self.unseen.vanished:
                continue
            tasks.append(self._task(self._group(group_of(search))))
            if len(search.names) > PART_FILES:
                break
        return tasks

    def _group(self, group: DirectoryGroup) -> int:
        number = self._next_group
        self._next_group += 1
        self._groups[number] = group
        if group.large:
            self._large.begun(number)
        return number

    def _task(self, number: int) -> Task:
        return self._groups[number].task(number)

    def _task_again(self, failed: DirectoryGroup) -> Task:
        group = failed.again()
        return self._task(self._group(group))._replace(fresh=False, again=True, avoid=group.avoid)

    # Worker messages

    def heard(self, worker: WorkerHandle, message: Message) -> None:
        """Process a message from a worker process."""
        if isinstance(message, Alive):
            self.provisional[worker] = self.provisional.get(worker, 0) + message.bytes_read
        elif isinstance(message, At):
            if message.group in self._groups:
                self._groups[message.group].at = message.name
        elif isinstance(message, list):
            for findings in message:
                self._store(worker, findings)

    def _store(self, worker: WorkerHandle, findings: Findings) -> None:
        read = self.provisional.get(worker, 0)
        self.provisional[worker] = max(0, read - findings.tally.bytes_hashed)
        group = self._groups[findings.group]
        volume_number, directory, _ = group.waiting
        volume = self._volumes[volume_number].root
        catalog = self._catalog
        if findings.damaged:
            if not catalog.damaged:
                self._reporter.notice(
                    f"{shown(join(volume, directory.path))}: the catalog is damaged: the files of "
                    "its damaged rows are hashed again; see the kernel's log for errors of the disk"
                )
            catalog.damaged += findings.damaged
        if findings.rows:
            catalog.put_files(directory.number, findings.rows)
        if findings.rejudged:
            catalog.rejudge(directory.number, self._judged, findings.rejudged)
        if findings.gone:
            catalog.forget_files(directory.number, findings.gone)
        for found in findings.candidates:
            if catalog.put_candidate(self.scan, volume, directory, found):
                self._on_candidate()
        self._report_problems(volume, directory, findings.problems)
        for name, reason in findings.skipped:
            path = join(volume, directory.path + b"/" + name if directory.path else name)
            self._reporter.skipped(ProblemEvent(path, reason, WHY_SKIPPED[reason]))
        if findings.directories:
            children = catalog.queue_directories(
                self.scan,
                directory.number,
                directory.path,
                findings.directories,
                again=not self._once,
            )
            self._push(group, children)
        group.unrested += findings.unrested
        group.later += findings.later
        for name in findings.large:
            self._large.add(group, name)
        if findings.give:
            self._given.append(self._task(findings.group)._replace(names=findings.give, look=False))
            group.open += 1
        group.tally.add(findings.tally)
        self.early.add(findings.tally)
        group.unopened += findings.unopened
        group.replaced = group.replaced or findings.replaced
        group.lost += findings.lost
        if len(group.lost) >= _MOST_LOST:
            self._follow(findings.group, group)
        if findings.vanished or findings.unread:
            self._take_unseen(volume_number, findings)
        if findings.done and group.search is not None and not findings.vanished:
            self._settle(self._found(group.search, findings))
        if findings.done:
            worker.tasks = [task for task in worker.tasks if task.group != findings.group]
            self._part_done(findings.group, group)

    def _take_unseen(self, volume: int, findings: Findings) -> None:
        if not self._once:  # The daemon's probes find out whether the volume is still there.
            if findings.vanished:
                self.forget_volume(volume)
            return
        self.unseen.take(volume, findings.vanished, unread=findings.unread)
        if findings.vanished:
            # Thousands of volumes may vanish together, so a waiting directory is dropped only when
            # it would be handed out.
            self._leave(volume)

    def _report_problems(
        self, volume: bytes, directory: QueuedDirectory, problems: list[FoundProblem]
    ) -> None:
        if not problems:
            return
        for problem in self._catalog.put_problems(self.scan, directory.number, problems):
            path = directory.path
            if problem.name:
                path = path + b"/" + problem.name if path else problem.name
            self._reporter.problem(
                ProblemEvent(join(volume, path), problem.reason, problem.message)
            )

    def _push(self, group: DirectoryGroup, children: list[QueuedDirectory]) -> None:
        if not children or group.waiting.volume in self.unseen.vanished:
            return
        # A directory's share is divided among its subdirectories as a worker finds them. The number
        # of further subdirectories is unknown, so each batch gets half of the remaining share.
        volume, directory, weight = group.waiting
        share = weight / 2
        for child in children:
            self._frontier.push(WaitingDirectories(volume, child, share / len(children)))
        group.waiting = WaitingDirectories(volume, directory, weight - share)

    def _follow(self, number: int, group: DirectoryGroup) -> None:
        """Queue the hashing of lost files under their present names."""
        names, group.lost = tuple(group.lost), []
        task = self._task(number)._replace(names=names, look=False, job=Job.FOLLOW)
        self._given.append(task)
        group.open += 1

    def _found(self, search: Search, findings: Findings) -> list[Settled]:
        if findings.why_unknown:
            return self._lost.failed(search, findings.why_unknown)
        return self._lost.found(search, findings.fates)

    def _settle(self, settled: list[Settled]) -> None:
        """Count entries of directories that were removed or renamed before they were listed."""
        for volume, entry, problem in settled:
            if not problem:
                self.tally.skip({Skipped.VANISHED.value: 1})
                continue
            path = self._catalog.directory_path(entry.directory)
            directory = QueuedDirectory(entry.directory, path, fresh=False)
            found = FoundProblem(entry.name, Problem.CHANGED.value, problem)
            self._report_problems(self._volumes[volume].root, directory, [found])
            self.tally.problems += 1

    def _part_done(self, number: int, group: DirectoryGroup) -> None:
        group.open -= 1
        if not group.open and group.lost and not group.failed:
            self._follow(number, group)
        if group.open:
            return
        del self._groups[number]
        self._large.ended(number)
        self.early.subtract(group.tally)
        if group.failed:
            if not group.forgotten:
                self._give_up_or_redo(group)
            return
        if group.unopened:
            volume, directory, _ = group.waiting
            entries = [LostEntry(directory.number, name) for name in group.unopened]
            self._settle(self._lost.add(volume, entries))
        if group.replaced and self._once:  # The daemon's watch also reports a rename.
            entry = LostEntry(group.waiting.directory.number, instead=group.replaced)
            self._settle(self._lost.add(group.waiting.volume, [entry]))
        if self._on_checked is not None and (group.names is not None or group.later):
            names = [name for name, _ in group.names or () if name not in group.elsewhere]
            volume, directory, _ = group.waiting
            self._on_checked(
                CheckedEntries(volume, directory.path, names, group.unrested, group.later)
            )
        self.tally.add(group.tally)
        self.fraction += group.waiting.weight

    def died(self, worker: WorkerHandle) -> None:
        """Repeat the tasks of a dead worker process, after other workers finish their parts."""
        self.provisional.pop(worker, None)
        tasks, worker.tasks = worker.tasks, []
        for task in tasks:
            group = self._groups.get(task.group)
            if group is None:
                continue
            group.failed = True
            if task is tasks[0]:
                group.deaths += 1
                if worker.stalled:
                    # A task that hangs costs minutes at each repetition.
                    group.deaths += _MOST_DEATHS // 2
            self._part_done(task.group, group)

    def _give_up_or_redo(self, group: DirectoryGroup) -> None:
        if group.search is not None:
            if group.deaths:
                self._settle(self._lost.failed(group.search, "the process that listed it died"))
                self._take_unseen(group.waiting.volume, Findings(0, unread=True))
            else:
                self._lost.put_back(group.search)
            return
        if group.deaths < _MOST_DEATHS:
            self._redo.append(group)
            return
        volume, directory, weight = group.waiting
        reason = Problem.WORKER_DIED
        message = (
            f"worker processes died over this directory {group.deaths} times; "
            "see the kernel's log, and scan it alone with --jobs 1"
        )
        root = self._volumes[volume].root
        self._report_problems(root, directory, [FoundProblem(b"", reason.value, message)])
        self.tally.problems += 1
        self._take_unseen(volume, Findings(0, unread=True))
        self.fraction += weight
