"""Limits the lines of the audit log about failed moves of an owner.

A customer who renames a file all the time makes every move of it fail. Each try would have two
lines in the audit log, and push everything else out of it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from hashscan.fs.accounts import Accounts

if TYPE_CHECKING:
    from collections.abc import Callable

#: Failed moves of an owner that have lines of their own within an hour. A path counts as one more
#: for each ``_LONG`` bytes.
_MOST, _HOUR = 100, 3600.0
_LONG = 1000
#: Seconds for which one line covers all further tries.
_MINUTE = 60.0


class _Owner:
    def __init__(self, began: float) -> None:
        self.began = began
        self.failed = 0
        self.line_at: float | None = None
        self.left_out = 0


class Attempts:
    """Counts the failed moves of each owner."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, accounts: Accounts | None = None
    ) -> None:
        """``clock``: seconds of a clock that nobody can set. ``accounts``: default: /etc/subuid."""
        self._clock = clock
        self._accounts = accounts or Accounts()
        self._owners: dict[int, _Owner] = {}

    def owner(self, uid: int) -> int:
        """The account that owns a user id."""
        return self._accounts.of(uid)

    def is_quiet(self, owner: int) -> bool:
        """Whether the next tries of an owner's files have no lines of their own."""
        found = self._owners.get(owner)
        if found is not None and self._clock() - found.began >= _HOUR:
            del self._owners[owner]
            found = None
        return found is not None and found.failed >= _MOST

    def due(self, owner: int) -> int | None:
        """The number of tries since the last line ``moves-left-out``; ``None``: no line is due."""
        found = self._owners[owner]
        if found.line_at is not None and self._clock() - found.line_at < _MINUTE:
            return None
        return found.left_out

    def line_written(self, owner: int) -> None:
        """Note that a line ``moves-left-out`` was written, for all tries of the next minute."""
        found = self._owners[owner]
        found.line_at, found.left_out = self._clock(), 0

    def failed(self, owner: int, path: bytes) -> None:
        """Count a move that failed."""
        found = self._owners.setdefault(owner, _Owner(self._clock()))
        if found.failed >= _MOST:
            found.left_out += 1
        found.failed += 1 + len(path) // _LONG
