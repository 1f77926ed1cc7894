"""Runs processes that check whether volumes are present: a dead file server never answers.

Neither the daemon nor a command touches a volume before a process of this module has found the
volume. The volumes of one server share a process, so that thousands of volumes on a server that
does not answer cost one process; all volumes on local file systems share another.
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
from hashscan.jobs.volume_presence import Seen, check_volume
from hashscan.processes import Child
from hashscan.text import said_by
from hashscan.watch.mounts import MountTable, mounts_now

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence
    from multiprocessing.connection import Connection

    from hashscan.watch.mounts import Reach

#: Seconds within which a volume must answer; a busy disk answers sooner.
ANSWER_WITHIN = 20.0
#: Seconds that the daemon's start waits for slow servers with many volumes.
_ALL_WITHIN = 60.0
#: Seconds until a process that hangs at a volume is abandoned and replaced.
_ASK_ANEW = 600.0
#: Number of checking processes at a time, including processes that hang and were abandoned.
_MOST_PROCESSES = 50
#: Number of further checking processes for local file systems.
_LOCAL = 10
#: Seconds for which a table of mounts is used before it is read again.
_MOUNTS_FOR = 1.0
#: Seconds until the next attempt to start a checking process, if a limit of the machine forbids it.
_TRY_AGAIN = 5.0
#: Number of volumes that a process receives together, and seconds after which it sends its results.
_BATCH, _SEND_AFTER = 256, 0.1
NO_ANSWER = "its file system does not answer (a dead file server?)"
_NOT_YET = "its file server has not answered yet"
_TOO_MANY = (
    "it was not checked, because {} processes wait for other file servers that do not answer; "
    "unmount those, or remove their volumes from the configuration"
)


def _check_volume(path: str, mounts: MountTable | None) -> Seen:
    try:
        return check_volume(os.fsencode(resolve(path)), mounts)
    except UnsafePathError as error:
        return Seen(os.fsencode(os.path.normpath(path)), str(error), refused=True)


class _Prober:
    """Represents a process that checks volumes, one after the other."""

    def __init__(self, server: bytes, paths: Sequence[str]) -> None:
        """Start the process that checks volumes.

        Raises:
            OSError: a limit of the system forbids the start of the process.
        """
        self.server = server
        self._child = Child(_main, paths, lowest=True)
        self.connection = self._child.connection
        #: Volumes that the process still has to check, in its order; and the time at which the
        #: check of the first volume began.
        self.given: dict[int, None] = {}
        self.since = time.monotonic()
        #: The mount for which the process has waited too long; ``None`` if the process does not
        #: hang.
        self.hangs_at: int | None = None

    def give(self, numbers: Iterable[int]) -> None:
        self.given |= dict.fromkeys(numbers)
        self.since = time.monotonic()
        with suppress(OSError):  # If the process died, its connection shows the death.
            self.connection.send(list(self.given))

    def take(self) -> list[tuple[int, Seen]] | None:
        """Return the results of the checks; return ``None`` if the process has died."""
        try:
            found: list[tuple[int, Seen]] = self.connection.recv()
        except (EOFError, OSError):
            return None
        self.since = time.monotonic()
        self.hangs_at = None
        # Another process answers for volumes that it received meanwhile.
        return [one for one in found if self.given.pop(one[0], one) is None]

    def close(self) -> None:
        """Kill the process; abandon the process if it waits inside the kernel."""
        self._child.end()

    @property
    def is_there(self) -> bool:
        """Return whether the process still exists, even after ``close``."""
        return self._child.exit_code is None


def _main(connection: Connection, paths: Sequence[str]) -> None:
    with suppress(EOFError, OSError):
        while True:
            numbers = connection.recv()
            mounts = None
            with suppress(OSError):  # Without /proc the list of mounts stays unknown.
                mounts = mounts_now()
            found = []
            sent = time.monotonic()
            for number in numbers:
                try:
                    seen = _check_volume(paths[number], mounts)
                except (OSError, ValueError) as error:
                    seen = Seen(
                        os.fsencode(paths[number]), f"it cannot be opened: {said_by(error)}"
                    )
                found.append((number, seen))
                if time.monotonic() - sent > _SEND_AFTER:
                    connection.send(found)
                    found, sent = [], time.monotonic()
            if found:
                connection.send(found)


@dataclass(slots=True)
class _Asked:
    """Describes a question about a volume: time of the question, mount, whether the mount hangs."""

    at: float
    reach: Reach
    late: bool = False


class Probes:
    """Asks checking processes about volumes, and stores the latest answer for each volume."""

    def __init__(
        self,
        paths: Sequence[str],
        *,
        before_fork: Callable[[], None] = lambda: None,
        within: float | None = None,
        most: int = _MOST_PROCESSES,
        patient: bool = True,
    ) -> None:
        """Prepare probes for the volumes with these absolute paths.

        ``before_fork`` is called before each fork, see ``scan.pool``.

        At most ``most`` processes check servers, and some more check local file systems. If a limit
        of the machine allows no process, a ``patient`` caller waits until ``within`` is over.
        """
        self._paths = paths
        self._before_fork = before_fork
        self._within = ANSWER_WITHIN if within is None else within
        self._most = most
        self._patient = patient
        self._asked: dict[int, _Asked] = {}
        #: Volumes whose check no process has begun, by server.
        self._waiting: dict[bytes, deque[int]] = {}
        self._probers: dict[bytes, _Prober] = {}
        self._hanging: list[_Prober] = []
        self._left: list[_Prober] = []
        self._untold: list[int] = []
        #: Time of the last question about each volume, and the answer.
        self._answers: dict[int, tuple[float, Seen]] = {}
        self._mounts = MountTable(())
        self._mounts_at = float("-inf")
        self._trouble = ""
        self._again = 0.0

    @property
    def processes(self) -> int:
        """Return the number of checking processes, including processes that were abandoned."""
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
        """Request a check of a volume, unless a check of this volume is under way."""
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
                # The checking process may hang at the file system that was mounted earlier at the
                # path of the volume, and never answer.
                self._leave(hanging)
            elif one.reach == reach:
                return
            elif hanging is not None:
                # Another file system is mounted there now, so the old process is abandoned.
                del hanging.given[number]
        self._asked[number] = _Asked(now, reach)
        if any(p.server == reach.server and p.hangs_at == reach.mount for p in self._hanging):
            # The volume's mount does not answer, and another process would hang at the mount, too.
            self._is_late(number, now)
        self._waiting.setdefault(reach.server, deque()).append(number)
        self._hand_out()

    def _leave(self, prober: _Prober) -> None:
        """Abandon a process that hangs; another process checks its volumes."""
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
                # If the process that hangs continues, the process checks these volumes itself.
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
        # Checking processes for local file systems are counted separately.
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
        """Check a volume now, and wait: return whether the volume does not answer in time.

        ``tick`` is called several times a second. ``take`` also returns the answer of this check.
        """
        self.ask(number)
        while number in self._asked and not self._asked[number].late:
            tick()
            self._untold += self._take(set(wait(self.connections, 0.2)))
        seen = self.latest(number)
        return seen is not None and seen.error == NO_ANSWER

    def answer(self, number: int, since: float) -> Seen | None:
        """Return the result of a volume's check that began after ``since``.

        The result is ``None`` if no such check has ended yet.
        """
        if number in self._asked and self._asked[number].late:
            return self.latest(number)
        at, seen = self._answers.get(number, (0.0, None))
        return seen if at >= since else None

    def latest(self, number: int) -> Seen | None:
        """Return the result of the last check of a volume."""
        return self._answers.get(number, (0.0, None))[1]

    def hangs(self, number: int) -> bool:
        """Return whether a volume did not answer its last check."""
        seen = self.latest(number)
        return seen is not None and seen.error in {NO_ANSWER, _NOT_YET}

    @property
    def connections(self) -> list[Connection]:
        """Return the connections on which answers of the checking processes arrive."""
        return [one.connection for one in (*self._probers.values(), *self._hanging)]

    def take(self, ready: Collection[object]) -> list[int]:
        """Process answers and time-outs of checks; return the volumes that have a result."""
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
        results = prober.take()
        if prober in self._hanging:
            self._hanging.remove(prober)
            if results is None or prober.server in self._probers:
                self._wait_again(prober)
                prober.close()
            else:
                self._probers[prober.server] = prober
        if results is None:
            return self._died(prober)
        found = []
        for number, seen in results:
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
        """Let another process check the volumes that are not on the mount at which a process hangs.

        The process that hangs continues to wait: inside the kernel it cannot be killed, and each
        further check would abandon another process. If its answer arrives later, the answer counts.
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

    def check_all(self, tick: Callable[[], None]) -> list[Seen]:
        """Check all volumes, and wait for the answers as long as the time limits allow.

        ``tick`` is called several times a second.

        Raises:
            OSError: a limit of the system forbids the start of a process.
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
        """Return the path of a volume, without any access to the volume."""
        latest = self.latest(number)
        return os.fsencode(os.path.normpath(self._paths[number])) if latest is None else latest.root

    def close(self) -> None:
        """End all checking processes."""
        for prober in (*self._probers.values(), *self._hanging):
            prober.close()
        self._probers.clear()
        self._hanging.clear()
        self._asked.clear()
        self._waiting.clear()


def check_all(paths: Sequence[str], tick: Callable[[], None] = lambda: None) -> list[Seen]:
    """Check the volumes with these absolute paths; a volume on a dead file server gets an error.

    ``tick`` is called as in ``Probes.check_all``.

    Raises:
        OSError: a limit of the system forbids the start of a process.
    """
    probes = Probes(paths, patient=False)
    try:
        return probes.check_all(tick)
    finally:
        probes.close()
