"""What a source of changes is, and what it tells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol


class Changed(NamedTuple):
    """An entry of a directory that was closed after writing, made, linked or moved there.

    It may be a directory: then whatever lies below it is to be looked at too. Its source has put
    it under watch before it told of it, so that what comes later is told as well.

    Attributes:
        volume: index of the volume.
        directory: path below the volume's root; empty for the root itself.
        name: of the entry.
    """

    volume: int
    directory: bytes
    name: bytes


class Lost(NamedTuple):
    """Changes below ``directory`` that were not seen: it has to be scanned.

    Attributes:
        volume: index of the volume.
        directory: path below its root; empty for all of it.
        reason: in one word: ``overflow``, ``limit``, ``mount``, ``unwatched``, ``unplaced``, ...
        message: for the log.
    """

    volume: int
    directory: bytes
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Coverage:
    """What of one volume is watched.

    Attributes:
        volume: index of the volume.
        backend: ``inotify``, ``fanotify`` or ``off``.
        directories: that have a watch; 0 for a back-end that needs none.
        unwatched: directories that have none though they should; their changes are found by scans
            only.
        example: path below the root of one of those; empty where there is none.
        message: why not all is watched, and what to do; empty where all is.
        blind: who may change something without this watch being told; empty: nobody.
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
    """A back-end. One thread uses it; nothing in it waits except for file systems.

    Where it does much at a time, it shows now and then that it goes on: see ``process``.

    A path is never trusted: directories are opened from the volume's root, without links.
    """

    def start(self) -> list[Told]:
        """Watch the volumes; afterwards no change is missed in silence.

        Returns:
            a ``Coverage`` for each volume, and a ``Lost`` where something could not be watched.

        Raises:
            OSError: this back-end cannot be used at all.
        """
        ...

    def fileno(self) -> int:
        """A descriptor that is readable when ``read`` has something."""
        ...

    @property
    def has_more(self) -> bool:
        """Whether ``read`` has something although the descriptor need not be readable."""
        ...

    def read(self) -> list[Told]:
        """What happened since; at most some thousands of events at a time, without waiting."""
        ...

    def rewatch(self, volume: int) -> list[Told]:
        """Watch a volume anew, after a mount or an unmount; tells as ``start`` does."""
        ...

    def close(self) -> None:
        """Release everything; no directory or mount is held any more."""
        ...
