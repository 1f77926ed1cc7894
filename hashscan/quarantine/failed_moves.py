"""Limits the number of lines in the audit log about an owner's failed moves.

A customer who keeps renaming a file makes every move of the file fail. Without a limit, each try
would write two lines, and the audit log would soon have no room for other events.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from hashscan.fs.accounts import Accounts

if TYPE_CHECKING:
    from collections.abc import Callable

#: Maximum number of failed moves of an owner's files that get lines of their own within an hour. A
#: file with a long path counts as one more failed move for each ``_LONG`` bytes of the path.
_MOST, _HOUR = 100, 3600.0
_LONG = 1000
#: Seconds in which one line covers all further tries to move an owner's files.
_MINUTE = 60.0


class _Owner:
    def __init__(self, began: float) -> None:
        self.began = began
        self.failed = 0
        self.line_at: float | None = None
        self.left_out = 0


class Attempts:
    """Counts the failed moves of each owner's files."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, accounts: Accounts | None = None
    ) -> None:
        """Begin with no counted failed moves.

        Args:
            clock: returns the seconds of a clock that nobody can set.
            accounts: finds the account of a user id; default: from /etc/subuid.
        """
        self._clock = clock
        self._accounts = accounts or Accounts()
        self._owners: dict[int, _Owner] = {}

    def owner(self, uid: int) -> int:
        """The account that a user id belongs to."""
        return self._accounts.of(uid)

    def is_quiet(self, owner: int) -> bool:
        """Whether the next tries to move an owner's files get no own lines in the audit log."""
        found = self._owners.get(owner)
        if found is not None and self._clock() - found.began >= _HOUR:
            del self._owners[owner]
            found = None
        return found is not None and found.failed >= _MOST

    def due(self, owner: int) -> int | None:
        """Tries to move files since the last line ``moves-left-out``; ``None``: no line is due."""
        found = self._owners[owner]
        if found.line_at is not None and self._clock() - found.line_at < _MINUTE:
            return None
        return found.left_out

    def line_written(self, owner: int) -> None:
        """Note that a line ``moves-left-out`` was written; the next line is due in a minute."""
        found = self._owners[owner]
        found.line_at, found.left_out = self._clock(), 0

    def failed(self, owner: int, path: bytes) -> None:
        """Count a failed move of an owner's file at ``path``."""
        found = self._owners.setdefault(owner, _Owner(self._clock()))
        if found.failed >= _MOST:
            found.left_out += 1
        found.failed += 1 + len(path) // _LONG
