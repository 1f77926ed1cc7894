"""Defines the interface of a source of changes, and the source's reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol


class Changed(NamedTuple):
    """Reports a directory entry that was closed after writing, created, linked or moved there.

    The entry may be a directory: then everything below the directory must be checked, too. The
    source watches such a directory before the report, so that later changes in the directory are
    reported as well.

    Attributes:
        volume: index of the entry's volume.
        directory: path of the entry's directory below the volume's root; empty: the root itself.
        name: name of the entry in the directory.
    """

    volume: int
    directory: bytes
    name: bytes


class Lost(NamedTuple):
    """Reports that changes below ``directory`` were lost: the directory must be scanned.

    Attributes:
        volume: index of the volume with the loss.
        directory: path of the directory below the volume's root; empty: the whole volume.
        reason: the kind of loss as one word: ``overflow``, ``limit``, ``mount``, ``unwatched``,
            ``unplaced``, ...
        message: explanation of the loss for the log.
    """

    volume: int
    directory: bytes
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Coverage:
    """Describes the part of one volume that the watch covers.

    Attributes:
        volume: index of the described volume.
        backend: back-end that watches the volume: ``inotify``, ``fanotify`` or ``off``.
        directories: number of directories with a watch; 0 for a back-end that needs no watches.
        unwatched: number of directories without a watch that should have a watch; only scans find
            changes in them.
        example: path of an unwatched directory below the root; empty: all directories are watched.
        message: why a part of the volume is not watched, and how to mend that; empty: the whole
            volume is watched.
        blind: other writers whose changes this watch cannot report; empty: the watch reports all
            changes.
    """

    volume: int
    backend: str
    directories: int = 0
    unwatched: int = 0
    example: bytes = b""
    message: str = ""
    blind: str = ""


WatchReport = Changed | Lost | Coverage


class Source(Protocol):
    """Describes the interface of a source of changes.

    Only one thread uses a source; a source waits for nothing except file systems.

    During long work a source sends signs of life, see ``process``.

    A path is never trusted: directories are opened from the volume's root, without links.
    """

    def start(self) -> list[WatchReport]:
        """Watch the volumes; from then on every change is reported or counts as a loss.

        Returns:
            a ``Coverage`` for each volume, and a ``Lost`` for each part that could not be watched.

        Raises:
            OSError: this source cannot be used at all on this machine.
        """
        ...

    def fileno(self) -> int:
        """Return a descriptor that is readable when ``read`` can return a report."""
        ...

    @property
    def has_more(self) -> bool:
        """Return whether ``read`` can return a report even if the descriptor is not readable."""
        ...

    def read(self) -> list[WatchReport]:
        """Return changes since the last call, from some thousands of events, without waiting."""
        ...

    def rewatch(self, volume: int) -> list[WatchReport]:
        """Watch a volume again after a mount or an unmount; return the same as ``start``."""
        ...

    def close(self) -> None:
        """Release all resources; afterwards the source holds no directory and no mount open."""
        ...
