"""Tracks which parts of each volume are watched; only scans find changes in other parts."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from hashscan.jobs.volume_presence import why_not_there
from hashscan.text import counted, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, KeysView, Sequence

    from hashscan.catalog.store import Catalog
    from hashscan.daemon.log import Level, Log
    from hashscan.fs.volume import Volume
    from hashscan.jobs.daemon_status import VolumeStatus
    from hashscan.jobs.volume_presence import Seen
    from hashscan.watch.source import Coverage


class Coverages:
    """Stores the watch's reports on each volume, and logs changes.

    Attributes:
        said: number of the watch's reports and of changes in them, to detect changed facts.
    """

    def __init__(self, volumes: Sequence[Volume], catalog: Catalog, log: Log) -> None:
        """Start without reports of the watch."""
        self._volumes = volumes
        self._catalog = catalog
        self._log = log
        self._said: dict[int, Coverage] = {}
        self._away: dict[int, str] = {}
        self._awaited: dict[int, float] = {}
        self.said = 0

    def has_report(self, volume: int) -> bool:
        """Return whether the watch of a volume is active, or no watch is expected."""
        return volume not in self._awaited

    def awaits(self, volumes: Iterable[int]) -> None:
        """Note that the watch of these volumes is starting: scans of them wait for it."""
        self._awaited.update(dict.fromkeys(volumes, time.time()))

    def awaits_no_more(self, volumes: Iterable[int]) -> None:
        """Note that no watch of these volumes is starting any more: scans need not wait."""
        for volume in volumes:
            self._awaited.pop(volume, None)

    def heard(self, coverage: Coverage) -> None:
        """Process a report of the watch about one volume."""
        self.awaits_no_more([coverage.volume])
        before = self._said.get(coverage.volume)
        self._said[coverage.volume] = coverage
        self.said += 1
        if before is not None and (before.backend, before.unwatched, before.message) == (
            coverage.backend,
            coverage.unwatched,
            coverage.message,
        ):
            return
        root = shown(self._volumes[coverage.volume].root)
        example = f" (e.g. {shown(coverage.example)})" if coverage.example else ""
        level: Level = "warning" if coverage.unwatched else "info"
        if coverage.backend == "off" or (coverage.unwatched and not coverage.directories):
            what = "is not watched: only scans find changes"
        elif coverage.unwatched:
            what = (
                f"{counted(coverage.unwatched, 'directory', 'directories')}{example} "
                f"{'is' if coverage.unwatched == 1 else 'are'} not watched, only scans find "
                f"changes there; {coverage.directories:,} watched by {coverage.backend}"
            )
        else:
            what = f"watched by {coverage.backend}"
            if coverage.directories:
                what += f", {counted(coverage.directories, 'directory', 'directories')}"
        message = f"{root}: {what}" + (f": {coverage.message}" if coverage.message else "")
        if coverage.blind:
            message += f"; {coverage.blind}: scans find it"
        self._log.limited(f"watched volume, {level}", level, message)

    def partly_watched(self) -> list[int]:
        """Return the volumes with a part that the watch should cover and does not, or cannot."""
        return [number for number, said in self._said.items() if said.unwatched or said.blind]

    @property
    def away(self) -> KeysView[int]:
        """Return the volumes that were missing when they were last probed."""
        return self._away.keys()

    def may_be_scanned(self, number: int, seen: Seen) -> bool:
        """Return whether a volume is there; an empty mount point does not count as the volume."""
        volume = self._volumes[number]
        why = self._why_away(volume, seen)
        root = shown(volume.root)
        if why is None:
            # The volume may have been lost before the daemon's start.
            self._log.record.volume_back(volume.root)
            if self._away.pop(number, None) is not None:
                self.said += 1
                self._log.limited("volume back", "info", f"{root}: it is there again")
            return True
        if self._away.get(number) != why:
            self.said += 1
            self._log.record.volume_lost(volume.root, why)
            message = f"{root}: not scanned: {why}; what is known of its files is kept"
            self._log.limited("volume not there", "error", message)
        self._away[number] = why
        return False

    def _why_away(self, volume: Volume, seen: Seen) -> str | None:
        if seen.error is None and seen.root != volume.root:
            return (
                f"its path leads to {shown(seen.root)} now; if that is meant, reload the "
                "configuration (systemctl reload hashscan)"
            )
        return why_not_there(seen, self._catalog)

    def facts(self) -> list[VolumeStatus]:
        """Return the watch's facts for the status file."""
        found: list[VolumeStatus] = []
        for number, volume in enumerate(self._volumes):
            said = self._said.get(number)
            since = self._awaited.get(number)
            found.append(
                {
                    "path": os.fsdecode(volume.root),
                    "backend": "starting" if said is None or since else said.backend,
                    "starting": since,
                    "directories": 0 if said is None else said.directories,
                    "unwatched": 0 if said is None else said.unwatched,
                    "example": "" if said is None else os.fsdecode(said.example[:1024]),
                    "message": "" if said is None else said.message,
                    "blind": "" if said is None else said.blind,
                    "away": self._away.get(number),
                }
            )
        return found
