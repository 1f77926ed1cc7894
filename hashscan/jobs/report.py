"""Reads the notices, the catalog, the quarantine and the filters for the periodic report.

If a part of the state cannot be read, the report names this part and has the other figures.
"""

from __future__ import annotations

import os
import socket
import time
from contextlib import ExitStack
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

from hashscan.catalog.period import InPlace, Period, in_place_of, period_of
from hashscan.catalog.status_overview import overview
from hashscan.errors import HashscanError, QuarantineError
from hashscan.jobs.coverage_gaps import resolved_roots
from hashscan.jobs.daemon_status import status_of_running_daemon
from hashscan.jobs.status import filters_of
from hashscan.machine import is_limited, with_cause
from hashscan.notices.reader import open_existing
from hashscan.quarantine.manage import records
from hashscan.quarantine.records import AWAY
from hashscan.quarantine.store import Store
from hashscan.report.figures import FilterFigures, Report, Watched
from hashscan.report.matches import match_figures
from hashscan.report.notices import notice_figures
from hashscan.state import State
from hashscan.text import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from hashscan.config.settings import Settings
    from hashscan.notices.reader import Outcome
    from hashscan.quarantine.manage import Listed
    from hashscan.report.matches import MatchFigures
    from hashscan.report.notices import NoticeFigures

T = TypeVar("T")
#: Name under which the report counts all volumes that are not in the configuration.
_ELSEWHERE = "elsewhere"


class _Sources:
    """Reads each part of the state directory, and stores why a part could not be read."""

    def __init__(
        self, settings: Settings, since: float, until: float, made: float, *, names: bool
    ) -> None:
        self.settings = settings
        self.state = State(settings.state, make=False)
        self.since = since
        self.until = until
        self.made = made
        self.names = names
        self.roots = resolved_roots(settings)
        self.faults: dict[str, str] = {}

    def part(self, name: str, read: Callable[[], T], default: Callable[[], T]) -> T:
        """Return the result of ``read``; if it raises, note why and return ``default()``.

        Raises:
            HashscanError: a limit of this process prevents the reading.
        """
        try:
            return read()
        except HashscanError as error:
            if is_limited(error):
                raise
            self.faults[name] = with_cause(error)
            return default()

    def name_of(self, volume: bytes) -> str:
        """Return the name of a volume in the report: a number, or its path if ``names`` is set."""
        if self.names:
            return shown(volume)
        return f"volume {self.roots.index(volume) + 1}" if volume in self.roots else _ELSEWHERE

    def notices(self) -> NoticeFigures:
        reader = open_existing(self.state.notices)
        if reader is None:
            return self.no_notices()
        with reader, reader.snapshot():
            return notice_figures(
                reader.outcomes(self.since, self.until),
                self.made,
                open_before=reader.open_before(self.since, self.made),
                names=self.names,
            )

    def no_notices(self) -> NoticeFigures:
        return notice_figures((), self.made)

    def scans(self) -> Period:
        return period_of(self.state.catalog, self.since, self.until)

    def matches(self) -> MatchFigures:
        with ExitStack() as stack:
            try:
                directory = os.fsencode(self.settings.quarantine_directory)
                store = stack.enter_context(Store.open(directory, create=False))
            except QuarantineError as error:
                if error.reason != "no-store":
                    raise
                return self.no_records()
            return self._figures(records(store))

    def no_records(self) -> MatchFigures:
        return self._figures(())

    def _figures(self, listed: Iterable[Listed]) -> MatchFigures:
        moved: dict[bytes, float] = {}

        def in_place() -> Iterator[InPlace]:
            # The catalog is read after the records, because reading the records fills ``moved``.
            yield from self.part(
                "catalog",
                lambda: list(in_place_of(self.state.catalog, self.since, self.until, moved)),
                list[InPlace],
            )

        return match_figures(
            _noting_moves(listed, moved), in_place(), self.since, self.until, name_of=self.name_of
        )

    def volumes(self) -> tuple[Watched, ...]:
        seen = overview(self.state.catalog)
        by_volume = {} if seen is None else seen.by_volume
        daemon = status_of_running_daemon(self.state)
        watched = set()
        if daemon is not None:
            watched = {
                os.fsencode(one["path"])
                for one in daemon.get("volumes", ())
                if one["backend"] not in {"off", "starting"}
                and not (one.get("away") or one.get("unwatched") or one.get("blind"))
            }
        return tuple(
            Watched(
                self.name_of(root),
                root in watched,
                (by_volume[root].ended or by_volume[root].started) if root in by_volume else None,
            )
            for root in self.roots
        )

    def filters(self) -> tuple[FilterFigures, ...]:
        _, found = filters_of(self.settings, self.state)
        return tuple(
            FilterFigures(
                shown(one.name) if self.names or "/" not in one.name else f"filter {number}",
                one.version,
                one.digests,
                one.age,
                one.trouble is None,
            )
            for number, one in enumerate(found, 1)
        )


def _noting_moves(listed: Iterable[Listed], moved: dict[bytes, float]) -> Iterator[Listed]:
    """Yield the quarantine's records; store in ``moved`` when each path was last moved away."""
    for one in listed:
        record = one.record
        if record is not None and record.state in AWAY:
            path, when = record.origin.full_path, datetime.fromisoformat(record.acted).timestamp()
            moved[path] = max(when, moved.get(path, when))
        yield one


def report_of(
    settings: Settings,
    since: float,
    until: float,
    *,
    made: float | None = None,
    names: bool = False,
) -> tuple[Report, dict[str, str]]:
    """Return the report on a period, and why parts of the state could not be read, by part.

    Args:
        settings: the configuration.
        since: the first second of the period, in seconds since the epoch.
        until: the first second after the period.
        made: the present time, in seconds since the epoch; ``None``: read the clock.
        names: whether to print the paths of volumes, and the values of open items.

    Raises:
        HashscanError: the state directory cannot be used, or a limit of this process prevents the
            reading.
    """
    sources = _Sources(settings, since, until, time.time() if made is None else made, names=names)
    scans = sources.part("catalog", sources.scans, Period)
    report = Report(
        since=since,
        until=until,
        made=sources.made,
        host=socket.gethostname(),
        notices=sources.part("notices", sources.notices, sources.no_notices),
        matches=sources.part("quarantine", sources.matches, sources.no_records),
        scans=scans,
        volumes=sources.part("catalog", sources.volumes, tuple),
        filters=sources.part("filters", sources.filters, tuple),
        unread=tuple(sources.faults),
    )
    return report, sources.faults


def intake_of(settings: Settings, since: float, until: float) -> Iterator[Outcome]:
    """Return the items of the notices received in a period, oldest first.

    Raises:
        HashscanError: the state directory or the file that stores the notices cannot be read.
    """
    reader = open_existing(State(settings.state, make=False).notices)
    if reader is not None:
        with reader, reader.snapshot():
            yield from reader.outcomes(since, until)
