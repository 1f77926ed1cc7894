"""Starts and watches the worker processes, and replaces processes that die."""

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

_MOST_FAILED_STARTS = 5  # Number of processes that may die in a row as they start.


class WorkerHandle:
    """Represents a worker process in the engine.

    Attributes:
        tasks: tasks that the process received and has not reported as finished.
        started: the process has sent its first message.
        stalled: the engine killed the process because it gave no sign of life.
    """

    def __init__(self, child: Child) -> None:
        """Make the handle of the worker process ``child``; only ``Pool`` calls this."""
        self.child = child
        self.connection = child.connection
        self.tasks: list[Task] = []
        self.heard = time.monotonic()
        self.started = False
        self.stalled = False


class Pool:
    """Forks the worker processes: the engine has no threads, so a fork copies no held lock."""

    def __init__(
        self,
        settings: WorkerSettings,
        *,
        before_fork: Callable[[], None],
    ) -> None:
        """Start ``settings.options.jobs`` worker processes.

        ``before_fork`` ends the catalog's transaction, which a fork must not copy. SQLite's locks
        belong to a process: a new connection of the child to the same file would treat the locks of
        its parent's transaction as its own.

        Raises:
            OSError: a limit of the kernel forbids more processes.
        """
        self._settings = settings
        self._stall_after = settings.options.stall_after
        self._before_fork = before_fork
        self._links = LinkTable()
        self._copies = copy_table(settings.options.algorithms)
        self._idle = mmap.mmap(-1, mmap.PAGESIZE)
        self._failed_starts = 0
        self.workers: list[WorkerHandle] = []
        try:
            for _ in range(settings.options.jobs):
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
                lowest=self._settings.options.step_aside,
            )
        )

    def idle(self) -> list[WorkerHandle]:
        """Return the worker processes that have no task."""
        return [worker for worker in self.workers if not worker.tasks]

    def tell_idle(self, count: int) -> None:
        """Advertise the number of idle worker processes, so that busy processes hand over work."""
        self._idle[0] = min(count, 255)

    def silent(self, seconds: float) -> set[int]:
        """Return the volumes whose worker processes have given no sign of life for ``seconds``."""
        now = time.monotonic()
        return {
            task.volume
            for worker in self.workers
            if worker.tasks and now - worker.heard > seconds
            for task in worker.tasks[:1]
        }

    def give_up(self, volume: int) -> None:
        """End the worker processes that work on a volume that does not answer."""
        for worker in self.workers:
            if worker.tasks and worker.tasks[0].volume == volume:
                worker.heard = time.monotonic() - self._stall_after

    def give(self, worker: WorkerHandle, tasks: list[Task]) -> None:
        """Give tasks to an idle worker process."""
        worker.tasks = tasks
        worker.heard = time.monotonic()
        # If the process has died, its closed connection shows it, and its tasks are repeated.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            worker.connection.send(tasks)

    def receive(
        self, others: list[Connection], timeout: float
    ) -> Iterator[tuple[WorkerHandle, Message | None] | Connection]:
        """Yield the messages from worker processes that arrive within ``timeout`` seconds.

        The message is ``None`` if the worker process died.

        The handle of a dead process still has its tasks. ``workers`` contains a new process instead
        of the dead process. Readable connections among ``others`` are yielded as well.

        Raises:
            HashscanError: a worker process reports that it cannot work, or several processes die as
                they start.
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
                worker.child.kill()  # The process ends its connection, and is replaced.
            else:
                # The killed process does not end: it waits inside the kernel. Such a process is
                # abandoned.
                yield self._replace(worker), None

    def _replace(self, worker: WorkerHandle) -> WorkerHandle:
        if not worker.stalled:
            # ``end`` would kill a process that is ending by itself, and lose its exit code.
            worker.child.wait(1.0)
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
        """End all worker processes. Work that is not reported yet counts as not done."""
        for worker in self.workers:
            worker.child.kill()  # All processes are killed before the first wait.
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
