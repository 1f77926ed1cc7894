"""Decides whether one more file may move to quarantine: pure functions on counts.

For a file of an owner, all earlier files of the same owner count, and the files of each other owner
count up to a tenth of the limit. So a customer who copies a known file a thousand times, or uploads
thousands of known files, trips the brake only for the customer's own files.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hashscan.config.brakes import BrakesSettings

#: Seconds in which ``BrakeLimits.per_hour`` files can move.
HOUR = 3600.0
_SHARES = 10


class Scope(StrEnum):
    """The owners whose files a brake holds."""

    OWNER = "owner"  #: the brake holds the files of one owner
    ALL = "all"  #: the brake holds the files of all owners


@dataclass(frozen=True, slots=True)
class BrakeLimits:
    """The configuration's section ``brakes``; ``None``: no limit; ``window`` is in seconds."""

    owners: int | None = None
    files: int | None = None
    window: float = 7 * 86400.0
    per_hour: int | None = None
    share: float | None = None
    share_from: int = 1

    @classmethod
    def of(cls, given: BrakesSettings) -> Self:
        """The limits of the brakes in a configuration."""
        return cls(
            given.owners,
            given.files,
            given.window,
            given.per_hour,
            given.share,
            given.share_from,
        )

    def of_volume(self, files: int | None) -> int | None:
        """Most files that may move from a volume with ``files`` files; ``None``: no limit."""
        if self.share is None or files is None:
            return None
        return max(self.share_from, int(files * self.share))


def tripped(counts: Mapping[int, int], uid: int, limit: int | None) -> Scope | None:
    """The owners whose files a brake holds from a file of ``uid`` on; ``None``: the file may move.

    ``counts`` has the number of moved files by the owner's user id.
    """
    if limit is None:
        return None
    most = max(1, limit // _SHARES)
    others = sum(min(count, most) for owner, count in counts.items() if owner != uid)
    own = counts.get(uid, 0)
    if others + min(own, most) >= limit:
        return Scope.ALL
    return Scope.OWNER if own + others >= limit else None


def too_many_owners(counts: Mapping[int, int], uid: int, limit: int | None) -> bool:
    """Whether the move of a file of the owner ``uid`` would exceed the limit of owners."""
    return limit is not None and uid not in counts and len(counts) >= limit
