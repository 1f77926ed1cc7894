"""The result of the search for the file at a URL."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class LocationKind(StrEnum):
    """The kind of a web server's answer to a request for a URL."""

    FILE = "file"  #: the content of a file
    DIRECTORY = "directory"  #: a directory without an index file
    SCRIPT = "script"  #: the output of a script or of another server
    NO_SITE = "no-site"  #: no site of this machine has the host
    NO_FILE = "no-file"  #: the site is here, but no file is at the URL
    UNDECIDED = "undecided"  #: hashscan cannot decide; the last step says why


@dataclass(frozen=True, slots=True)
class Location:
    """The answer to a request for a URL, and the steps to the answer.

    Attributes:
        root: absolute path of the document root, without links; empty if the site is not here.
        path: path, below the root and without links, of the file, directory or script; empty for
            the root itself, and without a file.
        script: name of the script or the server that answers, for messages.
        why: the steps from the URL to this answer, as printable sentences.
    """

    kind: LocationKind
    root: bytes = b""
    path: bytes = b""
    script: str = ""
    why: tuple[str, ...] = ()

    @property
    def full(self) -> bytes:
        """Absolute path of the file, directory or script; empty without a document root."""
        if not self.path:
            return self.root if self.kind is LocationKind.DIRECTORY else b""
        return self.root.rstrip(b"/") + b"/" + self.path

    @property
    def reason(self) -> str:
        """The last step: the reason for the answer, in one sentence."""
        return self.why[-1] if self.why else ""


class UndecidedError(Exception):
    """The configuration and the files do not decide on the server's answer."""
