"""Connects the brakes with the configuration's limits, the counts of files, and the audit log."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING

from hashscan.audit import events
from hashscan.audit.actor import Who
from hashscan.audit.log import AuditLog
from hashscan.audit.reader import newest, read
from hashscan.catalog.status_overview import overview
from hashscan.errors import StateError
from hashscan.quarantine.brake_limits import BrakeLimits
from hashscan.quarantine.brakes import Brakes, used_inodes

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from hashscan.audit.actor import By
    from hashscan.config.settings import Settings
    from hashscan.model import Digest
    from hashscan.quarantine.act import Quarantine
    from hashscan.quarantine.hold_types import Hold
    from hashscan.state import State

#: Seconds after which the number of files in a volume is read again.
_COUNT_AGAIN = 600.0
#: Largest number of digests in one line of the audit log.
_MOST_DIGESTS = 30


def open_brakes(settings: Settings, state: State, quarantine: Quarantine, by: By) -> Brakes:
    """Return the actor that moves matches by ``quarantine`` as long as the brakes allow."""
    return Brakes(
        quarantine,
        state.holds,
        BrakeLimits.of(settings.brakes),
        events=HoldLog(settings, state, by),
        files_of=VolumeFiles(state.catalog),
    )


class HoldLog:
    """Writes the lines about holds (matches that wait for a decision) to the audit log."""

    def __init__(self, settings: Settings, state: State, by: By) -> None:
        """``by``: name of the program or person that acts."""
        # A scan beside the daemon writes to the same log, so the numbers are read again.
        self._directory = os.path.dirname(state.holds)
        audit = settings.audit
        self._log = AuditLog(self._directory, file_size=audit.file_size, files=audit.files)
        self._by = by

    def newest(self) -> int:
        """Return the number of the newest line in the audit log."""
        return newest(self._directory)

    def has_line(self, hold: Hold, after: int) -> bool:
        """Return whether an audit line after number ``after`` reports a hold."""
        return any(
            one.event == events.HELD and one.facts.get("hold") == hold.id
            for one in read(self._directory, after)
        )

    def write_line(self, hold: Hold, digests: Iterable[Digest]) -> None:
        """Write the audit line about a new hold.

        ``digests``: all digests of the hold's content, if the hold is about a single content.
        """
        named = {one.algorithm: one.hex for one in digests} or None
        facts = facts_of(hold) | {"reason": hold.reason, "digest": named}
        self._log.append(events.HELD, Who.current(self._by), **facts)

    def decided(self, event: str, hold: Hold, digests: Iterable[Digest], why: str) -> None:
        """Write the audit line about a decision on a hold."""
        self._log.append(event, Who.current(self._by), **facts_of(hold, digests), because=why)


def facts_of(hold: Hold, digests: Iterable[Digest] = ()) -> dict[str, Any]:
    """Return the facts of a hold for a line of the audit log, with some of its digests."""
    return {
        "hold": hold.id,
        "kind": hold.kind.value,
        "files": hold.files,
        "owners": hold.owners,
        "volume": None if not hold.volume else os.fsdecode(hold.volume),
        "digest": [f"{one.algorithm}:{one.hex}" for one in islice(digests, _MOST_DIGESTS)],
    }


class VolumeFiles:
    """Counts the files of a volume, for the brakes' limits.

    The count is taken from the last whole scan of the volume. Before the first whole scan, the
    count is the number of used inodes of the volume's file system.
    """

    def __init__(self, catalog: str) -> None:
        """``catalog``: path of the catalog, which is read at the first call."""
        self._catalog = catalog
        self._found: dict[bytes, tuple[float, int | None]] = {}

    def __call__(self, volume: bytes) -> int | None:
        """Return the number of files of a volume, or ``None`` if the number is unknown."""
        at, files = self._found.get(volume, (-_COUNT_AGAIN, None))
        now = time.monotonic()
        if now - at >= _COUNT_AGAIN:
            files = self._count(volume)
            self._found[volume] = (now, files)
        return files

    def _count(self, volume: bytes) -> int | None:
        with suppress(StateError):
            found = overview(self._catalog)
            scan = None if found is None else found.by_volume.get(volume)
            if scan is not None and scan.files:
                return scan.files
        return used_inodes(volume)
