"""Runs the worker process, which lists directories, hashes changed files, and asks the filters.

A worker process reads the catalog and writes nothing. For each task, the worker opens the directory
by descriptor, from the volume's root. Therefore a task is safe even if its path is not valid any
more.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

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
from hashscan.fs.reading import CacheNeutralReader
from hashscan.fs.volume import Roots
from hashscan.machine import as_machine_error, with_cause
from hashscan.model import Problem, Skipped
from hashscan.scan.changed_entries import ChangedEntries
from hashscan.scan.directory_task import DirectoryTask, Tools
from hashscan.scan.file_hasher import FileHasher
from hashscan.scan.findings import STORAGE_PROBLEMS, count_not_hashed
from hashscan.scan.hashing import NotHashed, outcome_of_error
from hashscan.scan.lost_directories import fate_of
from hashscan.scan.lost_files import LostFiles
from hashscan.scan.messages import Alive, Failed, Findings, Job, Message, Task, WorkerSettings
from hashscan.scan.outbox import FindingsOutbox, nothing
from hashscan.scan.screening import Filters, Screen
from hashscan.scan.throttle import Pace
from hashscan.scan.unchanged_files import UnchangedFiles
from hashscan.scan.volume_root import VanishedError, VolumeRoot

if TYPE_CHECKING:
    import mmap
    from collections.abc import Callable
    from multiprocessing.connection import Connection

    from hashscan.scan.copies import CopyTable
    from hashscan.scan.hard_links import LinkTable


class Worker:
    """Opens volumes and directories in a worker process, and does its tasks, one at a time."""

    def __init__(
        self,
        settings: WorkerSettings,
        links: LinkTable,
        copies: CopyTable | None,
        idle: mmap.mmap,
        send: Callable[[Message], None],
    ) -> None:
        """Open the catalog for reading.

        Args:
            settings: settings of the scan.
            links: table of hard-linked inodes, shared with the other processes.
            copies: table of copied contents, shared with the other processes; ``None``: there is no
                table.
            idle: one byte in shared memory with the number of idle worker processes.
            send: function that sends a message to the engine.

        Raises:
            HashscanError: the catalog cannot be opened or read.
        """
        options = settings.options
        self._outbox = outbox = FindingsOutbox(send, idle)
        self._roots = [
            VolumeRoot(volume, number, options.identities.get(volume.root))
            for volume, number in zip(options.volumes, settings.roots, strict=True)
        ]
        self._opened: list[VolumeRoot] = []
        self._all_roots = Roots(one.root for one in (*options.volumes, *options.others))
        self._volume = -1
        catalog = CatalogReader(settings.catalog)
        filters = Filters(options.filters)
        # A full scan hashes every file.
        screen = Screen(() if options.full else options.filters)
        unchanged = UnchangedFiles(settings, catalog, filters, screen)
        reader = CacheNeutralReader()

        def tools(pace: Pace) -> Tools:
            hasher = FileHasher(
                settings,
                catalog,
                links,
                copies,
                screen=screen,
                reader=reader,
                pace=pace,
                outbox=outbox,
            )
            return Tools(settings, catalog, unchanged, filters, screen, hasher, outbox)

        self._bulk = tools(
            Pace(
                options.max_rate,
                options.pause_above_io_pressure,
                max_files=options.max_files,
                turns=options.turns,
                alive=outbox.show_life,
            )
        )
        # Changed small files are checked even if the disks are busy or many files are waiting.
        self._at_once = tools(
            Pace(options.max_rate, None, turns=options.turns, alive=outbox.show_life)
        )

    def flush(self) -> None:
        """Send the findings of the running task that are not sent yet."""
        self._outbox.flush()

    def do(self, task: Task) -> None:
        """Do a task's job, and send the findings to the engine."""
        root = self._roots[task.volume]
        if task.volume != self._volume:
            # If this process hangs, the engine must know on which volume.
            self._volume = task.volume
            self._outbox.flush()
        if task.job is Job.CHECK:
            self._outbox.put(Findings(task.group, vanished=root.why_vanished(), done=True))
            return
        if task.job is Job.SEARCH:
            self._outbox.put(self._search(task))
            return
        try:
            self._open_root(root)
            fd = self._open(root, task.path)
        except VanishedError as error:
            self._outbox.put(Findings(task.group, vanished=str(error), done=True))
            return
        except OSError as error:
            self._outbox.put(self._unopened(task, error))
            return
        tools = self._at_once if task.look and not task.large else self._bulk
        kind = DirectoryTask
        if task.look:
            kind = ChangedEntries
        elif task.job is Job.FOLLOW:
            kind = LostFiles
        work = kind(tools, task, root, fd)
        self._outbox.gather = work.send_findings
        try:
            work.run()
        except OSError as error:
            # The task's directory cannot be read, e.g. a file server has lost it.
            work.fail(outcome_of_error(error))
        finally:
            self._outbox.gather = nothing
            os.close(fd)

    def rest(self) -> None:
        """Close the volumes' roots until the next task."""
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
        """Return the findings of a directory that cannot be opened: one outcome for each entry."""
        findings = Findings(task.group, done=True)
        names = [name for name, _ in task.names or ((b"", 0),)]
        if isinstance(error, CrossesMountError):
            outcome = NotHashed(Skipped.OTHER_FILESYSTEM)
        elif isinstance(error, LoopError):
            outcome = NotHashed(Skipped.LOOP)
        else:
            outcome = outcome_of_error(error)
            if task.look and outcome.reason in {Skipped.VANISHED, Problem.CHANGED}:
                # The watch also reports the directory's new name.
                outcome = NotHashed(Skipped.VANISHED)
            elif outcome.reason is Skipped.VANISHED:
                findings.unopened = tuple(names)
                return findings
        for name in names:
            count_not_hashed(findings, name, outcome)
        return findings

    def _search(self, task: Task) -> Findings:
        """Find what happened to subdirectories that were gone when a worker tried to list them."""
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


def run(
    connection: Connection,
    settings: WorkerSettings,
    links: LinkTable,
    copies: CopyTable | None,
    idle: mmap.mmap,
) -> None:
    """Run a worker process: do tasks until the engine closes the connection."""
    try:
        ignore_lease_breaks()
        worker = Worker(settings, links, copies, idle, connection.send)
        # A first message lets the engine distinguish a failed start from a fatal task.
        connection.send(Alive(0))
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
