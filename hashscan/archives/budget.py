"""The limits for the work on one archive: members, unpacked bytes, seconds."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hashscan.errors import UsageError
from hashscan.text import human_size

if TYPE_CHECKING:
    from collections.abc import Callable


class ArchiveError(UsageError):
    """An archive cannot be read to its end."""


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """The limits for the work on one archive.

    Attributes:
        members: maximum number of members of the archive, including members that are left out.
        produced: maximum number of bytes that the archive unpacks to. Bytes are counted when they
            are unpacked, whatever the archive's headers say.
        seconds: maximum duration of the work on the archive, in seconds.
    """

    members: int = 1_000_000
    produced: int = 64 << 30
    seconds: float = 3600.0


class Budget:
    """The members, bytes and seconds that the work on one archive used so far.

    Attributes:
        produced: number of bytes that were unpacked from the archive so far.
    """

    def __init__(self, limits: ArchiveLimits, clock: Callable[[], float] = time.monotonic) -> None:
        """Start the clock of the work on an archive; no members and bytes are counted yet."""
        self._limits = limits
        self._clock = clock
        self._until = clock() + limits.seconds
        self._members = 0
        self.produced = 0

    def member(self) -> None:
        """Count a member of the archive.

        Raises:
            ArchiveError: the archive has too many members.
        """
        self._members += 1
        if self._members > self._limits.members:
            raise ArchiveError(f"has more than {self._limits.members:,} members")
        self._check_time()

    def produce(self, count: int) -> None:
        """Count bytes that were unpacked from the archive.

        Raises:
            ArchiveError: the archive unpacks to too many bytes, or the work took too long.
        """
        self.produced += count
        if self.produced > self._limits.produced:
            raise ArchiveError(f"holds more than {human_size(self._limits.produced)}")
        self._check_time()

    def _check_time(self) -> None:
        if self._clock() > self._until:
            raise ArchiveError(f"takes longer than {self._limits.seconds:.0f} s to read")
