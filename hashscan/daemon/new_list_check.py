"""Checks newer filters while the daemon continues with the filters in use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hashscan.jobs.new_list_check import ListCheck, needs_check

if TYPE_CHECKING:
    from collections.abc import Collection
    from multiprocessing.connection import Connection

    from hashscan.catalog.store import Catalog
    from hashscan.config.settings import Settings
    from hashscan.daemon.log import Log
    from hashscan.jobs.known_set import KnownSet
    from hashscan.state import State


class NewLists:
    """Runs the check of a newer known set by the brakes, if such a check is necessary.

    A check of a large catalog takes minutes. Meanwhile no change is missed, and no match moves
    because of the new filters.
    """

    def __init__(self, settings: Settings, state: State, catalog: Catalog, log: Log) -> None:
        """Prepare to check against ``catalog``, whose files are judged."""
        self._settings, self._state = settings, state
        self._catalog, self._log = catalog, log
        self._check: ListCheck | None = None

    @property
    def known(self) -> KnownSet | None:
        """Return the known set that the brakes check now."""
        return None if self._check is None else self._check.known

    def begin(self, known: KnownSet) -> bool:
        """Begin to check a known set, if necessary; return whether the check has begun.

        A check of an earlier known set ends.

        Raises:
            StateError: the catalog cannot be used.
        """
        self.end()
        if not needs_check(self._settings, self._catalog, known):
            return False
        self._check = ListCheck(self._settings, self._state, self._catalog, known, self._log.notice)
        return True

    @property
    def connections(self) -> list[Connection]:
        """Return connections that become readable when ``take`` can process a report."""
        return [] if self._check is None else self._check.connections

    def take(self, ready: Collection[object]) -> KnownSet | None:
        """Process the check's reports; return the known set if it is checked and can be used now.

        Raises:
            StateError: the file that stores the holds cannot be used.
        """
        check = self._check
        if check is None or not check.take(ready):
            return None
        self.end()
        return check.known

    def end(self) -> None:
        """End the check of the known set."""
        if self._check is not None:
            self._check.close()
            self._check = None
