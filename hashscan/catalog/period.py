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

#: Counts of a scan that are added up.
ADDED = ("hashed", "bytes_hashed", "candidates", "false_positives", "problems")


class InPlace(NamedTuple):
    """Matches that are still in their place, with what they have in common."""

    volume: bytes
    category: str
    found_by: str
    found_before: bool
    matches: int


@dataclass(frozen=True, slots=True)
class Period:
    """The scans that ended in a period.

    Attributes:
        scans: number of scans; ``whole``: of these, scans that saw every file of their volumes.
        files: number of files, each counted in every scan.
        added: ``hashed``, ``bytes_hashed``, ``candidates``, ``false_positives`` and ``problems``
            of all scans; a file counts in each scan.
        last: counts of the last scan of them, by the names of ``Summary``; empty: there is none.
        problems: number of files and directories that cannot be read now, by reason.
    """

    scans: int = 0
    whole: int = 0
    files: int = 0
    added: dict[str, int] = field(default_factory=dict)
    last: dict[str, Any] = field(default_factory=dict)
    problems: dict[str, int] = field(default_factory=dict)


class MatchInPlace(NamedTuple):
    """A match that is still in its place. ``found``: in seconds since the epoch."""

    path: bytes
    category: str
    found: float
    digests: dict[str, str]


def matches_in_place(path: str, since: float, until: float) -> Iterator[MatchInPlace]:
    """Matches in the catalog ``path`` that were found from ``since`` to before ``until``.

    Matches that an administrator restored or allowed are not among them.

    Raises:
        StateError: it cannot be read, or is of another version.
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
        StateError: it cannot be read, or is of another version.
    """
    if not os.path.lexists(path):
        return Period()
    with opened(path) as connection:
        scans = whole = files = 0
        added: Counter[str] = Counter()
        last: dict[str, Any] = {}
        # A scan that is whole for some of its volumes only has two rows: see Scans._part_whole.
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
    """Matches in the catalog ``path`` that were found before ``until`` and are in their place.

    ``moved``: when a file was moved away from a path last, in seconds since the epoch. If no scan
    looked there since then, the catalog still has the match.

    Raises:
        StateError: it cannot be read, or is of another version.
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
