"""The report of a period: all its figures in one frozen value.

``notices`` and ``matches`` compute the figures of each source.
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
        name: ``volume 1``, or the volume's path if the report names paths.
        watched: a daemon runs, and gets all changes in the volume.
        whole: end of the volume's last whole scan; ``None``: there was none.
    """

    name: str
    watched: bool
    whole: float | None


@dataclass(frozen=True, slots=True)
class FilterFigures:
    """One filter in use.

    Attributes:
        name: category, or ``filter 1`` for a file, whose path is not shown.
        age: seconds since the filter was verified (repository), or made (file).
        usable: false if the filter is missing, damaged or too old; the other values are then
            ``None``.
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
        since, until: beginning and end of the period; ``until`` is not part of the period.
        made: time at which the report is made; the items' states are those of this time.
        host: name of the machine.
        unread: parts of the state that could not be read; their figures are missing.
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

        This is the age of the oldest of the volumes' last whole scans. ``None``: a volume was never
        wholly scanned, or there is no volume.
        """
        ended = [one.whole for one in self.volumes]
        if not ended or None in ended:
            return None
        return self.made - min(one for one in ended if one is not None)
