"""How much one archive may cost: members, produced bytes, seconds."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hashscan.errors import UsageError
from hashscan.text import human_size

if TYPE_CHECKING:
    from collections.abc import Callable


class ArchiveError(UsageError):
    """An archive that cannot be read to its end."""


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """Bounds for one archive.

    Attributes:
        members: number of members, those that are left out included.
        produced: bytes that come out of it, counted when they come, whatever its headers say.
        seconds: of work.
    """

    members: int = 1_000_000
    produced: int = 64 << 30
    seconds: float = 3600.0


class Budget:
    """What one archive has cost so far.

    Attributes:
        produced: bytes that came out of it.
    """

    def __init__(self, limits: ArchiveLimits, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with nothing."""
        self._limits = limits
        self._clock = clock
        self._until = clock() + limits.seconds
        self._members = 0
        self.produced = 0

    def member(self) -> None:
        """Count a member.

        Raises:
            ArchiveError: the archive has too many members.
        """
        self._members += 1
        if self._members > self._limits.members:
            raise ArchiveError(f"has more than {self._limits.members:,} members")
        self._check_time()

    def produce(self, count: int) -> None:
        """Count produced bytes.

        Raises:
            ArchiveError: they are too many, or took too long.
        """
        self.produced += count
        if self.produced > self._limits.produced:
            raise ArchiveError(f"holds more than {human_size(self._limits.produced)}")
        self._check_time()

    def _check_time(self) -> None:
        if self._clock() > self._until:
            raise ArchiveError(f"takes longer than {self._limits.seconds:.0f} s to read")
