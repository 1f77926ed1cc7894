"""A job in a process of its own: the daemon waits for no network and for no disk."""

from __future__ import annotations

import multiprocessing
import os
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from hashscan.agent.limits import is_limit, limit_reached
from hashscan.errors import HashscanError
from hashscan.process import end, end_with, start
from hashscan.scan.priority import step_aside

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

Result = TypeVar("Result")


class Failure(NamedTuple):
    """Why a job has no result; ``usage``: the same again would fail again."""

    kind: str
    message: str


class Background(Generic[Result]):
    """One job under way.

    Attributes:
        connection: readable when ``take`` has the result.
    """

    def __init__(self, job: Callable[[], Result], *, forks: bool = False) -> None:
        """Start ``job`` in a fork of this process; its result must be picklable.

        ``forks``: it starts processes itself. Then the caller must ``close`` it before it ends.

        Raises:
            HashscanError: a limit of the machine forbids a new process.
        """
        context = multiprocessing.get_context("fork")
        self.connection, theirs = context.Pipe(duplex=False)
        self._process = context.Process(
            target=_main, args=(os.getpid(), theirs, job), daemon=not forks
        )
        try:
            start(self._process)
        except OSError as error:
            if not is_limit(error):
                raise
            raise HashscanError(limit_reached(error)) from error
        theirs.close()

    @property
    def process_id(self) -> int | None:
        """Id of the process."""
        return self._process.pid

    def take(self) -> Result | Failure:
        """The result; waits for it."""
        try:
            result: Result | Failure = self.connection.recv()
        except (EOFError, OSError):
            self._process.join(timeout=2)
            result = Failure(
                "HashscanError",
                f"the process that did it died (exit status {self._process.exitcode}); see the "
                "kernel's log (out of memory?)",
            )
        self.close()
        return result

    def close(self) -> None:
        """End the process, whatever it does."""
        self.connection.close()
        end(self._process)


def _main(parent: int, connection: Connection, job: Callable[[], object]) -> None:
    end_with(parent)
    step_aside()
    try:
        result = job()
    except HashscanError as error:
        result = Failure(type(error).__name__, str(error))
    except Exception as error:  # noqa: BLE001 - told by the daemon
        result = Failure("Exception", f"{type(error).__name__}: {error}")
    connection.send(result)
