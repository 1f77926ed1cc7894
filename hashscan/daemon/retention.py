"""Removes old contents from the quarantine every few hours in a separate process.

The same step runs the rounds that recheck digests in quarantine (``recheck_verdicts``).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hashscan.audit.recorder import Recorder
from hashscan.daemon.background_job import Background, Failure
from hashscan.daemon.recheck_verdicts import VerdictRechecks
from hashscan.daemon.timers import Every
from hashscan.errors import HashscanError
from hashscan.quarantine.manage import why_doubtful
from hashscan.quarantine.retention import Purged, purge_older
from hashscan.text import human_age

if TYPE_CHECKING:
    from collections.abc import Collection
    from multiprocessing.connection import Connection

    from hashscan.config.settings import Settings
    from hashscan.daemon.log import Log
    from hashscan.daemon.session import Session
    from hashscan.state import State

#: Seconds between two removals of old contents from the quarantine.
_EVERY = 6 * 3600.0


class Housekeeping:
    """Removes the contents in quarantine that are older than ``quarantine.retention``."""

    def __init__(self, settings: Settings, log: Log, state: State) -> None:
        """Prepare; the first ``step`` starts a removal, if ``settings`` have a retention."""
        self._log = log
        self._state = state
        self._job: Background[Purged] | None = None
        self._again = VerdictRechecks(settings, log, state)
        self.use(settings)

    def use(self, settings: Settings) -> None:
        """Use these settings from now on; a removal by the old retention ends."""
        self.close()
        self._again.use(settings)
        self._directory = os.fsencode(settings.quarantine_directory)
        self._age = settings.quarantine.retention
        self._settings = settings
        self._due = Every(None if self._age is None else _EVERY, at_once=True)

    @property
    def connections(self) -> list[Connection]:
        """Return the connections that are readable when ``take`` can report a job's result."""
        own = [] if self._job is None else [self._job.connection]
        return [*own, *self._again.connections]

    def step(self, session: Session | None) -> None:
        """Start a removal of old contents, and a recheck of digests, if they are due.

        For ``session``, see ``VerdictRechecks``.
        """
        self._again.step(session)
        directory, age = self._directory, self._age
        if not self._due.due() or self._job is not None or age is None:
            return
        try:
            recorder = Recorder.of(self._settings, "daemon", self._state)
            self._job = Background(lambda: purge_older(directory, age, recorder))
        except HashscanError as error:
            again = human_age(self._due.failed())
            message = f"quarantine: {error}; the retention is applied again in {again}"
            self._log.limited("housekeeping", "warning", message)

    def take(self, ready: Collection[object]) -> None:
        """Report the results of removals and rechecks that have ended."""
        self._again.take(ready)
        job = self._job
        if job is None or job.connection not in ready:
            return
        self._job = None
        done = job.take()
        if isinstance(done, Failure):
            self._log.limited("housekeeping", "warning", f"quarantine: {done.message}")
            return
        age = self._age or 0.0
        if done.doubtful:
            told = why_doubtful(done.doubtful, age)
            self._log.limited("retention", "warning", f"quarantine: {told}")
        if done.done:
            self._log.warning(
                f"quarantine: {done.done:,} contents older than its retention were removed for "
                f"good (quarantine.retention, {human_age(age)}); 'hashscan quarantine list --all' "
                "names them"
            )

    def close(self) -> None:
        """End running removals and rechecks."""
        self._again.close()
        if self._job is not None:
            self._job.close()
            self._job = None
