"""Runs the process that acts on matches, so that the daemon responds during a long move.

The process acts on one match at a time, because the quarantine has one lock. If the process is
killed, the file is still in one place with its record, and the next process finishes or undoes the
move.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from hashscan.model import Acted
from hashscan.processes import Child
from hashscan.text import shown

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

    from hashscan.model import Actor, Confirmed

#: Seconds between two signs of life during an action on a match.
_TICK = 0.2
#: Seconds without CPU use of the process after which the daemon checks whether the volume answers.
_STILL = 30.0
#: Seconds until the next attempt, if another process holds the quarantine's lock.
_BUSY = 5.0
_DIED = "the process that moves files died; see the kernel's log (out of memory?)"


class ActingProcess:
    """Passes matches to another actor (``model.Actor``) in a separate process."""

    def __init__(
        self,
        actor: Actor,
        *,
        tick: Callable[[bool], None],
        before_fork: Callable[[], None],
        is_silent: Callable[[bytes], bool],
        still: float = _STILL,
    ) -> None:
        """Start the process that acts on matches.

        ``tick`` is called several times a second during an action, with whether the action makes
        progress; if ``tick`` raises an error, the waiting ends, and ``close`` then ends the action.
        ``before_fork`` is called before each fork, see ``scan.pool``. ``is_silent`` returns whether
        a volume does not answer. The daemon calls this function after ``still`` seconds without
        progress; if the function returns true, the daemon gives up the action.
        """
        self._actor = actor
        self._tick = tick
        self._before_fork = before_fork
        self._is_silent = is_silent
        self._still = still
        self._busy_until = 0.0
        self._busy: Acted | None = None
        self._start()

    def _start(self) -> None:
        self._before_fork()
        self._child = Child(_main, self._actor)

    def act(self, match: Confirmed) -> Acted:
        """Let the process act on the match, and wait for the result of the action."""
        path = shown(match.candidate.full_path)
        if self._busy is not None and time.monotonic() < self._busy_until:
            return replace(self._busy, message=f"{path}{self._busy.message}")
        try:
            self._child.connection.send(match)
            worked, since = None, time.monotonic()
            while not self._child.connection.poll(_TICK):
                now = cpu_ticks(self._child.pid)
                if now != worked:
                    since = time.monotonic()
                self._tick(now != worked)
                worked = now
                if time.monotonic() - since > self._still:
                    if self._is_silent(match.candidate.volume):
                        return self._given_up(path)
                    since = time.monotonic()  # The volume answers, so only its disk may be slow.
            acted: Acted = self._child.connection.recv()
        except (EOFError, OSError):
            self._start_anew()
            return Acted("reported", message=_DIED, problem="died")
        self._busy = None
        if acted.problem == "locked":
            self._busy = replace(acted, message=acted.message.removeprefix(path))
        self._busy_until = time.monotonic() + _BUSY
        return acted

    def _given_up(self, path: str) -> Acted:
        """Abandon an action on a dead file server; its process keeps the lock until it ends."""
        self._start_anew()
        message = f"{path}: could not be moved to quarantine: its volume does not answer"
        return Acted("reported", message=message, problem="no-answer")

    def _start_anew(self) -> None:
        self.close()
        self._start()

    def close(self) -> None:
        """End the process that acts on matches."""
        self._child.end()


def cpu_ticks(process: int) -> list[bytes] | None:
    """Return a process's CPU time in ticks; it does not grow while it waits for a dead disk."""
    try:
        with open(f"/proc/{process}/stat", "rb") as file:
            # The fields are utime and stime: proc(5).
            return file.read().rpartition(b")")[2].split()[11:13]
    except OSError:
        return None


def _main(connection: Connection, actor: Actor) -> None:
    with contextlib.suppress(EOFError, OSError):
        while True:
            connection.send(actor.act(connection.recv()))
