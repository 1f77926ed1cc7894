"""Schedules the jobs that recheck the digests in quarantine and restore withdrawn files.

Both jobs run in separate processes, because they read every record of the quarantine.
"""

from __future__ import annotations

import os
import time
from functools import partial
from typing import TYPE_CHECKING

from hashscan.audit.recorder import Recorder
from hashscan.daemon.background_job import Background, Failure
from hashscan.errors import HashscanError
from hashscan.jobs.recheck_verdicts import RecheckRound, ask_again
from hashscan.jobs.restore_withdrawn import PutBack, put_back
from hashscan.text import counted, human_age

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from multiprocessing.connection import Connection

    from hashscan.config.settings import Settings
    from hashscan.daemon.log import Log
    from hashscan.daemon.session import Session
    from hashscan.jobs.known_set import KnownSet
    from hashscan.state import State

#: Seconds between two rechecks: usually, and if the last recheck left some questions.
_EVERY, _SOON = 3600.0, 60.0
#: The pause before a recheck is at least this multiple of the time for reading all records.
_REST = 50.0
#: Seconds for which one job restores files, and seconds between two such jobs.
_TURN, _NEXT_TURN = 20.0, 10.0
#: Seconds until a failed restore of a file is tried again, twice as long each time up to a day:
#: each try writes two lines to the audit log.
_AGAIN, _LONGEST = 3600.0, 86400.0


class Waits:
    """Holds the time at which the restore of each withdrawn file is tried again."""

    def __init__(self) -> None:
        """Start without files whose restore failed."""
        #: Time of the next try to restore a file, and the pause before it, by id of its record.
        self._next: dict[str, tuple[float, float]] = {}

    def failed(self, ids: Iterable[str], now: float) -> None:
        """Let files wait twice as long as before until their restore is tried again."""
        for one in ids:
            _, last = self._next.get(one, (0.0, _AGAIN / 2))
            wait = min(2 * last, _LONGEST)
            self._next[one] = now + wait, wait

    def at(self, now: float) -> frozenset[str]:
        """Return files that wait for their next try; forget files without a failure for a day."""
        for one, (due, _) in list(self._next.items()):
            if now >= due + _LONGEST:
                del self._next[one]
        return frozenset(one for one, (due, _) in self._next.items() if now < due)


