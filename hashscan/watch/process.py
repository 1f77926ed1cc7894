"""Runs the process that watches volumes, so that events are read even while the daemon is busy.

The watch needs a separate process with normal priority: the kernel's queue must be emptied even
while the workers, with the lowest priority, lag behind. Changes that the daemon has not fetched yet
wait in this process, once for each entry. If too many changes wait, the volumes are scanned
instead. The process sends a sign of life every few seconds; a process that waits for a dead file
server sends none.
"""

from __future__ import annotations

import contextlib
import os
import select
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from hashscan.machine import explain
from hashscan.model import Identity
from hashscan.processes import Child
from hashscan.text import said_by, shown
from hashscan.watch.choose_source import Choice, choose
from hashscan.watch.fanotify import FanotifySource
from hashscan.watch.inotify import InotifySource
from hashscan.watch.mounts import Mounts, answers_by_others, mounts_now
from hashscan.watch.source import Changed, Coverage, Lost

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from multiprocessing.connection import Connection

    from hashscan.fs.volume import Volume
    from hashscan.watch.source import Source, WatchReport

#: Largest number of changes that wait for the daemon, and largest number of bytes of their paths.
_MOST, _MOST_BYTES = 1_000_000, 256 << 20
#: Largest number of changes that the process sends to the daemon together.
_BATCH, _BATCH_BYTES = 4096, 4 << 20
_POLL = 5.0  # Longest wait for events in seconds; a source may have to try a watch again.
#: Seconds until the next attempt to watch a volume that could not be watched at all.
_TRY_AGAIN = 900.0
#: Seconds for which a process that can watch no volume continues, so that its message can be read.
_START_AGAIN = 30.0
#: Seconds between two signs of life, if there is no report to send.
_ALIVE_AFTER = 5.0
#: Seconds between two checks whether the volumes' roots are still the same directories.
_ROOTS = 5.0
#: Pause between two readings of the mounts, as a multiple of the time of a reading: a customer who
#: mounts thousands of file systems one after the other must not keep this process busy.
_MOUNTS_REST = 20.0
_MOUNTED = "a file system was mounted or unmounted there"
_REPLACED = "another directory is in its place now"
_GONE = "it is not there any more"
_BLIND = "changes by other hosts on this {} are not reported"


class Watching:
    """Represents, in the daemon, the process that watches volumes.

    Attributes:
        connection: readable when ``take`` can return reports.
        heard: monotonic time of the watching process's last sign of life.
    """

    def __init__(
        self, volumes: Sequence[Volume], modes: Sequence[str], numbers: Sequence[int]
    ) -> None:
        """Start the process that watches the volumes with these indices.

        The process first reports a ``Coverage`` for each of these volumes.
        """
        self.heard = time.monotonic()
        self._child = Child(_main, volumes, modes, numbers)
        self.connection = self._child.connection

    @property
    def pid(self) -> int:
        """Return the id of the watching process."""
        return self._child.pid

    def take(self) -> list[WatchReport] | None:
        """Return the reports of the watching process; the list may be empty.

        The result is ``None`` if the watching process has died.
        """
        try:
            reports: list[WatchReport] = self.connection.recv()
        except (EOFError, OSError):
            return None
        self.heard = time.monotonic()
        return reports

    def close(self) -> None:
        """End the watching process."""
        self._child.end()


