"""The worker processes: started, watched, replaced when they die."""

from __future__ import annotations

import contextlib
import mmap
import multiprocessing
import os
import time
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING

from hashscan.errors import HashscanError
from hashscan.priority import step_aside
from hashscan.processes import end, end_with, start
from hashscan.scan.copies import copy_table
from hashscan.scan.links import LinkTable
from hashscan.scan.work import Failed
from hashscan.scan.worker import run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.context import ForkProcess

    from hashscan.scan.copies import CopyTable
    from hashscan.scan.work import Message, Task, WorkerSettings

#: Seconds without any sign of life after which a process is taken for stuck (a dead file server).
STALL_AFTER = 300.0
_MOST_FAILED_STARTS = 5  # in a row


class WorkerHandle:
    """A worker process as the engine sees it.

    Attributes:
        tasks: what it was given and has not reported as done.
        started: it has said something.
        stalled: it was killed because it gave no sign of life.
    """

    def __init__(self, process: ForkProcess, connection: Connection) -> None:
        """For ``Pool``."""
        self.process = process
        self.connection = connection
        self.tasks: list[Task] = []
        self.heard = time.monotonic()
        self.started = False
        self.stalled = False


class Pool:
    """Worker processes by fork: the engine has no threads, so a fork copies no held lock."""

    def __init__(
        self,
        size: int,
        settings: WorkerSettings,
        *,
        others: list[Connection],
        before_fork: Callable[[], None],
        stall_after: float = STALL_AFTER,
    ) -> None:
        """Start ``size`` processes.

        ``others`` are connections that they must not keep open. ``before_fork`` ends what a fork
        must not copy: SQLite's locks belong to a process, so that a new connection of the child
        to the same file would take the locks of its parent's transaction for its own.

        Raises:
            OSError: the kernel lets no more processes run.
        """
        self._settings = settings
        self._stall_after = stall_after
        self._others = others
        self._before_fork = before_fork
        self._context = multiprocessing.get_context("fork")
        self._links = LinkTable()
        self._copies = copy_table(settings.algorithms)
        self._idle = mmap.mmap(-1, mmap.PAGESIZE)
        self._failed_starts = 0
        self.workers: list[WorkerHandle] = []
        for _ in range(size):
            self.workers.append(self._start())

    def _start(self) -> WorkerHandle:
        self._before_fork()
        ours, theirs = self._context.Pipe()
        # The fork copies the engine's ends of all pipes. While a process holds one, the process at
        # the other end does not hear that the engine has gone.
        engines = [ours, *self._others, *(worker.connection for worker in self.workers)]
        process = self._context.Process(
            target=_main,
            args=(
                os.getpid(),
                theirs,
                engines,
                self._settings,
                self._links,
                self._copies,
                self._idle,
            ),
            daemon=True,
        )
        start(process)
        theirs.close()
        return WorkerHandle(process, ours)

    def idle(self) -> list[WorkerHandle]:
        """Processes that have nothing to do."""
        return [worker for worker in self.workers if not worker.tasks]

    def tell_idle(self, count: int) -> None:
        """Let busy processes know how many have nothing to do, so that they give work away."""
        self._idle[0] = min(count, 255)

    def silent(self, seconds: float) -> set[int]:
        """Volumes at which processes work that have given no sign of life for so long."""
        now = time.monotonic()
        return {
            task.volume
            for worker in self.workers
            if worker.tasks and now - worker.heard > seconds
            for task in worker.tasks[:1]
        }

    def give_up(self, volume: int) -> None:
        """End the processes that work at a volume which does not answer."""
        for worker in self.workers:
            if worker.tasks and worker.tasks[0].volume == volume:
                worker.heard = time.monotonic() - self._stall_after

    def give(self, worker: WorkerHandle, tasks: list[Task]) -> None:
        """Give tasks to a process that has none."""
        worker.tasks = tasks
        worker.heard = time.monotonic()
        # A process that died is noticed by its connection, with its tasks.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            worker.connection.send(tasks)

    def receive(
        self, others: list[Connection], timeout: float
    ) -> Iterator[tuple[WorkerHandle, Message | None] | Connection]:
        """What was said within ``timeout`` seconds; ``None`` from a process that has died.

        A dead process's tasks are in its handle, which has left ``workers``; a new one is there.

        Raises:
            HashscanError: a process cannot work at all, or they die one after the other.
        """
        by_connection = {worker.connection: worker for worker in self.workers}
        for ready in wait([*by_connection, *others], timeout):
            if not isinstance(ready, Connection):
                continue
            worker = by_connection.get(ready)
            if worker is None:
                yield ready
                continue
            try:
                message: Message = ready.recv()
            except (EOFError, OSError):
                yield self._replace(worker), None
                continue
            worker.heard = time.monotonic()
            worker.started = True
            self._failed_starts = 0
            if isinstance(message, Failed):
                raise _error(message)
            yield worker, message
        yield from self._abandon_stalled()

    def _abandon_stalled(self) -> Iterator[tuple[WorkerHandle, None]]:
        now = time.monotonic()
        for worker in list(self.workers):
            if not worker.tasks or now - worker.heard < self._stall_after:
                continue
            if not worker.stalled:
                worker.stalled = True
                worker.heard = now - self._stall_after + 5
                worker.process.kill()  # then its connection ends, and it is replaced
            else:
                # It does not even die: it waits inside the kernel. Leave it behind.
                yield self._replace(worker), None

    def _replace(self, worker: WorkerHandle) -> WorkerHandle:
        worker.connection.close()
        worker.process.join(timeout=1)
        self._failed_starts += not worker.started
        if self._failed_starts >= _MOST_FAILED_STARTS:
            raise HashscanError(
                f"worker processes died as they started, {self._failed_starts} times in a row, the "
                f"last with exit status {worker.process.exitcode}; see the kernel's log "
                "(out of memory?), or try with --jobs 1"
            )
        if not worker.process.is_alive():
            worker.process.close()
        self.workers.remove(worker)
        self.workers.append(self._start())
        return worker

    def close(self) -> None:
        """End all processes. What they had not reported is not done."""
        for worker in self.workers:
            worker.connection.close()
            worker.process.kill()
        for worker in self.workers:
            end(worker.process)
        self._links.close()
        if self._copies is not None:
            self._copies.close()
        self._idle.close()


def _main(
    parent: int,
    connection: Connection,
    engines: list[Connection],
    settings: WorkerSettings,
    links: LinkTable,
    copies: CopyTable | None,
    idle: mmap.mmap,
) -> None:
    end_with(parent)
    for one in engines:
        one.close()
    if settings.step_aside:
        step_aside()
    run(connection, settings, links, copies, idle)


def _error(message: Failed) -> HashscanError:
    import hashscan.errors  # noqa: PLC0415

    kind = getattr(hashscan.errors, message.kind, HashscanError)
    error = kind(message.message)
    return error if isinstance(error, HashscanError) else HashscanError(message.message)
