"""What a URL comes to on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class LocationKind(StrEnum):
    """What a web server of this machine answers a URL with."""

    FILE = "file"  #: the content of a file
    DIRECTORY = "directory"  #: a directory without an index file
    SCRIPT = "script"  #: whatever a script, or another server, makes of it
    NO_SITE = "no-site"  #: no site of this machine has the host
    NO_FILE = "no-file"  #: the site is here, and has nothing under the URL
    UNDECIDED = "undecided"  #: hashscan cannot tell; the last step says why


@dataclass(frozen=True, slots=True)
class Location:
    """What a URL comes to, and why.

    Attributes:
        root: absolute path of the document root, without links, if the site is here.
        path: below the root, without links: of the file, the directory or the script's file;
            empty for the root itself, and if there is none.
        script: which script, or which other server, answers; for messages.
        why: the steps from the URL to this answer, printable.
    """

    kind: LocationKind
    root: bytes = b""
    path: bytes = b""
    script: str = ""
    why: tuple[str, ...] = ()

    @property
    def full(self) -> bytes:
        """Absolute path of the file, directory or script's file; empty if there is none."""
        if not self.path:
            return self.root if self.kind is LocationKind.DIRECTORY else b""
        return self.root.rstrip(b"/") + b"/" + self.path

    @property
    def reason(self) -> str:
        """The last step: the reason of the answer in one sentence."""
        return self.why[-1] if self.why else ""


class UndecidedError(Exception):
    """Nobody can tell, from the configuration and the files alone, what the server answers."""
