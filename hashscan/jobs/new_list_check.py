"""Checks how many candidates a new filter version would make, before files move because of it."""

from __future__ import annotations

from multiprocessing.connection import wait
from typing import TYPE_CHECKING

from hashscan.quarantine.hold_types import MOST_DIGESTS
from hashscan.quarantine.holds import Holds
from hashscan.scan.rejudge import Rejudging
from hashscan.text import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from multiprocessing.connection import Connection

    from hashscan.catalog.store import Catalog
    from hashscan.config.settings import Settings
    from hashscan.jobs.known_set import KnownSet
    from hashscan.model import FileDigests
    from hashscan.state import State

#: Seconds between two signs of life.
_TICK = 0.2
#: No filter set has the first number, and no scan has a number above the second: so every row is
#: judged.
_NO_FILTERSET, _ALL_SCANS = -1, 1 << 62


class ListCheck:
    """The processes that check the catalog against a known set that is not used yet.

    Attributes:
        known: the set.
    """

    def __init__(
        self,
        settings: Settings,
        state: State,
        catalog: Catalog,
        known: KnownSet,
        notice: Callable[[str], None],
    ) -> None:
        """Start the processes; they read no file.

        Raises:
            StateError: the catalog cannot be used.
        """
        self.known = known
        self._settings, self._state, self._notice = settings, state, notice
        #: By filter and version, how many files would be new candidates, and the digests of some.
        self._found: dict[tuple[str, str], tuple[int, list[FileDigests]]] = {}
        catalog.commit()  # a fork must not copy a transaction
        self._judging = Rejudging(
            catalog.path, known.filters, known.algorithms, filterset=_NO_FILTERSET, until=_ALL_SCANS
        )

    @property
    def connections(self) -> list[Connection]:
        """Readable when ``take`` has something to take; empty: the check has ended."""
        return self._judging.connections

    def take(self, ready: Collection[object]) -> bool:
        """Take what the processes report; return whether the check has ended.

        At the end of the check, one hold is made for each version that makes too many new
        candidates. If a process dies, only its reports so far count.

        Raises:
            StateError: the file of holds cannot be used.
        """
        for connection in [one for one in self.connections if one in ready]:
            part = self._judging.take(connection)
            if part is None:
                self.close()
                break
            for category, version, digests in part.new:
                count, some = self._found.get((category, version), (0, []))
                # A list with every digest must not fill the memory.
                if count <= MOST_DIGESTS:
                    some.append(digests)
                self._found[category, version] = (count + 1, some)
        if self.connections:
            return False
        self._hold()
        return True

    def _hold(self) -> None:
        limit = self._settings.brakes.new_candidates
        for (category, version), (count, digests) in self._found.items():
            if limit is None or count <= limit:
                continue
            with Holds(self._state.holds) as holds:
                hold = holds.hold_list(category, version, count, digests)
            if hold is not None:
                self._notice(
                    f"filter {category}, version {version}: {counted(count, 'file')} would be"
                    f" new candidates, so {hold.id} holds their matches; decide with 'hashscan hold"
                    f" show {hold.id}', then 'hashscan hold release' or 'hashscan hold dismiss'"
                )

    def close(self) -> None:
        """End the processes."""
        self._judging.close()


def needs_check(
    settings: Settings, catalog: Catalog, known: KnownSet, action: str | None = None
) -> bool:
    """Whether a known set has to be checked before it is used.

    A known set that was used with this catalog before needs no check. ``action``: what happens to
    matches; ``None``: as configured.
    """
    moves = (action or settings.quarantine.action) == "quarantine" and not known.test
    return (
        moves
        and settings.brakes.new_candidates is not None
        and not catalog.has_filterset(known.name)
    )


def check_lists(
    settings: Settings,
    state: State,
    catalog: Catalog,
    known: KnownSet,
    notice: Callable[[str], None],
    tick: Callable[[bool], None] = lambda _goes_on: None,
    *,
    action: str | None = None,
) -> None:
    """Check a known set if that is necessary, and wait for the result.

    ``tick`` is called several times a second. ``action``: see ``needs_check``.

    Raises:
        StateError: the catalog or the file of holds cannot be used.
    """
    if not needs_check(settings, catalog, known, action):
        return
    check = ListCheck(settings, state, catalog, known, notice)
    try:
        while not check.take(wait(check.connections, _TICK)):
            tick(True)
    finally:
        check.close()
