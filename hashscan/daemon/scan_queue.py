"""Queues scans: for each volume the reason for its next scan and the earliest start."""

from __future__ import annotations

import time
from typing import NamedTuple

#: Kinds of scans that no customer can cause.
_ORDINARY = {"start", "reload", "schedule", "mount"}
#: The pause after a scan that a loss of changes requested, as a multiple of the scan's length.
_REST_AFTER = 2.0
_SHORTEST_REST = 5.0


class _Request(NamedTuple):
    """Describes a requested scan: earliest start, reason, first request since a mount change."""

    at: float
    kind: str
    since: float


class ScanQueue:
    """Holds the requested scans, at most one scan for each volume."""

    def __init__(self) -> None:
        """Start without requested scans."""
        self._requests: dict[int, _Request] = {}
        self._rest_until: dict[int, float] = {}

    def request(self, volume: int, kind: str, *, running: bool = False) -> None:
        """Request a scan of a volume, which begins when no other scan is running.

        A customer can cause losses of changes. A loss is followed by a scan, but never by scans
        without a pause. ``running`` is set if the volume is being scanned now.
        """
        now = time.monotonic()
        at = now + (_SHORTEST_REST if running else 0.0)
        if kind not in _ORDINARY:
            at = max(at, self._rest_until.get(volume, 0.0))
        before = self._requests.get(volume)
        since = now
        if before is not None:
            if kind != "mount":
                # The time of the first request is kept; otherwise a stream of losses would postpone
                # the scan forever.
                since = before.since
            if at >= before.at:
                at, kind = before.at, before.kind
        self._requests[volume] = _Request(at, kind, since)

    def due(self) -> list[int]:
        """Return the volumes whose requested scan may begin."""
        now = time.monotonic()
        return [number for number, one in self._requests.items() if one.at <= now]

    def since(self, volume: int) -> float:
        """Return the monotonic time after which a volume must be probed before its scan."""
        one = self._requests[volume]
        return max(one.since, one.at)

    def begun(self, volumes: list[int]) -> str:
        """Remove the requests of volumes whose scan begins; return the reason of the scan."""
        kinds = [self._requests.pop(number).kind for number in volumes if number in self._requests]
        return kinds[0] if kinds else "start"

    def ended(self, volumes: list[int], kind: str, seconds: float) -> None:
        """Set the pause after a scan of ``volumes`` that took ``seconds``."""
        rest = _SHORTEST_REST
        if kind not in _ORDINARY:
            rest = max(rest, _REST_AFTER * seconds)
        until = time.monotonic() + rest
        for number in volumes:
            self._rest_until[number] = until
            if number in self._requests:
                one = self._requests[number]
                self._requests[number] = one._replace(at=max(one.at, until))
