"""Runs the process that asks the central service, so that a slow service never delays the scan.

The questions need a process rather than a thread of the engine: the engine forks worker processes,
and a fork must not copy a lock that a thread holds.
"""

from __future__ import annotations

import contextlib
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

from hashscan.errors import CredentialsError, HashscanError, OtherMachineError
from hashscan.processes import Child

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

    from hashscan.errors import Fault
    from hashscan.model import Answer, Confirmer, Digest

PARALLEL = 4


class NoAnswer(NamedTuple):
    """Describes why a question to the service got no verdict.

    Attributes:
        message: why the question got no verdict.
        fault: the fault of the service or of the network; ``None``: this machine is at fault.
        is_last: the service refuses hashscan's credentials, so hashscan sends no more questions.
    """

    message: str
    fault: Fault | None = None
    is_last: bool = False


class Reply(NamedTuple):
    """Holds the service's answer to one question, or the reason why the service gave no answer."""

    digest: Digest
    answer: Answer | NoAnswer


class Asker:
    """Asks the service in the background, at most ``PARALLEL`` questions at a time."""

    def __init__(self, make: Callable[[], Confirmer]) -> None:
        """Start the asking process, which calls ``make`` to make its confirmer."""
        self._make = make
        self._asked: set[Digest] = set()
        self._start()

    def _start(self) -> None:
        self._child = Child(_main, self._make)
        self.connection = self._child.connection

    def ask(self, digest: Digest) -> None:
        """Send a question to the asking process; the reply arrives on ``connection``."""
        self._asked.add(digest)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.connection.send(digest)

    def replies(self) -> list[Reply]:
        """Return the replies to questions that have arrived.

        If the asking process has died, each open question gets a reply without an answer, and a new
        asking process starts.
        """
        found: list[Reply] = []
        try:
            while self.connection.poll():
                reply: Reply = self.connection.recv()
                self._asked.discard(reply.digest)
                found.append(reply)
        except (EOFError, OSError):
            self._child.end()
            lost = NoAnswer(
                "the process that asks the service died; see the kernel's log (out of memory?)"
            )
            found.extend(Reply(digest, lost) for digest in self._asked)
            self._asked.clear()
            self._start()
        return found

    def restart(self, make: Callable[[], Confirmer] | None = None) -> list[Reply]:
        """Restart the asking process; ``make``, or else the old ``make``, makes its confirmer.

        Returns:
            a reply without an answer to each question that had no answer yet.
        """
        self.close()
        self._make = make or self._make
        lost = NoAnswer("another known set is asked; it is asked again")
        replies = [Reply(digest, lost) for digest in self._asked]
        self._asked.clear()
        self._start()
        return replies

    def close(self) -> None:
        """End the asking process; questions without a reply get no answer."""
        self._child.end()


def _no_answer(error: Exception) -> NoAnswer:
    fault = error.fault if isinstance(error, OtherMachineError) else None
    return NoAnswer(str(error), fault, isinstance(error, CredentialsError))


def _main(connection: Connection, make: Callable[[], Confirmer]) -> None:
    sending = threading.Lock()

    def made() -> Confirmer | NoAnswer:
        try:
            return make()
        except Exception as error:  # noqa: BLE001 - each question is answered with it
            return _no_answer(error)

    def answer(confirmer: Confirmer, digest: Digest) -> None:
        found: Answer | NoAnswer
        try:
            found = confirmer.confirm(digest)
        except HashscanError as error:
            found = _no_answer(error)
        except Exception as error:  # noqa: BLE001 - an error is never a verdict, whatever it is
            found = NoAnswer(f"{type(error).__name__}: {error}")
        with sending, contextlib.suppress(OSError):
            connection.send(Reply(digest, found))

    threads = ThreadPoolExecutor(PARALLEL)
    confirmer = made()
    with contextlib.suppress(EOFError, OSError):
        while True:
            digest = connection.recv()
            if isinstance(confirmer, NoAnswer):
                # If somebody has just replaced the password, the next try sends the new password.
                confirmer = made()
            if isinstance(confirmer, NoAnswer):
                connection.send(Reply(digest, confirmer))
            else:
                threads.submit(answer, confirmer, digest)
    # The connection ends if the engine has ended. No process reads the answers any more, so the
    # asking process ends without waiting for questions.
    os._exit(0)
