"""Judges a new filter version before it is trusted with moving files: how much would it find?"""

from __future__ import annotations

from multiprocessing.connection import wait
from typing import TYPE_CHECKING

from hashscan.quarantine.holds import Holds
from hashscan.scan.rejudging import Rejudging
from hashscan.text import counted

if TYPE_CHECKING:
    from collections.abc import Callable

    from hashscan.agent.known_set import KnownSet
    from hashscan.catalog.store import Catalog
    from hashscan.config.settings import Settings
    from hashscan.model import FileDigests
    from hashscan.state import State

#: Seconds between two signs of life.
_TICK = 0.2
#: No set of filters has this number, and no scan a larger one than that: every row is judged.
_NO_FILTERSET, _ALL_SCANS = -1, 1 << 62


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
    """Hold the matches of each new filter version that makes too many new candidates.

    Call this before ``catalog.filterset(known.name)``: a known set that the catalog has seen is not
    judged again. No file is read. ``tick`` is called several times a second. ``action``: what
    happens to matches; ``None``: as configured.

    Raises:
        StateError: the catalog or the file of holds cannot be used.
    """
    limit = settings.brakes.new_candidates
    if (action or settings.quarantine.action) != "quarantine" or limit is None or known.test:
        return
    if catalog.has_filterset(known.name):
        return
    catalog.commit()  # a fork must not copy a transaction
    for (category, version), files in _new_candidates(catalog.path, known, tick).items():
        if len(files) > limit:
            with Holds(state.holds) as holds:
                hold = holds.hold_list(category, version, len(files), files)
            if hold is not None:
                notice(
                    f"filter {category}, version {version}: {counted(len(files), 'file')} would be"
                    f" new candidates, so {hold.id} holds their matches; decide with 'hashscan hold"
                    f" show {hold.id}', then 'hashscan hold release' or 'hashscan hold dismiss'"
                )


def _new_candidates(
    path: str, known: KnownSet, tick: Callable[[bool], None]
) -> dict[tuple[str, str], list[FileDigests]]:
    """By filter and version, the digests of files that were no candidates, and would be."""
    found: dict[tuple[str, str], list[FileDigests]] = {}
    judging = Rejudging(
        path, known.filters, known.algorithms, filterset=_NO_FILTERSET, until=_ALL_SCANS
    )
    try:
        while judging.connections:
            for connection in wait(judging.connections, _TICK):
                part = judging.take(connection)  # type: ignore[arg-type]
                if part is None:
                    return found  # it died; each scan judges anyway
                for category, version, digests in part.new:
                    found.setdefault((category, version), []).append(digests)
            tick(True)
    finally:
        judging.close()
    return found
