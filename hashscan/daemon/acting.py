"""The process that acts: moving a large match takes minutes, and the daemon answers meanwhile.

One match at a time, as everywhere: the quarantine has one lock. Whatever kills the process leaves
the file in one place with its record, and the next start finishes or undoes what was begun.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import time
from typing import TYPE_CHECKING

from hashscan.model import Acted
from hashscan.process import end, end_with

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

    from hashscan.model import Actor, Confirmed

#: Seconds between two signs of life while a match is acted on.
_TICK = 0.2
#: Seconds for which nothing is tried where another process works in the quarantine.
_BUSY = 5.0
_DIED = "the process that moves files died; see the kernel's log (out of memory?)"


class ActingProcess:
    """Another actor (``model.Actor``), in a process of its own."""

    def __init__(
        self, actor: Actor, *, tick: Callable[[bool], None], before_fork: Callable[[], None]
    ) -> None:
        """Start the process.

        ``tick`` is called several times a second while an action lasts, with whether it goes on;
        what it raises ends the waiting, and ``close`` then ends the action. ``before_fork``: see
        ``scan.pool``.
        """
        self._actor = actor
        self._tick = tick
        self._before_fork = before_fork
        self._busy_until = 0.0
        self._busy: Acted | None = None
        self._start()

    def _start(self) -> None:
        self._before_fork()
        context = multiprocessing.get_context("fork")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(
            target=_main, args=(os.getpid(), theirs, self._connection, self._actor), daemon=True
        )
        self._process.start()
        theirs.close()

    def act(self, match: Confirmed) -> Acted:
        """Have the match acted on, and wait for it."""
        if self._busy is not None and time.monotonic() < self._busy_until:
            return self._busy
        try:
            self._connection.send(match)
            worked = None
            while not self._connection.poll(_TICK):
                now = _worked(self._process.pid)
                self._tick(now != worked)
                worked = now
            acted: Acted = self._connection.recv()
        except (EOFError, OSError):
            self.close()
            self._start()
            return Acted("reported", message=_DIED, problem="died")
        self._busy = acted if acted.problem == "busy" else None
        self._busy_until = time.monotonic() + _BUSY
        return acted

    def close(self) -> None:
        """End the process."""
        self._connection.close()
        end(self._process)


def _worked(process: int | None) -> list[bytes] | None:
    """What a process has computed so far, in ticks; one that waits for a dead disk stands still."""
    try:
        with open(f"/proc/{process}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[11:13]  # utime, stime: proc(5)
    except OSError:
        return None


def _main(parent: int, connection: Connection, parents: Connection, actor: Actor) -> None:
    end_with(parent)
    parents.close()
    with contextlib.suppress(EOFError, OSError):
        while True:
            connection.send(actor.act(connection.recv()))
