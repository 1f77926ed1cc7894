"""Processes that check whether volumes are there: a dead file server never answers.

Neither the daemon nor a command touches a volume before such a process has found it. The volumes of
one server share a process, so that thousands of volumes on a server that does not answer cost one
process; all volumes on local file systems share another.
"""

from __future__ import annotations

import os
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import TYPE_CHECKING

from hashscan.errors import UnsafePathError
from hashscan.fs.named import resolve
from hashscan.jobs.machine_limits import is_limit, limit_reached
from hashscan.jobs.volume_presence import Seen, look_at
from hashscan.processes import Child
from hashscan.text import said_by
from hashscan.watch.mounts import MountTable, mounts_now

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence
    from multiprocessing.connection import Connection

    from hashscan.watch.mounts import Reach

#: Seconds within which a volume must answer; longer than a busy disk takes.
ANSWER_WITHIN = 20.0
#: Seconds that the daemon's start waits for slow servers with many volumes.
_ALL_WITHIN = 60.0
#: Seconds until a process that hangs is abandoned and replaced.
_ASK_ANEW = 600.0
#: Processes at a time, including those that hang and were abandoned.
_MOST_PROCESSES = 50
#: ... and as many more for local file systems.
_LOCAL = 10
#: Seconds for which a table of mounts is used.
_MOUNTS_FOR = 1.0
#: Seconds until the next attempt to start a process, if a limit forbids it.
_TRY_AGAIN = 5.0
#: Volumes that a process gets at a time, and seconds after which it sends its results.
_BATCH, _TELL_AFTER = 256, 0.1
NO_ANSWER = "its file system does not answer (a dead file server?)"
_NOT_YET = "its file server has not answered yet"
_TOO_MANY = (
    "it was not checked, because {} processes wait for other file servers that do not answer; "
    "unmount those, or remove their volumes from the configuration"
)


def _look_at(path: str, mounts: MountTable | None) -> Seen:
    try:
        return look_at(os.fsencode(resolve(path)), mounts)
    except UnsafePathError as error:
        return Seen(os.fsencode(os.path.normpath(path)), str(error), refused=True)


class _Prober:
    """A process that checks volumes, one after the other."""

    def __init__(self, server: bytes, paths: Sequence[str]) -> None:
        """Start it.

        Raises:
            OSError: a limit of the system forbids it.
        """
        self.server = server
        self._child = Child(_main, paths, lowest=True)
        self.connection = self._child.connection
        #: Volumes that it still has to check, in its order; and when the check of the first began.
        self.given: dict[int, None] = {}
        self.since = time.monotonic()
        #: The mount for which it has waited too long; ``None``: it does not hang.
        self.hangs_at: int | None = None

    def give(self, numbers: Iterable[int]) -> None:
        self.given |= dict.fromkeys(numbers)
        self.since = time.monotonic()
        with suppress(OSError):  # if the process died, its connection shows that
            self.connection.send(list(self.given))

    def take(self) -> list[tuple[int, Seen]] | None:
        """Its results; ``None`` if it has died."""
        try:
            found: list[tuple[int, Seen]] = self.connection.recv()
        except (EOFError, OSError):
            return None
        self.since = time.monotonic()
        self.hangs_at = None
        # Another process answers for volumes that it got meanwhile.
        return [one for one in found if self.given.pop(one[0], one) is None]

    def close(self) -> None:
        """Kill it; a process that waits inside the kernel is abandoned."""
        self._child.end()

    @property
    def is_there(self) -> bool:
        """Whether the process still exists, even after ``close``."""
        return self._child.exit_code is None


