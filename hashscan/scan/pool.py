"""The worker processes: started, watched, replaced when they die."""

from __future__ import annotations

import contextlib
import mmap
import time
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING

from hashscan.errors import HashscanError
from hashscan.processes import Child
from hashscan.scan.copies import copy_table
from hashscan.scan.hard_links import LinkTable
from hashscan.scan.messages import Failed
from hashscan.scan.worker import run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hashscan.scan.messages import Message, Task, WorkerSettings

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

    def __init__(self, child: Child) -> None:
        """For ``Pool``."""
        self.child = child
        self.connection = child.connection
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
        before_fork: Callable[[], None],
        stall_after: float = STALL_AFTER,
    ) -> None:
        """Start ``size`` processes.

        ``before_fork`` ends what a fork must not copy: SQLite's locks belong to a process, so that
        a new connection of the child to the same file would take the locks of its parent's
        transaction for its own.

        Raises:
            OSError: the kernel lets no more processes run.
        """
        self._settings = settings
        self._stall_after = stall_after
        self._before_fork = before_fork
        self._links = LinkTable()
        self._copies = copy_table(settings.algorithms)
        self._idle = mmap.mmap(-1, mmap.PAGESIZE)
        self._failed_starts = 0
        self.workers: list[WorkerHandle] = []
        try:
            for _ in range(size):
                self.workers.append(self._start())
        except OSError:
            self.close()
            raise

    def _start(self) -> WorkerHandle:
        self._before_fork()
        return WorkerHandle(
            Child(
                run,
                self._settings,
                self._links,
                self._copies,
                self._idle,
                lowest=self._settings.step_aside,
            )
        )

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
                worker.child.kill()  # then its connection ends, and it is replaced
            else:
                # It does not even die: it waits inside the kernel. Leave it behind.
                yield self._replace(worker), None

    def _replace(self, worker: WorkerHandle) -> WorkerHandle:
        if not worker.stalled:
            worker.child.wait(1.0)  # its own exit code is reported, not the signal's
        worker.child.end()
        self._failed_starts += not worker.started
        if self._failed_starts >= _MOST_FAILED_STARTS:
            raise HashscanError(
                f"worker processes died as they started, {self._failed_starts} times in a row, the "
                f"last with exit status {worker.child.exit_code}; see the kernel's log "
                "(out of memory?), or try with --jobs 1"
            )
        self.workers.remove(worker)
        self.workers.append(self._start())
        return worker

    def close(self) -> None:
        """End all processes. What they had not reported is not done."""
        for worker in self.workers:
            worker.child.kill()  # all of them, before one is waited for
        for worker in self.workers:
            worker.child.end()
        self._links.close()
        if self._copies is not None:
            self._copies.close()
        self._idle.close()


def _error(message: Failed) -> HashscanError:
    import hashscan.errors  # noqa: PLC0415

    kind = getattr(hashscan.errors, message.kind, HashscanError)
    error = kind(message.message)
    return error if isinstance(error, HashscanError) else HashscanError(message.message)
