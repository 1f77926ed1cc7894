"""The report of a period: all its figures in one frozen value.

``hashscan.report.notices`` and ``hashscan.report.matches`` compute the figures of each source.
docs/report.md has the definitions of the figures. Times are seconds since the epoch.
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
    """Figures of one configured volume.

    Attributes:
        name: ``volume 1``, or the volume's path if the report names paths.
        watched: a daemon runs, and gets all changes in the volume.
        whole: end of the volume's last whole scan; ``None``: the volume never had a whole scan.
    """

    name: str
    watched: bool
    whole: float | None


@dataclass(frozen=True, slots=True)
class FilterFigures:
    """One filter in use.

    Attributes:
        name: the filter's category, or ``filter 1`` for a file, whose path is not shown.
        age: seconds since the filter was verified (from a repository), or was made (from a file).
        usable: false if the filter is missing, damaged or too old; the filter's other figures are
            then ``None``.
    """

    name: str
    version: str | None
    digests: int | None
    age: float | None
    usable: bool


@dataclass(frozen=True, slots=True)
class Report:
    """All figures of a report.

    Attributes:
        since, until: beginning and end of the report's period; ``until`` is not part of the period.
        made: time at which the report is made; the report has the items' states at this time.
        host: name of the machine that makes the report.
        unread: parts of the state directory that could not be read; the report lacks their figures.
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
        """Return the share of the volumes that are watched."""
        return share(sum(one.watched for one in self.volumes), len(self.volumes))

    @property
    def wholly_scanned(self) -> float | None:
        """Return the share of the volumes with a whole scan that ended in the period, or later."""
        whole = sum(one.whole is not None and one.whole >= self.since for one in self.volumes)
        return share(whole, len(self.volumes))

    @property
    def oldest_whole(self) -> float | None:
        """Return the seconds within which every volume had a whole scan.

        The figure is the age of the oldest of the volumes' last whole scans. ``None``: a volume
        never had a whole scan, or no volume is configured.
        """
        ended = [one.whole for one in self.volumes]
        if not ended or None in ended:
            return None
        return self.made - min(one for one in ended if one is not None)
