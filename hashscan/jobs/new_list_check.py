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

#: Seconds between two calls of ``tick``.
_TICK = 0.2
#: The first number is below every filter set's number, the second above every scan's number, so
#: every row is judged.
_NO_FILTERSET, _ALL_SCANS = -1, 1 << 62


class ListCheck:
    """Runs the processes that check the catalog against a known set before its first use.

    Attributes:
        known: the known set that is checked.
    """

    def __init__(
        self,
        settings: Settings,
        state: State,
        catalog: Catalog,
        known: KnownSet,
        notice: Callable[[str], None],
    ) -> None:
        """Start the processes of the check; they read the catalog and no customers' files.

        Raises:
            StateError: the catalog cannot be used.
        """
        self.known = known
        self._settings, self._state, self._notice = settings, state, notice
        #: Number of files that would be new candidates, and some of their digests, by filter and
        #: version.
        self._found: dict[tuple[str, str], tuple[int, list[FileDigests]]] = {}
        # The catalog is opened after the fork, because a fork must not copy a transaction.
        catalog.commit()
        self._judging = Rejudging(
            catalog.path, known.filters, known.algorithms, filterset=_NO_FILTERSET, until=_ALL_SCANS
        )

    @property
    def connections(self) -> list[Connection]:
        """Return the connections on which ``take`` expects results; empty: the check has ended."""
        return self._judging.connections

    def take(self, ready: Collection[object]) -> bool:
        """Process the results that the processes sent; return whether the check has ended.

        At the end of the check, each filter version that makes too many new candidates gets one
        hold. If a process dies, only the results that it sent before count.

        Raises:
            StateError: the file that stores the holds cannot be used.
        """
        for connection in [one for one in self.connections if one in ready]:
            part = self._judging.take(connection)
            if part is None:
                self.close()
                break
            for category, version, digests in part.new:
                count, some = self._found.get((category, version), (0, []))
                # The number of digests is limited, because a list with every digest must not fill
                # the memory.
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
        """End the processes of the check of the known set."""
        self._judging.close()


def needs_check(
    settings: Settings, catalog: Catalog, known: KnownSet, action: str | None = None
) -> bool:
    """Return whether a known set must be checked before its first use.

    A known set that was used with this catalog before needs no check. ``action`` is what happens to
    matches; ``None`` means the configured action.
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
    """Check a known set if its check is necessary, and wait for the result.

    ``tick`` is called several times a second. For ``action``, see ``needs_check``.

    Raises:
        StateError: the catalog or the file that stores the holds cannot be used.
    """
    if not needs_check(settings, catalog, known, action):
        return
    check = ListCheck(settings, state, catalog, known, notice)
    try:
        while not check.take(wait(check.connections, _TICK)):
            tick(True)
    finally:
        check.close()