class VerdictRechecks:
    """Runs the rechecks and restores of one daemon."""

    def __init__(self, settings: Settings, log: Log, state: State) -> None:
        """Prepare; the first ``step`` starts the jobs that are due."""
        self._state = state
        self._log = log
        self._round: Background[RecheckRound] | None = None
        self._turn: Background[PutBack] | None = None
        self._session: Session | None = None
        self.use(settings)

    def use(self, settings: Settings) -> None:
        """Use these settings from now on; running jobs end, and begin again."""
        self.close()
        self._settings = settings
        self._directory = settings.quarantine_directory
        self._interval = settings.quarantine.ask_again
        self._restores = settings.quarantine.restore_withdrawn == "auto"
        self._asked_by = ""
        self._round_at = self._turn_at = 0.0
        self._waits = Waits()
        self._turn_began = 0.0

    @property
    def connections(self) -> list[Connection]:
        """Return the connections that are readable when ``take`` can report a job's result."""
        return [one.connection for one in (self._round, self._turn) if one is not None]

    def step(self, session: Session | None) -> None:
        """Start the rechecks and restores that are due.

        ``session`` provides the known set in use. If it is ``None``, no list can be searched.
        """
        self._session = session
        now = time.monotonic()
        try:
            if self._round is None and session is not None:
                self._begin_round(session.known, now)
            if self._turn is None and self._restores and now >= self._turn_at:
                self._begin_turn(now)
        except HashscanError as error:
            self._round_at = self._turn_at = now + _SOON
            self._log.limited("asking again", "warning", f"quarantine: {error}")

    def _begin_round(self, known: KnownSet, now: float) -> None:
        interval = self._interval
        # Digests that new filters do not contain are rechecked immediately.
        if interval is None or (known.name == self._asked_by and now < self._round_at):
            return
        self._asked_by = known.name
        self._round_at = now + min(_EVERY, interval)
        job = partial(ask_again, self._directory, self._state, known, interval, self._recorder())
        self._round = Background(job)

    def _recorder(self) -> Recorder:
        return Recorder.of(self._settings, "daemon", self._state)

    def _begin_turn(self, now: float) -> None:
        self._turn_at, self._turn_began = now + _EVERY, now
        directory, recorder = os.fsencode(self._directory), self._recorder()
        job = partial(put_back, directory, _TURN, self._waits.at(now), recorder, self._state)
        self._turn = Background(job)

    def take(self, ready: Collection[object]) -> None:
        """Report the results of rechecks and restores that have ended."""
        if self._round is not None and self._round.connection in ready:
            job, self._round = self._round, None
            self._take_round(job.take())
        if self._turn is not None and self._turn.connection in ready:
            turn, self._turn = self._turn, None
            self._take_turn(turn.take())

    def _take_round(self, found: RecheckRound | Failure) -> None:
        if isinstance(found, Failure):
            self._log.limited("asking again", "warning", f"quarantine: {found.message}")
            return
        if found.unknown and self._session is not None:
            self._session.retry.forget(found.unknown)
        now = time.monotonic()
        if found.more or found.unmarked:
            self._round_at = now + _SOON
        self._round_at = max(self._round_at, now + _REST * found.seconds)
        if found.trouble:
            self._log.limited(
                "asking again",
                "warning",
                f"quarantine: not all digests could be asked for again: {found.trouble}",
            )
        if found.unmarked:
            self._log.limited(
                "asking again",
                "warning",
                f"quarantine: not all withdrawn files could be marked: {found.unmarked}; tried "
                f"again in {human_age(_SOON)}",
            )
        if found.held:
            self._log.warning(
                f"quarantine: {counted(found.held, 'digest')} turned unknown, and nothing is "
                f"withdrawn: {found.why} See 'hashscan quarantine withdrawn'; --accept withdraws"
            )
        if found.closed:
            self._log.warning(
                f"{', '.join(found.closed)} closed: no digest of "
                f"{'it' if len(found.closed) == 1 else 'them'} is known any more, so no file is "
                "held ('hashscan hold list --all')"
            )
        if found.withdrawn:
            self._turn_at = 0.0
            what = "restores them" if self._restores else "waits for a restore"
            self._log.warning(
                f"quarantine: {counted(found.withdrawn, 'digest')} with "
                f"{counted(found.files, 'file')} withdrawn: the service does not know them any "
                f"more; hashscan {what} ('hashscan quarantine restore --withdrawn')"
            )

    def _take_turn(self, found: PutBack | Failure) -> None:
        if isinstance(found, Failure):
            self._log.limited("putting back", "warning", f"quarantine: {found.message}")
            return
        for notice in found.notices:
            self._log.limited("forgetting", "warning", f"quarantine: {notice}")
        self._waits.failed(found.failed, self._turn_began)
        if found.left:
            self._turn_at = time.monotonic() + _NEXT_TURN
        if found.done:
            left = f", {found.left:,} follow" if found.left else ""
            self._log.warning(
                f"quarantine: {counted(found.done, 'withdrawn file')} restored{left} "
                "(quarantine.restore_withdrawn)"
            )
        if found.failed:
            why = ", ".join(f"{count:,} {reason}" for reason, count in found.reasons.most_common())
            example = next(iter(found.failed.values()))
            self._log.limited(
                "putting back",
                "warning",
                f"quarantine: {counted(len(found.failed), 'withdrawn file')} not restored ({why}), "
                f"each tried again in {human_age(_AGAIN)}, later in up to {human_age(_LONGEST)}, "
                f"e.g. {example}",
            )

    def close(self) -> None:
        """End running rechecks and restores."""
        for job in (self._round, self._turn):
            if job is not None:
                job.close()
        self._round = self._turn = None
