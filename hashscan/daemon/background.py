"""A job in a process of its own: the daemon waits for no network and for no disk."""

from __future__ import annotations

import multiprocessing
import os
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from hashscan.agent.limits import is_limit, limit_reached
from hashscan.errors import HashscanError
from hashscan.priority import step_aside
from hashscan.processes import end, end_with, start

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

Order = TypeVar("Order")
Result = TypeVar("Result")


class Failure(NamedTuple):
    """Why a job has no result; ``kind``: the class of its error."""

    kind: str
    message: str


class Background(Generic[Result]):
    """One job under way.

    Attributes:
        connection: readable when ``take`` has the result.
    """

    def __init__(self, job: Callable[[], Result]) -> None:
        """Start ``job`` in a fork of this process; its result must be picklable.

        The caller must ``close`` this, or ``take`` the result, before it ends.

        Raises:
            HashscanError: a limit of the machine forbids a new process.
        """
        context = multiprocessing.get_context("fork")
        self.connection, theirs = context.Pipe(duplex=False)
        self._process = context.Process(target=_main, args=(os.getpid(), theirs, job))
        _start(self._process)
        theirs.close()

    def take(self) -> Result | Failure:
        """The result; waits for it."""
        result: Result | Failure = _received(self.connection, self._process)
        self.close()
        return result

    def close(self) -> None:
        """End the process, whatever it does."""
        self.connection.close()
        end(self._process)


class Repeated(Generic[Order, Result]):
    """A job that runs repeatedly in one process, which keeps its state between the runs.

    Attributes:
        connection: readable when ``take`` has a result.
    """

    def __init__(self, job: Callable[[Order], Result]) -> None:
        """Start a fork of this process for ``job``; orders and results must be picklable.

        The job may start processes. The caller must ``close`` this before it ends.

        Raises:
            HashscanError: a limit of the machine forbids a new process.
        """
        context = multiprocessing.get_context("fork")
        self.connection, theirs = context.Pipe()
        self._process = context.Process(
            target=_repeat, args=(os.getpid(), theirs, self.connection, job)
        )
        _start(self._process)
        theirs.close()

    @property
    def process_id(self) -> int | None:
        """Id of the process."""
        return self._process.pid

    def give(self, order: Order) -> bool:
        """Run the job once; return False if the process has ended."""
        try:
            self.connection.send(order)
        except OSError:
            return False
        return True

    def take(self) -> Result | Failure:
        """The result; waits for it. After a failure the process must be closed."""
        result: Result | Failure = _received(self.connection, self._process)
        return result

    def close(self) -> None:
        """End the process, whatever it does."""
        self.connection.close()
        end(self._process)


def _repeat(
    parent: int, connection: Connection, parents: Connection, job: Callable[[Any], object]
) -> None:
    end_with(parent)
    parents.close()
    step_aside()
    with suppress(EOFError, OSError):
        while True:
            connection.send(_result(partial(job, connection.recv())))


def _main(parent: int, connection: Connection, job: Callable[[], object]) -> None:
    end_with(parent)
    step_aside()
    connection.send(_result(job))


def _result(job: Callable[[], object]) -> object:
    try:
        return job()
    except HashscanError as error:
        return Failure(type(error).__name__, str(error))
    except Exception as error:  # noqa: BLE001 - told by the daemon
        return Failure("Exception", f"{type(error).__name__}: {error}")


def _start(process: BaseProcess) -> None:
    try:
        start(process)
    except OSError as error:
        if not is_limit(error):
            raise
        raise HashscanError(limit_reached(error)) from error


def _received(connection: Connection, process: BaseProcess) -> Any:
    try:
        return connection.recv()
    except (EOFError, OSError):
        process.join(timeout=2)
        return Failure(
            "HashscanError",
            f"the process that did it died (exit status {process.exitcode}); see the kernel's log"
            " (out of memory?)",
        )
