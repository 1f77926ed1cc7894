"""Works on the items of notices in a separate process: each round works on all open items.

The process lives for many rounds, because reading the configurations of web servers with thousands
of hosts takes seconds. The process ends if a round fails or hangs, and if the known set or the
settings change.
"""

from __future__ import annotations

import mmap
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from hashscan.daemon.background_job import Failure, Repeated
from hashscan.daemon.quarantine_process import cpu_ticks
from hashscan.errors import HashscanError
from hashscan.jobs.notices.one_round import run_round
from hashscan.jobs.notices.round_result import LEFT_OUT, Memory, Round
from hashscan.notices.reader import open_existing
from hashscan.notices.sites.sites import Sites
from hashscan.text import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from multiprocessing.connection import Connection

    from hashscan.config.settings import Settings
    from hashscan.daemon.log import Log
    from hashscan.daemon.session import Session
    from hashscan.jobs.daemon_status import NoticeRoundsStatus
    from hashscan.jobs.known_set import KnownSet
    from hashscan.state import State

#: Seconds between two rounds: if items of notices are open, if all are settled, if work is left.
_OPEN, _SETTLED, _MORE = 30.0, 300.0, 1.0
#: Seconds between two checks whether another process has stored a notice.
_CHECK = 1.0
#: Seconds for which a round may use no CPU time, e.g. at a dead file server.
_STILL = 300.0


class _Order(NamedTuple):
    """Holds the arguments of one round over the items of notices; see ``run_round``."""

    memory: Memory
    why_unknown: str
    absent: frozenset[bytes]


class NoticeRounds:
    """Starts rounds over the items of notices, and logs the results of the rounds."""

    def __init__(
        self,
        settings: Settings,
        state: State,
        log: Log,
        *,
        clock: Callable[[], float] = time.monotonic,
        still: float = _STILL,
    ) -> None:
        """Prepare; the first ``step`` starts a round over the items of notices.

        The ``clock`` counts seconds. For ``still``, see ``_STILL``.
        """
        self._state = state
        self._log = log
        self._clock = clock
        self._still = still
        self._job: Repeated[_Order, Round] | None = None
        self._known: KnownSet | None = None  # The known set of the process
        self._is_working = False
        self._item = mmap.mmap(-1, 8)  # The daemon shares this memory with the rounds.
        self.use(settings)

    def use(self, settings: Settings) -> None:
        """Use these settings from now on; repeat a round that runs with the old settings."""
        self.close()
        self._settings = settings
        self._memory = Memory()
        self._next = self._next_check = 0.0
        self._mark: object = None
        self._ended: float | None = None
        self._trouble = ""

    @property
    def connections(self) -> list[Connection]:
        """Return the connection that is readable when ``take`` can log the result of a round."""
        return [] if self._job is None or not self._is_working else [self._job.connection]

    def step(self, session: Session | None, why_unknown: str) -> None:
        """Start a round over the items of notices if it is time.

        ``why_unknown`` is the reason why no list can be searched while no session runs.
        """
        now = self._clock()
        if self._is_working:
            self._watch(now)
            return
        if now < self._next_check:
            return
        self._next_check = now + _CHECK
        known = None if session is None else session.known
        if self._job is not None and known is not self._known:
            self.close()
        mark = self._stored()
        if mark is None or (mark == self._mark and now < self._next):
            return
        self._next = now + _OPEN
        self._mark = mark
        self._worked: object = None
        self._since = now
        absent = frozenset[bytes]() if session is None else session.absent
        order = _Order(self._memory, why_unknown, absent)
        if self._job is not None:
            self._is_working = self._job.give(order)
            if self._is_working:
                return
            self.close()  # Another process killed the job.
        if session is not None:
            session.commit()  # A fork must not copy a transaction of this process.
        try:
            self._job, self._known = Repeated(self._rounds(known)), known
        except HashscanError as error:
            self._fails(f"the files of notices are not searched: {error}")
        else:
            self._is_working = self._job.give(order)

    def _rounds(self, known: KnownSet | None) -> Callable[[_Order], Round]:
        """Run one round over the items; the process calls this function for each order."""
        settings, state, begins = self._settings, self._state, self._begins
        sites = Sites(settings.sites)

        def work(order: _Order) -> Round:
            return run_round(
                settings,
                state,
                known,
                order.memory,
                why_unknown=order.why_unknown,
                absent=order.absent,
                begins=begins,
                sites=sites,
            )

        return work

    def _begins(self, item: int) -> None:
        self._item[:8] = item.to_bytes(8, "little")

    def _watch(self, now: float) -> None:
        """End a round that hangs, and skip the item at which it hangs for an hour."""
        assert self._job is not None
        done = cpu_ticks(self._job.process_id)
        if done != self._worked:
            self._worked, self._since = done, now
        if now - self._since <= self._still:
            return
        self.close()
        item = int.from_bytes(self._item[:8], "little")
        self._memory.recovered = False
        self._memory.left_out[item] = time.time() + LEFT_OUT
        self._fails(
            f"{self._named(item)}: the daemon leaves it out for an hour, because its volume, or the"
            " service, does not answer; check the mounts and file servers of its document root"
        )

    def _named(self, item: int) -> str:
        """Name an item and the item's notice for a message."""
        with suppress(HashscanError):
            reader = open_existing(self._state.notices)
            if reader is not None:
                with reader:
                    found = reader.item(item)
                    return f"notice {found.notice}: {shown(found.parsed.value)}"
        return f"item {item} of a notice"

    def _stored(self) -> object:
        """Return a value that differs after a change of the file that stores the notices.

        The result is ``None`` if there is no file of notices.
        """
        found = []
        for path in (self._state.notices, f"{self._state.notices}-wal"):
            try:
                status = os.stat(path)
            except OSError:
                found.append((0, 0))
            else:  # Readers of the database create and leave an empty -wal file.
                found.append((status.st_size, status.st_mtime_ns if status.st_size else 0))
        return None if found[0] == (0, 0) else tuple(found)

    def take(self, ready: Collection[object]) -> None:
        """Log the result of a round over the items, if the round has ended."""
        job = self._job
        if job is None or not self._is_working or job.connection not in ready:
            return
        done = job.take()
        self._is_working = False
        now = self._clock()
        if isinstance(done, Failure):
            self.close()
            self._next = now + _OPEN
            self._memory.recovered = False
            self._fails(f"the files of notices were not searched: {done.message}")
            return
        self._memory, self._trouble, self._ended = done.memory, "", time.time()
        for event in done.events:
            self._log.match(event)
        for level, text in done.lines:
            self._log.limited(f"notices {level}", "warning" if level == "warning" else "info", text)
        # The value ``_mark`` is from before the round: another process may have stored a notice
        # meanwhile.
        self._next = now + (_MORE if done.more else _OPEN if done.open else _SETTLED)

    def _fails(self, message: str) -> None:
        self._trouble = message
        self._log.limited("notice_rounds", "error", message)

    def facts(self) -> NoticeRoundsStatus:
        """Return the facts for ``status``: end of the last round, and why a later round failed."""
        return {"time": self._ended, "trouble": self._trouble}

    def close(self) -> None:
        """End the process of the rounds; the next process repeats the unfinished round."""
        if self._job is not None:
            self._job.close()
            self._job = self._known = None
        self._is_working = False
