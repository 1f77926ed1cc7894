"""Reads the results of the scans of a period from the catalog, for reports."""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from hashscan.catalog import checksums
from hashscan.catalog.candidate_state import IN_PLACE
from hashscan.catalog.candidates import OF_WATCH
from hashscan.catalog.scans import WHOLE
from hashscan.catalog.status_overview import opened
from hashscan.model import FileDigests

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: Counts of a scan that a report sums over all scans of its period.
ADDED = ("hashed", "bytes_hashed", "candidates", "false_positives", "problems")


class InPlace(NamedTuple):
    """A group of matches whose files are still in their place, and the facts that they share."""

    volume: bytes
    category: str
    found_by: str
    found_before: bool
    matches: int


@dataclass(frozen=True, slots=True)
class Period:
    """The results of the scans that ended in a period of time.

    Attributes:
        scans: number of scans that ended in the period.
        whole: number of scans that saw every file of their volumes.
        files: sum of the numbers of files that the scans saw.
        added: sums of ``hashed``, ``bytes_hashed``, ``candidates``, ``false_positives`` and
            ``problems`` over all scans.
        last: counts of the period's last scan, by the names of ``Summary``; empty: no scan has
            counts.
        problems: number of files and directories that cannot be read now, by reason.
    """

    scans: int = 0
    whole: int = 0
    files: int = 0
    added: dict[str, int] = field(default_factory=dict)
    last: dict[str, Any] = field(default_factory=dict)
    problems: dict[str, int] = field(default_factory=dict)


class MatchInPlace(NamedTuple):
    """A match whose file is still in its place; ``found`` is in seconds since the epoch."""

    path: bytes
    category: str
    found: float
    digests: dict[str, str]


def matches_in_place(path: str, since: float, until: float) -> Iterator[MatchInPlace]:
    """Matches in the catalog ``path`` that were found from ``since`` to before ``until``.

    Matches that an administrator restored or allowed are not included.

    Raises:
        StateError: the catalog cannot be read, or has another version.
    """
    if not os.path.lexists(path):
        return
    with opened(path) as connection:
        for full, known, found, *digests in connection.execute(
            "SELECT full_path, known, detected, md5, sha1, sha256 FROM candidate"  # noqa: S608
            f" WHERE {IN_PLACE} AND detected >= ? AND detected < ? ORDER BY id",
            (since, until),
        ):
            category = json.loads(known)[0] if known else ""
            yield MatchInPlace(full, category, found, FileDigests(*digests).as_dict())


def period_of(path: str, since: float, until: float) -> Period:
    """The scans in the catalog ``path`` that ended from ``since`` to before ``until``.

    Raises:
        StateError: the catalog cannot be read, or has another version.
    """
    if not os.path.lexists(path):
        return Period()
    with opened(path) as connection:
        scans = whole = files = 0
        added: Counter[str] = Counter()
        last: dict[str, Any] = {}
        # A scan that is whole for only some of its volumes has two rows, see Scans._part_whole.
        rows = connection.execute(
            "SELECT files, min(interrupted), max(interrupted), summary FROM scan"  # noqa: S608
            f" WHERE kind <> 'watch' AND ended >= ? AND ended < ? AND checksum IS {checksums.SCAN}"
            " GROUP BY started ORDER BY max(id)",
            (since, until),
        )
        for count, lowest, highest, summary in rows:
            scans += 1
            whole += lowest == highest == WHOLE
            files += count or 0
            if summary is not None:
                last = json.loads(summary)
                for name in ADDED:
                    added[name] += last.get(name, 0)
        problems = connection.execute(
            "SELECT reason, count(*) FROM problem GROUP BY reason ORDER BY 2 DESC, 1"
        ).fetchall()
    return Period(
        scans,
        whole,
        files,
        dict(added),
        last,
        dict(problems),
    )


def in_place_of(
    path: str, since: float, until: float, moved: Mapping[bytes, float]
) -> Iterator[InPlace]:
    """Groups of matches in the catalog ``path`` whose files are still in their place.

    Args:
        path: path of the catalog's file.
        since: seconds since the epoch; each group says whether its matches were detected earlier.
        until: seconds since the epoch; only matches that were detected earlier are counted.
        moved: time at which a file was last moved to quarantine, by the file's path. A match in the
            catalog that was found before that time is not counted.

    Raises:
        StateError: the catalog cannot be read, or has another version.
    """
    if not os.path.lexists(path):
        return
    counts: Counter[tuple[bytes, str | None, str, bool]] = Counter()
    with opened(path) as connection:
        for volume, known, found_by, before, full, found in connection.execute(
            f"SELECT volume, known, iif({OF_WATCH.format('seen')}, 'watch', 'scan'),"  # noqa: S608
            f" detected < ?, full_path, found FROM candidate WHERE {IN_PLACE} AND detected < ?",
            (since, until),
        ):
            if moved.get(full, -math.inf) < found:
                counts[volume, known, found_by, bool(before)] += 1
    for (volume, known, found_by, before), number in counts.items():
        yield InPlace(volume, json.loads(known)[0] if known else "", found_by, before, number)