class _Outbox:
    """Holds reports for the daemon; a thread sends the reports, so the source never waits."""

    def __init__(self, connection: Connection, volumes: Sequence[int]) -> None:
        self._connection = connection
        self._volumes = volumes
        self._waiting: dict[WatchReport, None] = {}
        self._bytes = 0
        self._is_alive = False
        self._alive_at = time.monotonic()
        self._there = threading.Condition()
        threading.Thread(target=self._send, daemon=True).start()

    def put(self, reports: Sequence[WatchReport]) -> None:
        with self._there:
            if len(self._waiting) + len(reports) > _MOST or self._bytes > _MOST_BYTES:
                kept = [one for one in self._waiting if isinstance(one, Coverage)]
                self._waiting = dict.fromkeys(kept)
                self._bytes = 0
                reports = [one for one in reports if isinstance(one, Coverage)]
                message = "too many changes waited to be checked"
                for volume in self._volumes:
                    self._waiting[Lost(volume, b"", "overflow", message)] = None
            for one in reports:
                if isinstance(one, Coverage):
                    self._waiting.pop(one, None)  # The newest report about a volume is sent last.
                elif one not in self._waiting:
                    self._bytes += _size(one)
                self._waiting[one] = None
            self._there.notify()

    def alive(self) -> None:
        """Record a sign of life of the source; the sending thread cannot know it otherwise."""
        if time.monotonic() - self._alive_at >= _ALIVE_AFTER:
            with self._there:
                self._is_alive = True
                self._alive_at = time.monotonic()
                self._there.notify()

    def _send(self) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            while True:
                with self._there:
                    while not (self._waiting or self._is_alive):
                        self._there.wait()
                    self._is_alive = False
                    batch: list[WatchReport] = []
                    size = 0
                    for one in self._waiting:
                        if len(batch) >= _BATCH or size > _BATCH_BYTES:
                            break
                        batch.append(one)
                        size += _size(one)
                    for one in batch:
                        del self._waiting[one]
                    self._bytes = self._bytes - size if self._waiting else 0
                self._connection.send(batch)
        os._exit(0)  # The daemon no longer reads the reports.


def _size(report: WatchReport) -> int:
    """Return the number of bytes of the path in a report of the source."""
    if isinstance(report, Changed):
        return len(report.directory) + len(report.name)
    return len(report.directory) if isinstance(report, Lost) else 0


def _renumbered(reports: Sequence[WatchReport], numbers: Sequence[int]) -> list[WatchReport]:
    """Return reports with the daemon's volume indices; a source counts only its own volumes."""
    found: list[WatchReport] = []
    for one in reports:
        number = numbers[one.volume]
        if isinstance(one, Changed):
            found.append(Changed(number, one.directory, one.name))
        elif isinstance(one, Lost):
            found.append(Lost(number, one.directory, one.reason, one.message))
        else:
            found.append(replace(one, volume=number))
    return found


class _Backend:
    """Watches some volumes by one source of changes."""

    def __init__(self, source: Source, of: list[int], volumes: Sequence[Volume]) -> None:
        self.of = of
        self._index = {number: index for index, number in enumerate(of)}
        self.source = source
        self._volumes = volumes
        self._blind: dict[int, str] = {}
        self.find_blind_volumes()

    def find_blind_volumes(self) -> None:
        """Find the volumes that other hosts may change without a report by this watch."""
        mounts = mounts_now()
        for number in self.of:
            kind = mounts.kind(self._volumes[number].root)
            self._blind[number] = _BLIND.format(shown(kind)) if answers_by_others(kind) else ""

    def rewatch(self, number: int) -> list[WatchReport]:
        """Watch a volume again after a mount, if the volume belongs to this source."""
        index = self._index.get(number)
        return [] if index is None else self.with_blind(self.source.rewatch(index))

    def with_blind(self, reports: Sequence[WatchReport]) -> list[WatchReport]:
        return [
            replace(one, blind=self._blind[one.volume]) if isinstance(one, Coverage) else one
            for one in _renumbered(reports, self.of)
        ]


