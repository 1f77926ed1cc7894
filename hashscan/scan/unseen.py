"""Volumes of which a scan does not see every file: they vanish, or their storage fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hashscan.model import Problem, ProblemEvent
from hashscan.scan.group import Group
from hashscan.text import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hashscan.fs.volume import Volume
    from hashscan.model import Reporter
    from hashscan.scan.frontier import Waiting

_NOT_WHOLE = "not all of its files were scanned, what is known of them is kept"
_MOUNT = "see its mount and its disk, then scan it again (the daemon does so when it is back)"
_DISK = "see the problems of its directories and the kernel's log, then scan it again"


class UnseenVolumes:
    """Reports each of those volumes once.

    Attributes:
        vanished: indices of volumes that vanished.
    """

    def __init__(self, volumes: Sequence[Volume], reporter: Reporter) -> None:
        """All volumes are there."""
        self._volumes = volumes
        self._reporter = reporter
        self._unread: set[int] = set()
        self._unchecked: list[Waiting] = []
        self.vanished: set[int] = set()

    def __len__(self) -> int:
        """Volumes that are still to be checked."""
        return len(self._unchecked)

    @property
    def roots(self) -> frozenset[bytes]:
        """Roots of the volumes that the scan does not see as a whole."""
        return frozenset(self._volumes[one].root for one in self._unread | self.vanished)

    def begin(self, root: Waiting) -> None:
        """Note the root of a volume, which is checked once more at the end of the scan."""
        self._unchecked.append(root._replace(weight=0.0))

    def next(self) -> Group | None:
        """Return the next check of a volume; ``None``: all are done."""
        while self._unchecked:
            root = self._unchecked.pop()
            if root.volume not in self.vanished:
                return Group(root, check=True)
        return None

    def take(self, volume: int, vanished: str, *, unread: bool) -> int:
        """Take what a task found; returns how many problems were reported for that."""
        root = self._volumes[volume].root
        if vanished and volume not in self.vanished:
            self.vanished.add(volume)
            message = f"it vanished during the scan: {vanished}; {_NOT_WHOLE}; {_MOUNT}"
            self._reporter.problem(ProblemEvent(root, Problem.NOT_THERE.value, message))
            return 1
        if unread and volume not in self._unread | self.vanished:
            # The directory is a problem of its own.
            self._unread.add(volume)
            self._reporter.notice(
                f"{shown(root)}: a directory of it cannot be read; {_NOT_WHOLE}; {_DISK}"
            )
        return 0
