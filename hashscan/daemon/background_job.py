"""Runs a job in a separate process, so that the daemon waits neither for the network nor a disk."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from hashscan.errors import HashscanError
from hashscan.jobs.machine_limits import is_limit, limit_reached
from hashscan.processes import Child

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

Order = TypeVar("Order")
Result = TypeVar("Result")
Job = TypeVar("Job", bound="Callable[..., object]")


class Failure(NamedTuple):
    """Holds the reason why a job has no result. ``kind`` is the class of the job's error."""

    kind: str
    message: str


class Background(Generic[Result]):
    """Runs one job of the daemon in a separate process.

    Attributes:
        connection: readable when ``take`` can return the job's result.
    """

    def __init__(self, job: Callable[[], Result]) -> None:
        """Start ``job`` in a fork of this process; the job's result must be picklable.

        The caller must ``close`` this job, or ``take`` its result, before the caller ends.

        Raises:
            HashscanError: a limit of the machine forbids a new process.
        """
        self._child = _child(_run, job)
        self.connection = self._child.connection

    def take(self) -> Result | Failure:
        """Wait for the job's result and return it."""
        result: Result | Failure = _received(self._child)
        self.close()
        return result

    def close(self) -> None:
        """End the job's process, even if the job is not finished."""
        self._child.end()


class Repeated(Generic[Order, Result]):
    """Runs a job of the daemon repeatedly in one process, which keeps its state between the runs.

    Attributes:
        connection: readable when ``take`` can return the result of a run.
    """

    def __init__(self, job: Callable[[Order], Result]) -> None:
        """Fork a process that runs ``job`` repeatedly; orders and results must be picklable.

        The job itself may start processes. The caller must ``close`` this job before the caller
        ends.

        Raises:
            HashscanError: a limit of the machine forbids a new process.
        """
        self._child = _child(_repeat, job)
        self.connection = self._child.connection

    @property
    def process_id(self) -> int:
        """Return the id of the job's process."""
        return self._child.pid

    def give(self, order: Order) -> bool:
        """Run the job once; return False if the job's process has ended."""
        try:
            self.connection.send(order)
        except OSError:
            return False
        return True

    def take(self) -> Result | Failure:
        """Wait for the result of a run and return it. After a failure the caller must ``close``."""
        result: Result | Failure = _received(self._child)
        return result

    def close(self) -> None:
        """End the job's process, even if a run is not finished."""
        self._child.end()


def _repeat(connection: Connection, job: Callable[[Any], object]) -> None:
    with suppress(EOFError, OSError):
        while True:
            connection.send(_result(partial(job, connection.recv())))


def _run(connection: Connection, job: Callable[[], object]) -> None:
    connection.send(_result(job))


def _result(job: Callable[[], object]) -> object:
    try:
        return job()
    except HashscanError as error:
        return Failure(type(error).__name__, str(error))
    except Exception as error:  # noqa: BLE001 - the daemon reports it
        return Failure("Exception", f"{type(error).__name__}: {error}")


def _child(main: Callable[[Connection, Job], None], job: Job) -> Child:
    try:
        return Child(main, job, lowest=True)
    except OSError as error:
        if not is_limit(error):
            raise
        raise HashscanError(limit_reached(error)) from error


def _received(child: Child) -> Any:
    try:
        return child.connection.recv()
    except (EOFError, OSError):
        child.wait(2.0)
        return Failure(
            "HashscanError",
            f"the process that did it died (exit status {child.exit_code}); see the kernel's log"
            " (out of memory?)",
        )
