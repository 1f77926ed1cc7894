"""What a worker process does: list a directory, hash what changed, ask the filters.

It reads the catalog and writes nothing. It opens a directory from the volume's root for each task,
by descriptor, so that nothing it was told about a path has to be true any more.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, cast

from hashscan.catalog.reader import CatalogReader
from hashscan.errors import HashscanError
from hashscan.fs.beneath import (
    CrossesMountError,
    LoopError,
    closing,
    open_directory,
)
from hashscan.fs.listing import names_of
from hashscan.fs.racy import ignore_lease_breaks
from hashscan.fs.reading import identity_in, stamp_of
from hashscan.fs.volume import Roots
from hashscan.machine import as_machine_error, with_cause
from hashscan.model import ALGORITHMS, FileDigests, Problem, Skipped, hits
from hashscan.scan.directory import DirectoryPart
from hashscan.scan.hashing import Hashed, Hasher, Linked, NotHashed, outcome_of_error
from hashscan.scan.look import Look
from hashscan.scan.lost import fate_of
from hashscan.scan.outcomes import STORAGE_PROBLEMS, count_not_hashed
from hashscan.scan.pace import Pace
from hashscan.scan.part import PART_FILES
from hashscan.scan.quick import EACH, QuickHasher
from hashscan.scan.root import VanishedError, VolumeRoot
from hashscan.scan.screening import Screen
from hashscan.scan.work import Alive, At, Failed, Findings, Job, Message, Task, WorkerSettings

if TYPE_CHECKING:
    import mmap
    from collections.abc import Callable, Sequence
    from multiprocessing.connection import Connection

    from hashscan.catalog.rows import RawRow
    from hashscan.model import FilterHit
    from hashscan.scan.copies import CopyTable
    from hashscan.scan.links import LinkTable

#: Seconds after which findings are sent although there are few.
_SEND_AFTER = 0.2
_ALIVE_AFTER = 1.0
#: Where a row's digests begin.
_FIRST_DIGEST = 6


class Worker:
    """Does tasks, one at a time.

    Attributes:
        screen: rules files out.
    """

    def __init__(
        self,
        settings: WorkerSettings,
        links: LinkTable,
        copies: CopyTable | None,
        idle: mmap.mmap,
        send: Callable[[Message], None],
    ) -> None:
        """Open the catalog.

        Args:
            settings: of the scan.
            links: shared with the other processes.
            copies: shared with the other processes.
            idle: one shared byte: how many processes have nothing to do.
            send: to the engine.

        Raises:
            HashscanError: the catalog cannot be used.
        """
        self._settings = settings
        self._links = links
        self._idle = idle
        self._send = send
        self._roots = [
            VolumeRoot(volume, number, settings.identities.get(volume.root))
            for volume, number in zip(settings.volumes, settings.roots, strict=True)
        ]
        self._opened: list[VolumeRoot] = []
        self._all_roots = Roots(one.root for one in (*settings.volumes, *settings.others))
        self._catalog = CatalogReader(settings.catalog)
        self._filters = settings.filters
        self._questions = [
            (one, [number for number, name in enumerate(ALGORITHMS) if name in one.algorithms])
            for one in settings.filters
        ]
        self._bulk = self._pace = Pace(
            settings.max_rate,
            settings.pause_above_io_pressure,
            max_files=settings.max_files,
            turns=settings.turns,
            alive=lambda: self._show_life(0),
        )
        # A small file that changed is looked at whatever the disks do, and however many there are.
        self._at_once = Pace(
            settings.max_rate, None, turns=settings.turns, alive=lambda: self._show_life(0)
        )

        # Who asks for every file to be hashed gets just that.
        self.screen = Screen(() if settings.full else settings.filters)
        self._hasher = Hasher(
            settings.algorithms,
            max_file_size=settings.max_file_size,
            on_bytes=self._on_bytes,
            screen=self.screen,
        )
        self._quick = QuickHasher(
            self._hasher, judged=settings.judged, scan=settings.scan, copies=copies
        )
        self._part: DirectoryPart | None = None
        self._unsent: list[Findings] = []
        self._unsent_count = 0
        self._last_sent = time.monotonic()
        self._last_alive = self._last_sent
        self._bytes_since = 0
        self._volume = -1

    def _on_bytes(self, count: int) -> None:
        if self._pace.bounds:
            self._pace(count)
        self._show_life(count)

    def _show_life(self, count: int) -> None:
        self._bytes_since += count
        now = time.monotonic()
        if now - self._last_alive >= _ALIVE_AFTER:
            self._send(Alive(self._bytes_since))
            self._bytes_since = 0
            self._last_alive = now
            # What was found before a long read must not wait for its end.
            if self._part is not None:
                self._part.send_findings()
            self.flush()

    def _put(self, findings: Findings) -> None:
        self._unsent.append(findings)
        self._unsent_count += 1 + len(findings.rows) + len(findings.problems) + len(findings.gone)
        if self._unsent_count >= PART_FILES or time.monotonic() - self._last_sent >= _SEND_AFTER:
            self.flush()

    def flush(self) -> None:
        """Send what was found and not yet sent."""
        if self._unsent:
            self._send(self._unsent)
            self._unsent = []
            self._unsent_count = 0
            self._bytes_since = 0
            self._last_sent = self._last_alive = time.monotonic()

    def do(self, task: Task) -> None:
        """Do a task's job, and send the findings."""
        root = self._roots[task.volume]
        if task.volume != self._volume:
            # If this process hangs, the engine must know at which volume.
            self._volume = task.volume
            self.flush()
        if task.job is Job.CHECK:
            self._put(Findings(task.group, vanished=root.why_vanished(), done=True))
            return
        if task.job is Job.SEARCH:
            self._put(self._search(task))
            return
        self._pace = self._at_once if task.look and not task.large else self._bulk
        try:
            self._open_root(root)
            fd = self._open(root, task.path)
        except VanishedError as error:
            self._put(Findings(task.group, vanished=str(error), done=True))
            return
        except OSError as error:
            self._put(self._unopened(task, error))
            return
        part = self._part = (Look if task.look else DirectoryPart)(self, task, root, fd)
        try:
            if isinstance(part, Look):
                part.look(task.names or ())
            elif task.job is Job.FOLLOW:
                part.follow(task.names or ())
            elif task.names is None:
                part.list_directory()
            else:
                part.hash_names(task.names)
        except OSError as error:
            # An error of the directory itself, e.g. of a file server that has lost it.
            part.fail(outcome_of_error(error))
        finally:
            self._part = None
            os.close(fd)

    def rest(self) -> None:
        """Close the volumes until there is something to do."""
        while self._opened:
            self._opened.pop().close()

    def _open_root(self, root: VolumeRoot) -> None:
        if root.fd >= 0:
            return
        root.open()
        self._opened.append(root)
        root.find_others(self._all_roots)

    def _open(self, root: VolumeRoot, path: bytes) -> int:
        for attempt in range(3):
            try:
                return open_directory(root.fd, path, cross_mounts=not root.one_file_system)
            except (CrossesMountError, LoopError, FileNotFoundError):
                raise
            except OSError as error:
                if attempt == 2 or outcome_of_error(error).reason is not Problem.CHANGED:
                    raise
        raise AssertionError

    def _unopened(self, task: Task, error: OSError) -> Findings:
        """What a directory that cannot be opened comes to: one entry of its own."""
        findings = Findings(task.group, done=True)
        names = [name for name, _ in task.names or ((b"", 0),)]
        if isinstance(error, CrossesMountError):
            outcome = NotHashed(Skipped.OTHER_FILESYSTEM)
        elif isinstance(error, LoopError):
            outcome = NotHashed(Skipped.LOOP)
        else:
            outcome = outcome_of_error(error)
            if task.look and outcome.reason in {Skipped.VANISHED, Problem.CHANGED}:
                # What the directory was renamed to is told of by itself.
                outcome = NotHashed(Skipped.VANISHED)
            elif outcome.reason is Skipped.VANISHED:
                findings.unopened = tuple(names)
                return findings
        for name in names:
            count_not_hashed(findings, name, outcome)
        return findings

    def _search(self, task: Task) -> Findings:
        """The fates of subdirectories that were gone when they were to be listed."""
        findings = Findings(task.group, done=True)
        names = task.names or ()
        root = self._roots[task.volume]
        try:
            self._open_root(root)
            with closing(self._open(root, task.path)) as fd:
                status = os.fstat(fd)
                if task.inode and status.st_dev == root.device and status.st_ino != task.inode:
                    return findings
                now = names_of(fd, {inode for _, inode in names}, only_directories=True)
        except VanishedError as error:
            findings.vanished = str(error)
            return findings
        except OSError as error:
            outcome = outcome_of_error(error)
            if outcome.reason not in {Skipped.VANISHED, Problem.CHANGED}:
                findings.why_unknown = error.strerror or str(error)
            findings.unread = outcome.reason in STORAGE_PROBLEMS
            return findings
        findings.fates = tuple(fate_of(name, now.get(inode)) for name, inode in names)
        return findings

    # For DirectoryPart

    @property
    def settings(self) -> WorkerSettings:
        """Of the scan."""
        return self._settings

    @property
    def catalog(self) -> CatalogReader:
        """To look files up."""
        return self._catalog

    def is_own(self, status: os.stat_result) -> bool:
        """Whether a directory is hashscan's: its state, or a place for files on their way.

        Nobody else can make a directory that belongs to the agent with this mode, so a customer
        cannot hide anything below one of this name.
        """
        return identity_in(status) in self._settings.own

    def is_other_volume(self, root: VolumeRoot, status: os.stat_result) -> bool:
        """Whether a directory below one volume is the root of another that is scanned too."""
        return identity_in(status) in root.others

    def judge(self, digests: FileDigests) -> tuple[FilterHit, ...]:
        """Ask the filters."""
        for one, wanted in self._questions:
            for algorithm in wanted:
                raw = digests[algorithm]
                if raw is not None and raw.hex() in one:
                    return hits(self._filters, digests)
        return ()  # as nearly always: nothing was made for it

    def hash(self, directory: int, name: bytes) -> Hashed | NotHashed:
        """Hash a file."""
        if self._pace.bounds:
            self._pace.file()
        return self._hasher.hash(directory, name)

    def hash_ordinary(
        self,
        directory: int,
        names: Sequence[tuple[bytes, int]],
        start: int,
        root: VolumeRoot,
        most_bytes: int,
    ) -> tuple[int, int]:
        """Hash files that nothing is special about, see ``QuickHasher.run``."""
        pace = self._pace

        def paced(count: int) -> None:
            pace.file()
            self._on_bytes(count)

        return self._quick.run(
            directory,
            names,
            start,
            root=root.row_device,
            most_bytes=most_bytes,
            on_bytes=paced if pace.bounds else self._show_life,
            each=1 if pace.bounds else EACH,
        )

    def take_ordinary(self) -> tuple[list[RawRow], list[int], set[int]]:
        """Rows of ``hash_ordinary``, the files' owners, and the numbers of those that hit."""
        rows, owners = self._quick.take()
        found: set[int] = set()
        if rows:
            for one, wanted in self._questions:
                for algorithm in wanted:
                    digests = [row[_FIRST_DIGEST + algorithm] for row in rows]
                    if self.screen.heads:
                        hashed = [number for number, raw in enumerate(digests) if raw is not None]
                        digests = [digests[number] for number in hashed]
                        hit = one.among(cast("list[bytes]", digests))
                        found.update(hashed[number] for number in hit)
                    else:
                        found.update(one.among(cast("list[bytes]", digests)))
        return rows, owners, found

    def hash_single(self, directory: int, name: bytes) -> Hashed | NotHashed | Linked:
        """Hash a file, unless its inode has other names."""
        if self._pace.bounds:
            self._pace.file()
        return self._hasher.hash_single(directory, name)

    def hash_link(
        self, directory: int, name: bytes, status: os.stat_result, device: int
    ) -> Hashed | NotHashed:
        """Hash a file whose inode has other names, unless it was hashed by one of them."""
        stamp = stamp_of(status)
        try:
            with self._links.claim(identity_in(status), lambda: self._show_life(0)) as place:
                found = place.get(stamp)
                if found is None and not self._settings.full:
                    row = self._catalog.linked(device, status.st_ino, stamp)
                    found = (row.digests, False) if row else None
                if found is not None and self.has_all(found[0]):
                    return Hashed(status, found[0], 0, racy=found[1])
                result = self.hash(directory, name)
                if isinstance(result, Hashed) and result.head is None:
                    place.put(stamp_of(result.status), result.digests, racy=result.racy)
                return result
        except TimeoutError:
            return self.hash(directory, name)

    def has_all(self, digests: FileDigests) -> bool:
        """Whether digests are there for all algorithms that this scan needs."""
        return all(
            digest is not None or name not in self._settings.algorithms
            for name, digest in zip(FileDigests._fields, digests, strict=True)
        )

    def listed(self) -> None:
        """Step aside where the disks are busy; called once for some entries of a directory."""
        if self._pace.bounds:
            self._pace.listed()
        self._show_life(0)

    def put(self, findings: Findings) -> None:
        """Send findings, now or soon."""
        self._put(findings)

    def announce(self, task: Task, name: bytes) -> None:
        """Say which name comes next, in a task over which a process died."""
        self._send(At(task.group, name))

    def may_give(self) -> bool:
        """Whether a process has nothing to do; it is then taken for busy."""
        if self._idle[0]:
            self._idle[0] = 0
            return True
        return False


def run(
    connection: Connection,
    settings: WorkerSettings,
    links: LinkTable,
    copies: CopyTable | None,
    idle: mmap.mmap,
) -> None:
    """A worker process: do tasks until the engine closes the connection."""
    try:
        ignore_lease_breaks()
        worker = Worker(settings, links, copies, idle, connection.send)
        connection.send(Alive(0))  # the engine tells a start that failed from a task that kills
        while True:
            tasks: list[Task] = connection.recv()
            for task in tasks:
                worker.do(task)
            worker.rest()
            worker.flush()
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
    except HashscanError as error:
        connection.send(Failed(type(error).__name__, with_cause(error)))
    except (OSError, MemoryError) as error:
        machine = as_machine_error(error)
        connection.send(Failed("MachineError" if machine else "StateError", str(machine or error)))
