"""Tries a new configuration before it replaces the old configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hashscan.config.settings import require_service, require_volumes
from hashscan.daemon.background_job import Background, Failure
from hashscan.errors import UsageError
from hashscan.jobs.startup_check import not_fetched_yet
from hashscan.jobs.sync import run_sync

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from hashscan.config.settings import Settings
    from hashscan.daemon.log import Log, Repeats
    from hashscan.errors import FilterError
    from hashscan.known.sync.client import SyncReport
    from hashscan.state import State


class Reloading:
    """Tries the settings of a reload; filters that were never fetched are fetched first."""

    def __init__(self, state: State, log: Log, opening: Repeats) -> None:
        """Start without new settings; ``opening`` logs the messages of opening a known set."""
        self._state = state
        self._log = log
        self._opening = opening
        self._new: Settings | None = None
        self._fetch: Background[SyncReport] | None = None

    @property
    def connections(self) -> list[Connection]:
        """Return connections that become readable when ``take`` can return the settings."""
        return [] if self._fetch is None else [self._fetch.connection]

    def begin(self, settings: Settings, now: Settings) -> Settings | None:
        """Try ``settings``, which are to replace the settings ``now``.

        Returns:
            ``settings``, if everything that they name can be used; ``None`` while a filter is
            fetched.

        Raises:
            HashscanError: the new ``settings`` cannot be used.
        """
        self.close()
        require_volumes(settings)
        require_service(settings)
        if settings.state != now.state:
            raise UsageError("the state directory cannot be changed by a reload: restart")
        missing = self._try(settings)
        if missing is None:
            return settings
        self._log.info(
            f"the filters of the new configuration are fetched first, the old one stays until then:"
            f" {missing}"
        )
        state = self._state
        self._new = settings
        self._fetch = Background(lambda: run_sync(settings, state, by="daemon"))
        return None

    def take(self) -> Settings:
        """Return the new settings after the missing filters were fetched.

        Raises:
            HashscanError: the new settings cannot be used.
        """
        assert self._fetch is not None
        assert self._new is not None
        job, self._fetch = self._fetch, None
        settings, self._new = self._new, None
        report = job.take()
        if isinstance(report, Failure):
            raise UsageError(report.message)
        if (missing := self._try(settings)) is not None:
            raise missing
        return settings

    def _try(self, settings: Settings) -> FilterError | None:
        with self._opening.run() as notice:
            return not_fetched_yet(settings, self._state, notice, keep=True)

    def close(self) -> None:
        """Stop trying the new settings of a reload."""
        if self._fetch is not None:
            self._fetch.close()
            self._fetch = None
