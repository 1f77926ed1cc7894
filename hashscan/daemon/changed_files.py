"""Checks changed files: passes the changes that the watch reports to worker processes."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from hashscan.catalog.rows import QueuedDirectory
from hashscan.daemon.change_queue import BATCH, Changes, Key
from hashscan.scan.dispatch import Dispatch
from hashscan.scan.messages import WorkerSettings
from hashscan.scan.pool import Pool

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

    from hashscan.catalog.store import Catalog
    from hashscan.reporter import Reporter
    from hashscan.scan.directory_group import CheckedEntries
    from hashscan.scan.messages import Message, Tally
    from hashscan.scan.options import ScanOptions
    from hashscan.scan.pool import WorkerHandle

#: Number of changed names that the daemon hands to the workers in advance; further names wait in
#: the queue, where repeated changes coalesce.
_AHEAD = 2048
_KNOWN_DIRECTORIES = 20_000


class ChangedFiles:
    """Checks changed files in worker processes of its own, so that changes wait for no scan.

    Attributes:
        changes: the queue of changed entries.
        pool: the worker processes that check changed files.
    """

    def __init__(
        self,
        options: ScanOptions,
        catalog: Catalog,
        reporter: Reporter,
        *,
        judged: int,
        judged_until: int,
        on_candidate: Callable[[], None],
        on_too_many: Callable[[int], None],
    ) -> None:
        """Start the worker processes for changed files.

        ``on_too_many`` receives a volume with so many waiting files that it must be scanned.
        """
        self._options = options
        self._catalog = catalog
        scan = catalog.begin_watch()
        self._roots = [
            catalog.queue_directories(scan, 0, b"", [(volume.root, 0)], again=True)[0]
            for volume in options.volumes
        ]
        catalog.commit()
        self._directories: dict[Key, QueuedDirectory] = {}
        self.changes = Changes()
        self._dispatch = Dispatch(
            catalog,
            reporter,
            options.volumes,
            scan=scan,
            judged=judged,
            jobs=options.jobs,
            on_candidate=on_candidate,
            once=False,
            on_checked=self._take_checked,
            on_too_many=on_too_many,
        )
        self.pool = self._make_pool(judged, judged_until)

    def _make_pool(self, judged: int, judged_until: int) -> Pool:
        settings = WorkerSettings(
            self._options,
            tuple(self.root_numbers),
            self._catalog.path,
            judged=judged,
            scan=self.scan,
            judged_until=judged_until,
        )
        return Pool(settings, before_fork=self._catalog.commit)

    @property
    def root_numbers(self) -> list[int]:
        """Return the ids of the volumes' root directories in the catalog."""
        return [root.number for root in self._roots]

    @property
    def scan(self) -> int:
        """Return the scan number under which the catalog stores files that are found now."""
        return self._dispatch.scan

    @property
    def tally(self) -> Tally:
        """Return the counts of the outcomes of changed files so far."""
        return self._dispatch.tally

    @property
    def busy(self) -> bool:
        """Return whether any check of a changed entry is due or under way."""
        due = self.changes.next_due()
        return bool(self._dispatch) or (due is not None and due <= time.monotonic())

    @property
    def under_way(self) -> bool:
        """Return whether a worker process for changed files has a task."""
        return self._dispatch.under_way

    def held(self) -> set[int]:
        """Return the ids of directories with a running check, which the catalog must not forget."""
        return self._dispatch.held()

    @property
    def backlog(self) -> int:
        """Return the number of changed entries and directories that wait or are under way."""
        return len(self.changes) + len(self._dispatch)

    @property
    def waits_for(self) -> float:
        """Return the seconds for which the oldest change has waited; 0: no change waits."""
        since = [self.changes.oldest(), self._dispatch.waits_since]
        first = min((one for one in since if one is not None), default=None)
        return 0.0 if first is None else max(0.0, time.monotonic() - first)

    @property
    def queued(self) -> int:
        """Return the number of changes that wait for a worker process, not for a writer."""
        return len(self._dispatch)

    def begin(self) -> None:
        """Use a new scan number after a scan has begun: files found from now on are later."""
        self._dispatch.scan = self._catalog.begin_watch()

    def ended(self) -> None:
        """Forget directory ids, because the scan that ended may have removed directories."""
        self._directories.clear()

    def changed(self, volume: int, directory: bytes, name: bytes) -> bool:
        """Queue a changed entry; return ``False`` if too many wait: the volume must be scanned."""
        return self.changes.add(Key(volume, directory), name, time.monotonic())

    def check_rows(self, directory: int, names: list[bytes]) -> None:
        """Queue a check of entries in the directory with this id in the catalog, in any volume."""
        root = self._catalog.volume_of(directory)
        for number, volume in enumerate(self._options.volumes):
            if volume.root == root:
                self.check_known(number, directory, names)

    def check_known(self, volume: int, directory: int, names: list[bytes]) -> None:
        """Queue a check of files that the catalog knows, in the directory with this id."""
        path = self._catalog.directory_path(directory)
        queued = QueuedDirectory(directory, path, False)
        for start in range(0, len(names), BATCH):
            self._dispatch.look(volume, queued, names[start : start + BATCH], final=True)

    def give_up(self, volume: int) -> None:
        """Drop the waiting changes of a missing volume; the volume is scanned when it is back."""
        self.changes.forget_volume(volume)
        self._dispatch.forget_volume(volume)
        self.pool.give_up(volume)

    def hand_out(self) -> None:
        """Give the changes that are due to the worker processes."""
        if self._dispatch.ahead < _AHEAD // 8:
            for key, names, final in self.changes.take(time.monotonic(), _AHEAD):
                self._dispatch.look(key.volume, self._directory(key), names, final=final)
        self._dispatch.hand_out(self.pool)

    def _directory(self, key: Key) -> QueuedDirectory:
        found = self._directories.get(key)
        if found is None:
            if len(self._directories) >= _KNOWN_DIRECTORIES:
                self._directories.clear()
            root = self._roots[key.volume].number
            found = self._catalog.find_directory(self._dispatch.scan, root, key.directory)
            self._directories[key] = found
        return found

    def _take_checked(self, result: CheckedEntries) -> None:
        now = time.monotonic()
        key = Key(result.volume, result.directory)
        later = dict(result.later)
        waiting = {name for name, _ in result.unrested} | later.keys()
        self.changes.rested(key, [name for name in result.names if name not in waiting])
        for name, size in later.items():
            self.changes.look_later(key, name, size, now)
        too_many = [
            name
            for name, size in result.unrested
            if not self.changes.not_whole(key, name, size, now)
        ]
        if too_many:
            self._dispatch.look(result.volume, self._directory(key), too_many, final=True)

    def receive(self, others: list[Connection], timeout: float) -> tuple[list[Connection], int]:
        """Process messages of the workers; return the ready ``others`` and the message count."""
        ready: list[Connection] = []
        spoke = 0
        for said in self.pool.receive(others, timeout):
            if isinstance(said, tuple):
                spoke += 1
                self._take(*said)
            else:
                ready.append(said)
        return ready, spoke

    def _take(self, worker: WorkerHandle, message: Message | None) -> None:
        if message is None:
            self._dispatch.died(worker)
        else:
            self._dispatch.heard(worker, message)

    def swap(self, options: ScanOptions, judged: int, judged_until: int) -> None:
        """Use other filters from now on: the worker processes repeat the running checks."""
        self.pool.close()
        self._dispatch.start_over(judged)
        self._options = replace(options, volumes=self._options.volumes)
        self.pool = self._make_pool(judged, judged_until)

    def close(self) -> None:
        """End the worker processes; the next scan finds their unfinished work."""
        self.pool.close()