def _main(connection: Connection, paths: Sequence[str]) -> None:
    with suppress(EOFError, OSError):
        while True:
            numbers = connection.recv()
            mounts = None
            with suppress(OSError):  # without /proc: see ``look_at``
                mounts = mounts_now()
            found = []
            told = time.monotonic()
            for number in numbers:
                try:
                    seen = _look_at(paths[number], mounts)
                except (OSError, ValueError) as error:
                    seen = Seen(
                        os.fsencode(paths[number]), f"it cannot be opened: {said_by(error)}"
                    )
                found.append((number, seen))
                if time.monotonic() - told > _TELL_AFTER:
                    connection.send(found)
                    found, told = [], time.monotonic()
            if found:
                connection.send(found)


@dataclass(slots=True)
class _Asked:
    """A volume without an answer: since when it waits, for which mount, and whether too long."""

    at: float
    reach: Reach
    late: bool = False


class Probes:
    """Asks, and keeps the latest answers."""

    def __init__(
        self,
        paths: Sequence[str],
        *,
        before_fork: Callable[[], None] = lambda: None,
        within: float | None = None,
        most: int = _MOST_PROCESSES,
        patient: bool = True,
    ) -> None:
        """For the volumes with these absolute paths. ``before_fork``: see ``scan.pool``.

        At most ``most`` processes check servers, and some more check local file systems. If a limit
        of the machine allows none, a ``patient`` caller waits until ``within`` is over.
        """
        self._paths = paths
        self._before_fork = before_fork
        self._within = ANSWER_WITHIN if within is None else within
        self._most = most
        self._patient = patient
        self._asked: dict[int, _Asked] = {}
        #: By server: volumes that no process has got yet.
        self._waiting: dict[bytes, deque[int]] = {}
        self._probers: dict[bytes, _Prober] = {}
        self._hanging: list[_Prober] = []
        self._left: list[_Prober] = []
        self._untold: list[int] = []
        #: When it was asked, and what the answer was.
        self._answers: dict[int, tuple[float, Seen]] = {}
        self._mounts = MountTable(())
        self._mounts_at = float("-inf")
        self._trouble = ""
        self._again = 0.0

    @property
    def processes(self) -> int:
        """Number of processes, including those that were abandoned."""
        self._left = [one for one in self._left if one.is_there]
        return len(self._probers) + len(self._hanging) + len(self._left)

    def _reach(self, number: int) -> Reach:
        now = time.monotonic()
        if now - self._mounts_at > _MOUNTS_FOR:
            with suppress(OSError):
                self._mounts = mounts_now()
            self._mounts_at = now
        return self._mounts.reach(os.fsencode(self._paths[number]))

    def ask(self, number: int) -> None:
        """Look at a volume, unless that is being done."""
        one = self._asked.get(number)
        if one is not None and not one.late:
            return
        reach = self._reach(number)
        now = time.monotonic()
        if one is not None:
            hanging = next((p for p in self._hanging if number in p.given), None)
            old = hanging is not None and now - hanging.since > _ASK_ANEW
            if hanging is not None and one.reach == reach and not old:
                return
            if hanging is not None and old and self.processes < self._most:
                # It may hang at the file system that was mounted there before, and never answer.
                self._leave(hanging)
            elif one.reach == reach:
                return
            elif hanging is not None:
                del hanging.given[number]  # another file system is mounted there now
        self._asked[number] = _Asked(now, reach)
        if any(p.server == reach.server and p.hangs_at == reach.mount for p in self._hanging):
            # Its mount does not answer; another process would hang there, too.
            self._is_late(number, now)
        self._waiting.setdefault(reach.server, deque()).append(number)
        self._hand_out()

    def _leave(self, prober: _Prober) -> None:
        """Abandon a process; another one checks its volumes."""
        self._hanging.remove(prober)
        self._left.append(prober)
        self._wait_again(prober)
        prober.close()

    def _wait_again(self, prober: _Prober) -> None:
        for number in prober.given:
            if number in self._asked:
                self._waiting.setdefault(prober.server, deque()).append(number)
        prober.given.clear()

    def _hand_out(self) -> None:
        now = time.monotonic()
        for server, waiting in list(self._waiting.items()):
            prober = self._probers.get(server)
            if prober is not None and prober.given:
                continue
            hung = {p.hangs_at for p in self._hanging if p.server == server}
            numbers: list[int] = []
            kept: deque[int] = deque()
            while waiting and len(numbers) < _BATCH:
                number = waiting.popleft()
                one = self._asked.get(number)
                if one is None:
                    continue
                # The process that hangs checks these volumes once it goes on.
                (kept if one.reach.mount in hung else numbers).append(number)
            waiting.extendleft(reversed(kept))
            if not numbers:
                if not waiting:
                    del self._waiting[server]
                continue
            if prober is None:
                prober = self._start(server, now)
            if prober is None:
                waiting.extendleft(reversed(numbers))
                continue
            prober.give(numbers)
            if not waiting:
                del self._waiting[server]

    def _start(self, server: bytes, now: float) -> _Prober | None:
        # Processes for local file systems are counted apart.
        most = self._most if server else self._most + _LOCAL
        if now < self._again or self.processes >= most:
            return None
        try:
            self._before_fork()
            prober = _Prober(server, self._paths)
        except OSError as error:
            if not is_limit(error):
                raise
            self._trouble = limit_reached(error)
            self._again = now + _TRY_AGAIN
            return None
        self._trouble = ""
        self._probers[server] = prober
        return prober

    def is_silent(self, number: int, tick: Callable[[], None]) -> bool:
        """Check a volume now, and wait: return whether it does not answer in time.

        ``tick`` is called several times a second. ``take`` returns the answer, too.
        """
        self.ask(number)
        while number in self._asked and not self._asked[number].late:
            tick()
            self._untold += self._take(set(wait(self.connections, 0.2)))
        seen = self.latest(number)
        return seen is not None and seen.error == NO_ANSWER

    def answer(self, number: int, since: float) -> Seen | None:
        """The result of a check after ``since``; ``None``: there is none yet."""
        if number in self._asked and self._asked[number].late:
            return self.latest(number)
        at, seen = self._answers.get(number, (0.0, None))
        return seen if at >= since else None

    def latest(self, number: int) -> Seen | None:
        """The result of the last check of a volume."""
        return self._answers.get(number, (0.0, None))[1]

    def hangs(self, number: int) -> bool:
        """Whether a volume did not answer to its last check."""
        seen = self.latest(number)
        return seen is not None and seen.error in {NO_ANSWER, _NOT_YET}

    @property
    def connections(self) -> list[Connection]:
        """The connections on which answers arrive."""
        return [one.connection for one in (*self._probers.values(), *self._hanging)]

    def take(self, ready: Collection[object]) -> list[int]:
        """Take answers and time-outs; return the volumes that have one."""
        found, self._untold = self._untold + self._take(ready), []
        return found

    def _take(self, ready: Collection[object]) -> list[int]:
        found: list[int] = []
        now = time.monotonic()
        for prober in [*self._probers.values(), *self._hanging]:
            if prober.connection in ready:
                found += self._heard(prober, now)
        for prober in list(self._probers.values()):
            if prober.given and now - prober.since > self._within:
                found += self._hangs(prober, now)
        self._hand_out()
        within = self._within
        if self._trouble and not self._patient and not self.connections:
            within = -1.0
        for waiting in self._waiting.values():
            for number in waiting:
                one = self._asked.get(number)
                if one is not None and not one.late and now - one.at > within:
                    found += self._was_not_asked(number, now)
        self._end_idle()
        return found

    def _heard(self, prober: _Prober, now: float) -> list[int]:
        told = prober.take()
        if prober in self._hanging:
            self._hanging.remove(prober)
            if told is None or prober.server in self._probers:
                self._wait_again(prober)
                prober.close()
            else:
                self._probers[prober.server] = prober
        if told is None:
            return self._died(prober)
        found = []
        for number, seen in told:
            one = self._asked.pop(number, None)
            if one is not None:
                self._answers[number] = (now if one.late else one.at, seen)
                found.append(number)
        return found

    def _died(self, prober: _Prober) -> list[int]:
        if self._probers.get(prober.server) is prober:
            del self._probers[prober.server]
            first = next(iter(prober.given), None)
            prober.given.pop(first or 0, None)
            self._wait_again(prober)
            prober.close()
            if first is not None and self._asked.pop(first, None) is not None:
                why = "the process that checked it died; see the kernel's log (out of memory?)"
                self._answers[first] = (time.monotonic(), Seen(self._root(first), why))
                return [first]
        return []

    def _hangs(self, prober: _Prober, now: float) -> list[int]:
        """Let another process check the volumes on other mounts than the one at which this hangs.

        This process goes on waiting: inside the kernel it cannot be killed, and each further check
        would abandon one more. Its answer counts when it comes.
        """
        first = next(iter(prober.given))
        prober.hangs_at = self._asked[first].reach.mount
        del self._probers[prober.server]
        self._hanging.append(prober)
        found = []
        for number in list(prober.given):
            if self._asked[number].reach.mount == prober.hangs_at:
                found += self._is_late(number, now)
            else:
                del prober.given[number]
                self._waiting.setdefault(prober.server, deque()).append(number)
        for number in self._waiting.get(prober.server, ()):
            if number in self._asked and self._asked[number].reach.mount == prober.hangs_at:
                found += self._is_late(number, now)
        return found

    def _is_late(self, number: int, now: float) -> list[int]:
        one = self._asked[number]
        if one.late:
            return []
        one.late = True
        self._answers[number] = (now, Seen(self._root(number), NO_ANSWER))
        return [number]

    def _was_not_asked(self, number: int, now: float) -> list[int]:
        """Note that a volume was not checked: no process can be started, or its server is slow."""
        one = self._asked[number]
        if one.reach.server in self._probers:
            return []
        one.late = True
        why = self._trouble or _TOO_MANY.format(self.processes)
        self._answers[number] = (now, Seen(self._root(number), why))
        return [number]

    def _end_idle(self) -> None:
        for server, prober in list(self._probers.items()):
            if not prober.given and server not in self._waiting:
                del self._probers[server]
                prober.close()

    def look_at_all(self, tick: Callable[[], None]) -> list[Seen]:
        """Check all volumes, and wait for the answers as long as they may take.

        ``tick`` is called several times a second.

        Raises:
            OSError: a limit of the system forbids to start a process.
        """
        until = time.monotonic() + _ALL_WITHIN
        for number in range(len(self._paths)):
            self.ask(number)
        while not all(one.late for one in self._asked.values()) and time.monotonic() < until:
            tick()
            self.take(set(wait(self.connections, 0.2)))
        for number, one in self._asked.items():
            if number not in self._answers:
                self._answers[number] = (one.at, Seen(self._root(number), _NOT_YET))
        return [self._answers[number][1] for number in range(len(self._paths))]

    def _root(self, number: int) -> bytes:
        """The path of a volume, without checking it."""
        latest = self.latest(number)
        return os.fsencode(os.path.normpath(self._paths[number])) if latest is None else latest.root

    def close(self) -> None:
        """End all processes."""
        for prober in (*self._probers.values(), *self._hanging):
            prober.close()
        self._probers.clear()
        self._hanging.clear()
        self._asked.clear()
        self._waiting.clear()


def look_at_all(paths: Sequence[str], tick: Callable[[], None] = lambda: None) -> list[Seen]:
    """Check the volumes with these absolute paths; one on a dead file server has an error.

    ``tick``: see ``Probes.look_at_all``.

    Raises:
        OSError: a limit of the system forbids to start a process.
    """
    probes = Probes(paths, patient=False)
    try:
        return probes.look_at_all(tick)
    finally:
        probes.close()
