"""The interface of a source of changes, and the reports that it gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol


class Changed(NamedTuple):
    """An entry of a directory that was closed after writing, made, linked or moved there.

    The entry may be a directory: then everything below it must be checked, too. Its source watches
    the directory before it reports it, so that later changes in it are reported as well.

    Attributes:
        volume: index of the volume.
        directory: path below the volume's root; empty for the root itself.
        name: name of the entry.
    """

    volume: int
    directory: bytes
    name: bytes


class Lost(NamedTuple):
    """A loss of changes below ``directory``, which must be scanned.

    Attributes:
        volume: index of the volume.
        directory: path below its root; empty: the whole volume.
        reason: one word: ``overflow``, ``limit``, ``mount``, ``unwatched``, ``unplaced``, ...
        message: explanation for the log.
    """

    volume: int
    directory: bytes
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Coverage:
    """The watched part of one volume.

    Attributes:
        volume: index of the volume.
        backend: ``inotify``, ``fanotify`` or ``off``.
        directories: number of directories with a watch; 0 for a back-end that needs no watches.
        unwatched: number of directories without a watch that should have a watch; only scans find
            their changes.
        example: path below the root of an unwatched directory; empty: no directory is unwatched.
        message: why a part is not watched, and what to do; empty: the whole volume is watched.
        blind: other writers whose changes this watch cannot report; empty: it reports all changes.
    """

    volume: int
    backend: str
    directories: int = 0
    unwatched: int = 0
    example: bytes = b""
    message: str = ""
    blind: str = ""


Told = Changed | Lost | Coverage


class Source(Protocol):
    """A back-end. One thread uses it; it waits for nothing except file systems.

    During long work it sends signs of life: see ``process``.

    A path is never trusted: directories are opened from the volume's root, without links.
    """

    def start(self) -> list[Told]:
        """Watch the volumes; afterwards no change is missed in silence.

        Returns:
            a ``Coverage`` for each volume, and a ``Lost`` for each part that could not be watched.

        Raises:
            OSError: this back-end cannot be used at all.
        """
        ...

    def fileno(self) -> int:
        """Return a descriptor that is readable when ``read`` has a report."""
        ...

    @property
    def has_more(self) -> bool:
        """Return whether ``read`` has a report even if the descriptor is not readable."""
        ...

    def read(self) -> list[Told]:
        """Return changes since the last call, from some thousands of events, without waiting."""
        ...

    def rewatch(self, volume: int) -> list[Told]:
        """Watch a volume again after a mount or an unmount; return the same as ``start``."""
        ...

    def close(self) -> None:
        """Release everything; the source then holds no directory and no mount open."""
        ...