def _main(
    connection: Connection,
    volumes: Sequence[Volume],
    modes: Sequence[str],
    numbers: Sequence[int],
) -> None:
    outbox = _Outbox(connection, numbers)
    these = [volumes[number] for number in numbers]
    try:
        mounts = Mounts(these)
        chosen = choose(these, [modes[number] for number in numbers])
        choices = dict(zip(numbers, chosen, strict=True))
        backends, reports = _start(volumes, choices, outbox.alive)
    except (OSError, MemoryError) as error:  # Without /proc, for example, mounts cannot be read.
        why = f"nothing can be watched: {explain(error) or said_by(error)}"
        outbox.put([Coverage(number, "off", unwatched=1, message=why) for number in numbers])
        time.sleep(_START_AGAIN)
        os._exit(1)
    outbox.put(reports)
    watched = {number for backend in backends for number in backend.of}
    failed = any(
        choice.backend != "off" and number not in watched for number, choice in choices.items()
    )
    began = time.monotonic()
    poll = select.poll()
    poll.register(mounts.fileno(), select.POLLPRI | select.POLLERR)
    for backend in backends:
        poll.register(backend.source.fileno(), select.POLLIN)
    roots = {number: _identity(volumes[number]) for number in numbers}
    checked = time.monotonic()
    mounts_changed, mounts_at = False, 0.0
    while True:
        if failed and time.monotonic() - began > _TRY_AGAIN:
            os._exit(1)  # The daemon starts the process again, and then the watch may be possible.
        outbox.alive()
        wait = _POLL
        if any(backend.source.has_more for backend in backends):
            wait = 0.0
        elif mounts_changed:
            wait = min(wait, max(0.0, mounts_at - time.monotonic()))
        ready = {fd for fd, _ in poll.poll(wait * 1000)}
        if time.monotonic() - checked >= _ROOTS:
            checked = time.monotonic()
            now = {number: _identity(volumes[number]) for number in numbers}
            changed = [number for number, one in now.items() if one != roots[number]]
            roots = now
            outbox.put(_renewed([n for n in changed if now[n]], backends, _REPLACED))
            outbox.put(_renewed([n for n in changed if not now[n]], backends, _GONE))
        mounts_changed |= mounts.fileno() in ready
        if mounts_changed and (began_look := time.monotonic()) >= mounts_at:
            mounts_changed = False
            changed = [numbers[index] for index in mounts.changed()]
            for backend in backends:
                backend.find_blind_volumes()
            mounts_at = time.monotonic() + _MOUNTS_REST * (time.monotonic() - began_look)
            outbox.put(_renewed(changed, backends, _MOUNTED))
        for backend in backends:
            if not ready or backend.source.has_more or backend.source.fileno() in ready:
                outbox.put(backend.with_blind(backend.source.read()))


def _start(
    volumes: Sequence[Volume], choices: Mapping[int, Choice], alive: Callable[[], None]
) -> tuple[list[_Backend], list[WatchReport]]:
    reports: list[WatchReport] = [
        Coverage(number, "off", message=choice.why)
        for number, choice in choices.items()
        if choice.backend == "off"
    ]
    found = []
    left: list[int] = []
    for name in ("fanotify", "inotify"):
        of = [number for number, choice in choices.items() if choice.backend == name]
        of += left if name == "inotify" else []
        if not of:
            continue
        these = [volumes[number] for number in of]
        try:
            source: Source = (
                FanotifySource(these) if name == "fanotify" else InotifySource(these, alive=alive)
            )
            backend = _Backend(source, of, volumes)
            reports += backend.with_blind(source.start())
            found.append(backend)
        except OSError as error:
            why = f"{name} cannot be used: {error.strerror or error}"
            if name == "fanotify":
                left = of
            else:
                reports += [Coverage(number, "off", unwatched=1, message=why) for number in of]
    return found, reports


def _identity(volume: Volume) -> Identity | None:
    """Return the identity of the directory at a volume's path, which may change without a mount."""
    try:
        status = os.lstat(volume.root)
    except OSError:
        return None
    return Identity(status.st_dev, status.st_ino)


def _renewed(
    changed: Sequence[int], backends: Sequence[_Backend], message: str
) -> list[WatchReport]:
    reports: list[WatchReport] = []
    for number in changed:
        for backend in backends:
            reports += backend.rewatch(number)
        reports.append(Lost(number, b"", "mount", message))
    return reports
