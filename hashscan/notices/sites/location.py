"""The result of the search for the file of a URL on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class LocationKind(StrEnum):
    """The kind of answer that a web server gives to a request for a URL."""

    FILE = "file"  #: the answer is the content of a file
    DIRECTORY = "directory"  #: the answer is for a directory without an index file
    SCRIPT = "script"  #: the answer is the output of a script or of another server
    NO_SITE = "no-site"  #: no site of this machine has the host
    NO_FILE = "no-file"  #: a site has the host, but no file is at the URL
    UNDECIDED = "undecided"  #: hashscan cannot decide on the answer; the last step says why


@dataclass(frozen=True, slots=True)
class Location:
    """A web server's answer to a request for a URL, and the steps from the URL to the answer.

    Attributes:
        root: absolute path of the site's document root, without links; empty if no site of this
            machine has the host.
        path: path of the file, directory or script that answers, below the document root and
            without links; empty for the document root itself, and if nothing answers.
        script: name of the script or of the server that answers, for messages.
        why: the steps from the URL to the answer, as printable sentences.
    """

    kind: LocationKind
    root: bytes = b""
    path: bytes = b""
    script: str = ""
    why: tuple[str, ...] = ()

    @property
    def full(self) -> bytes:
        """Absolute path of the file, directory or script that answers; empty without a root."""
        if not self.path:
            return self.root if self.kind is LocationKind.DIRECTORY else b""
        return self.root.rstrip(b"/") + b"/" + self.path

    @property
    def reason(self) -> str:
        """The last step to the answer: the reason for the answer, in one sentence."""
        return self.why[-1] if self.why else ""


class UndecidedError(Exception):
    """hashscan cannot decide on the web server's answer from the configuration and the files."""
