"""Tracks volumes that a scan does not see as a whole: they vanish, or their storage fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hashscan.model import Problem, ProblemEvent
from hashscan.scan.directory_group import DirectoryGroup
from hashscan.text import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hashscan.fs.volume import Volume
    from hashscan.reporter import Reporter
    from hashscan.scan.directory_queue import WaitingDirectories
    from hashscan.scan.messages import Tally

_NOT_WHOLE = "not all of its files were scanned, what is known of them is kept"
_MOUNT = "see its mount and its disk, then scan it again (the daemon does so when it is back)"
_DISK = "see the problems of its directories and the kernel's log, then scan it again"


class UnseenVolumes:
    """Reports each volume that the scan does not see as a whole, once.

    Attributes:
        vanished: indices of volumes that vanished.
        follow_mounts: reports lost mounts, see ``ScanOptions``.
    """

    def __init__(self, volumes: Sequence[Volume], reporter: Reporter, tally: Tally) -> None:
        """Count all volumes as present; later problems count in ``tally``."""
        self._volumes = volumes
        self._reporter = reporter
        self._unread: set[int] = set()
        self._unchecked: list[WaitingDirectories] = []
        self._tally = tally
        self.follow_mounts: Callable[[bytes], Callable[[], list[bytes]]] = lambda _root: list
        self._unmounted: dict[int, Callable[[], list[bytes]]] = {}
        self.vanished: set[int] = set()

    def __len__(self) -> int:
        """Return the number of volumes whose root is not checked at the scan's end yet."""
        return len(self._unchecked)

    @property
    def roots(self) -> frozenset[bytes]:
        """Return the roots of the volumes that the scan does not see as a whole."""
        return frozenset(self._volumes[one].root for one in self._unread | self.vanished)

    def begin(self, root: WaitingDirectories) -> None:
        """Note the root of a volume, which is checked again at the end of the scan."""
        self._unchecked.append(root._replace(weight=0.0))
        volume = self._volumes[root.volume]
        if not volume.one_file_system:
            self._unmounted[root.volume] = self.follow_mounts(volume.root)

    def next(self) -> DirectoryGroup | None:
        """Return the next task that checks a volume's root.

        The result is ``None`` if the roots of all volumes were checked.
        """
        while self._unchecked:
            root = self._unchecked.pop()
            if root.volume not in self.vanished:
                self._compare_mounts(root.volume)
                return DirectoryGroup(root, check=True)
        return None

    def _compare_mounts(self, volume: int) -> None:
        if volume not in self._unmounted:
            return
        for place in self._unmounted[volume]():
            self._unread.add(volume)
            self._report(place, "it was unmounted during the scan of its volume")

    def _report(self, place: bytes, what: str) -> None:
        message = f"{what}; {_NOT_WHOLE}; {_MOUNT}"
        self._reporter.problem(ProblemEvent(place, Problem.NOT_THERE.value, message))
        self._tally.problems += 1

    def take(self, volume: int, vanished: str, *, unread: bool) -> None:
        """Report a volume that vanished, or whose storage failed."""
        root = self._volumes[volume].root
        if vanished and volume not in self.vanished:
            self.vanished.add(volume)
            self._report(root, f"it vanished during the scan: {vanished}")
        elif unread and volume not in self._unread | self.vanished:
            # Another message reports the problem of the directory itself.
            self._unread.add(volume)
            self._reporter.notice(
                f"{shown(root)}: a directory in it cannot be read; {_NOT_WHOLE}; {_DISK}"
            )
