"""The report of a period: all its figures in one frozen value.

The figures of each source are computed in a module of its own: ``notices``, ``matches``.
docs/report.md has their definitions. Times are seconds since the epoch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hashscan.report.removal import share

if TYPE_CHECKING:
    from hashscan.catalog.period import Period
    from hashscan.report.matches import MatchFigures
    from hashscan.report.notices import NoticeFigures


@dataclass(frozen=True, slots=True)
class Watched:
    """One configured volume.

    Attributes:
        name: ``volume 1``, or its path if the report names paths.
        watched: all changes in it are seen: a daemon runs, and watches all of it.
        whole: when its last whole scan ended; ``None``: there was none.
    """

    name: str
    watched: bool
    whole: float | None


@dataclass(frozen=True, slots=True)
class FilterFigures:
    """One filter in use.

    Attributes:
        name: category, or ``filter 1`` for a file, whose path is not shown.
        age: seconds since it was verified, or made.
        usable: false: it is missing, damaged or too old, and the other values are ``None``.
    """

    name: str
    version: str | None
    digests: int | None
    age: float | None
    usable: bool


@dataclass(frozen=True, slots=True)
class Report:
    """A report.

    Attributes:
        since, until: the period, from the first to before the second.
        made: when the report is made: states are as they are then.
        host: name of the machine.
        unread: parts of the state that could not be read, so that their figures are missing.
    """

    since: float
    until: float
    made: float
    host: str
    notices: NoticeFigures
    matches: MatchFigures
    scans: Period
    volumes: tuple[Watched, ...]
    filters: tuple[FilterFigures, ...]
    unread: tuple[str, ...] = ()

    @property
    def watched(self) -> float | None:
        """Share of the volumes that are watched."""
        return share(sum(one.watched for one in self.volumes), len(self.volumes))

    @property
    def wholly_scanned(self) -> float | None:
        """Share of the volumes of which a whole scan ended in the period, or later."""
        whole = sum(one.whole is not None and one.whole >= self.since for one in self.volumes)
        return share(whole, len(self.volumes))

    @property
    def oldest_whole(self) -> float | None:
        """Seconds since the last whole scan of the volume for which it is longest ago.

        ``None``: a volume was never wholly scanned, or there is no volume.
        """
        ended = [one.whole for one in self.volumes]
        if not ended or None in ended:
            return None
        return self.made - min(one for one in ended if one is not None)
