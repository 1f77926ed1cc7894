"""Which volume is to be scanned next, why, and not before when."""

from __future__ import annotations

import time
from typing import NamedTuple

#: Scans that no customer can bring about.
_ORDINARY = {"start", "reload", "schedule", "mount"}
#: After a scan that a loss asked for: so many of its lengths until the next one like it.
_REST_AFTER = 2.0
_SHORTEST_REST = 5.0


class _Want(NamedTuple):
    """Not before when, why, and since when it has been wanted as things are mounted now."""

    at: float
    kind: str
    since: float


class Wants:
    """The scans that are to come, one for each volume at most."""

    def __init__(self) -> None:
        """Nothing is wanted."""
        self._wanted: dict[int, _Want] = {}
        self._rest_until: dict[int, float] = {}

    def want(self, volume: int, kind: str, *, running: bool = False) -> None:
        """Have a volume scanned as soon as no other scan goes on.

        What a customer can bring about (a loss) is made good, but not by scans without a pause.
        ``running``: it is being scanned now.
        """
        now = time.monotonic()
        at = now + (_SHORTEST_REST if running else 0.0)
        if kind not in _ORDINARY:
            at = max(at, self._rest_until.get(volume, 0.0))
        before = self._wanted.get(volume)
        since = now
        if before is not None:
            if kind != "mount":
                # Else who brings losses about faster than a volume is looked at would keep every
                # answer too old, and so every scan from its begin.
                since = before.since
            if at >= before.at:
                at, kind = before.at, before.kind
        self._wanted[volume] = _Want(at, kind, since)

    def due(self) -> list[int]:
        """Volumes whose time has come."""
        now = time.monotonic()
        return [number for number, one in self._wanted.items() if one.at <= now]

    def since(self, volume: int) -> float:
        """After when a volume must have been looked at to be scanned, by the monotonic clock."""
        one = self._wanted[volume]
        return max(one.since, one.at)

    def begun(self, volumes: list[int]) -> str:
        """Take note that these are scanned now; why."""
        kinds = [self._wanted.pop(number).kind for number in volumes if number in self._wanted]
        return kinds[0] if kinds else "start"

    def ended(self, volumes: list[int], kind: str, seconds: float) -> None:
        """Take note that a scan of these has ended, which took so many seconds."""
        rest = _SHORTEST_REST
        if kind not in _ORDINARY:
            rest = max(rest, _REST_AFTER * seconds)
        until = time.monotonic() + rest
        for number in volumes:
            self._rest_until[number] = until
            if number in self._wanted:
                one = self._wanted[number]
                self._wanted[number] = one._replace(at=max(one.at, until))
