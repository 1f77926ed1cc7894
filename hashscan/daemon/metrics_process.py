"""Runs the process that exports the metrics, if ``metrics.listen`` or ``metrics.textfile`` is set.

The process forks no other process, and touches no customer's file. If the process dies, the daemon
starts it again.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from hashscan.daemon.timers import Every
from hashscan.errors import HashscanError
from hashscan.jobs.machine_limits import is_limit, limit_reached
from hashscan.processes import Child

if TYPE_CHECKING:
    from collections.abc import Collection
    from multiprocessing.connection import Connection

    from hashscan.config.settings import Settings
    from hashscan.daemon.log import Log

#: Seconds between the end of the exporting process and its next start.
_AGAIN = 30.0


class Exporting:
    """Exports the metrics of the daemon."""

    def __init__(self, settings: Settings, log: Log) -> None:
        """Prepare to export; the first ``step`` starts the process."""
        self._log = log
        self._child: Child | None = None
        self.use(settings)

    def use(self, settings: Settings) -> None:
        """Use these settings for the metrics from now on."""
        self.close()
        self._settings = settings
        section = settings.metrics
        wanted = section.listen is not None or section.textfile is not None
        self._due = Every(_AGAIN if wanted else None, at_once=True)

    @property
    def connections(self) -> list[Connection]:
        """Return the connection that is readable when ``take`` can log messages of the process."""
        return [] if self._child is None else [self._child.connection]

    def step(self) -> None:
        """Start the exporting process if the settings want it and it is not running."""
        if self._child is not None or not self._due.due():
            return
        try:
            self._child = Child(_main, self._settings)
        except OSError as error:
            why = limit_reached(error) if is_limit(error) else str(error)
            self._log.limited(
                "metrics", "warning", f"metrics: {why}; tried again in {_AGAIN:.0f} s"
            )

    def take(self, ready: Collection[object]) -> None:
        """Log the messages of the exporting process."""
        if self._child is None or self._child.connection not in ready:
            return
        try:
            message = self._child.connection.recv()
        except (EOFError, OSError):
            self.close()
            self._due = Every(_AGAIN)
            message = f"metrics: their process has ended; it is started again in {_AGAIN:.0f} s"
        self._log.limited("metrics", "warning", message)

    def close(self) -> None:
        """End the exporting process."""
        if self._child is not None:
            self._child.end()
            self._child = None


def _main(connection: Connection, settings: Settings) -> None:
    from hashscan.metrics.exporter import export  # noqa: PLC0415 - the daemon does not need it

    with suppress(BrokenPipeError):
        try:
            export(settings, connection.send)
        except HashscanError as error:
            connection.send(str(error))
