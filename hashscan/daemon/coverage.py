"""What of each volume is watched, and what only scans find."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from hashscan.agent.presence import why_not_there
from hashscan.text import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from hashscan.agent.presence import Seen
    from hashscan.catalog.store import Catalog
    from hashscan.daemon.log import Log
    from hashscan.fs.volume import Volume
    from hashscan.watch.source import Coverage


class Coverages:
    """Keeps what the watch says of each volume, and tells when it changes.

    Attributes:
        said: how often it said something.
    """

    def __init__(self, volumes: Sequence[Volume], catalog: Catalog, log: Log) -> None:
        """Nothing is known yet."""
        self._volumes = volumes
        self._catalog = catalog
        self._log = log
        self._said: dict[int, Coverage] = {}
        self._away: dict[int, str] = {}
        self._awaited: dict[int, float] = {}
        self.said = 0

    def is_told(self, volume: int) -> bool:
        """Whether the watch has said what it does about a volume: now nothing there is missed."""
        return volume not in self._awaited

    def awaits(self, volumes: Iterable[int]) -> None:
        """Note that a watch is to say what it does about these volumes: scans wait for that."""
        self._awaited.update(dict.fromkeys(volumes, time.time()))

    def awaits_no_more(self, volumes: Iterable[int]) -> None:
        """Note that it will not: scans are all there is."""
        for volume in volumes:
            self._awaited.pop(volume, None)

    def heard(self, told: Coverage) -> None:
        """Take what the watch says."""
        self.awaits_no_more([told.volume])
        before = self._said.get(told.volume)
        self._said[told.volume] = told
        self.said += 1
        if before is not None and (before.backend, before.unwatched, before.message) == (
            told.backend,
            told.unwatched,
            told.message,
        ):
            return
        root = shown(self._volumes[told.volume].root)
        example = f" (e.g. {shown(told.example)})" if told.example else ""
        if told.backend == "off":
            level, what = ("warning" if told.unwatched else "info"), "is not watched: scans only"
        elif told.unwatched:
            level = "warning"
            what = (
                f"{told.unwatched:,} directories{example} are not watched, "
                f"scans find what changes there; {told.directories:,} are ({told.backend})"
            )
        else:
            level, what = "info", f"watched by {told.backend}"
            if told.directories:
                what += f", {told.directories:,} directories"
        message = f"{root}: {what}" + (f": {told.message}" if told.message else "")
        if told.blind:
            message += f"; {told.blind}: scans find it"
        if level == "warning":
            self._log.limited(f"coverage {root}", "warning", message)
        else:
            self._log.limited(f"coverage {root}", "info", message)

    def partly_watched(self) -> list[int]:
        """Volumes of which something should be watched and is not, or cannot be."""
        return [number for number, said in self._said.items() if said.unwatched or said.blind]

    @property
    def away(self) -> list[int]:
        """Volumes that were not there when they were looked at last."""
        return list(self._away)

    def may_be_scanned(self, number: int, seen: Seen) -> bool:
        """Whether a volume is there: an empty mount point is not an empty volume."""
        volume = self._volumes[number]
        why = self._why_away(volume, seen)
        root = shown(volume.root)
        if why is None:
            if self._away.pop(number, None) is not None:
                self.said += 1
                self._log.info(f"{root}: it is there again")
            return True
        if self._away.get(number) != why:
            self.said += 1
            self._log.error(f"{root}: not scanned: {why}; what is known of its files is kept")
        self._away[number] = why
        return False

    def _why_away(self, volume: Volume, seen: Seen) -> str | None:
        if seen.error is None and seen.root != volume.root:
            return (
                f"its path leads to {shown(seen.root)} now; if that is meant, reload the "
                "configuration (systemctl reload hashscan)"
            )
        return why_not_there(seen, self._catalog)

    def facts(self) -> list[dict[str, Any]]:
        """For the file that ``status`` reads."""
        found = []
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
