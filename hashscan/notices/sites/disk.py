"""Opens document roots and files on the disk, during the search for the file of one URL."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress

from hashscan.closable import Closable
from hashscan.errors import UnsafePathError
from hashscan.fs import beneath
from hashscan.fs.named import Named, open_named
from hashscan.fs.served import Served, ServedKind, look_up
from hashscan.notices.sites.location import Location, LocationKind, UndecidedError
from hashscan.text import said_by, shown

_NOWHERE = frozenset({errno.ENOENT, errno.ENOTDIR})
#: Endings of scripts' file names. Most web servers run files with these endings instead of sending
#: them.
SCRIPTS = (b".php", b".phtml", b".php3", b".php4", b".php5", b".php7", b".phar", b".cgi", b".pl")
_MOST_ROOTS = 64


class Disk(Closable):
    """Opens each document root once, and collects the steps from a URL to the answer.

    Attributes:
        steps: the steps from the URL to the answer, as printable sentences.
    """

    def __init__(self) -> None:
        self.steps: list[str] = []
        self._roots: dict[bytes, Named | None] = {}

    def close(self) -> None:
        """Close the document roots that are open."""
        for named in self._roots.values():
            if named is not None:
                os.close(named.fd)
        self._roots.clear()

    def step(self, text: str) -> None:
        """Add a sentence to the answer's steps; the caller gives foreign text to ``shown``."""
        self.steps.append(text)

    def root(self, path: bytes) -> Named | None:
        """A document root, opened as a directory; ``None``: the directory does not exist.

        Raises:
            UndecidedError: the document root cannot be opened, or a customer's link leads to the
                root.
        """
        if path not in self._roots:
            if len(self._roots) >= _MOST_ROOTS:
                raise UndecidedError("the configuration leads through too many document roots")
            self._roots[path] = self._open(path)
        return self._roots[path]

    @staticmethod
    def _open(path: bytes) -> Named | None:
        try:
            return open_named(path)
        except UnsafePathError as error:
            raise UndecidedError(str(error)) from None
        except OSError as error:
            if error.errno in _NOWHERE:
                return None
            raise UndecidedError(f"{shown(path)}: {said_by(error)}") from None
        except ValueError:
            raise UndecidedError("the document root holds a NUL") from None

    def find(self, root: bytes, path: bytes) -> Served:
        """The file or directory at ``path`` below a document root; absent without a document root.

        Raises:
            UndecidedError: the path cannot be read, or a link in the path leads out of the document
                root.
        """
        named = self.root(root)
        if named is None:
            return Served(ServedKind.ABSENT, b"", path)
        try:
            served = look_up(named.fd, path, named.path)
        except (OSError, ValueError) as error:
            raise UndecidedError(f"{shown(root)}/{shown(path)}: {said_by(error)}") from None
        if served.entry is ServedKind.OUTSIDE:
            if not served.links:
                raise UndecidedError(f"{shown(path)} leads out of {shown(root)}")
            link = shown(named.path.rstrip(b"/") + b"/" + served.links[-1])
            raise UndecidedError(
                f"{link} is a link out of the document root, to {shown(served.target)}; hashscan"
                " does not follow it: check the target yourself"
            )
        return served

    def is_file(self, root: bytes, path: bytes) -> bool:
        """Whether a file is at ``path``; a path with a slash at its end names no file.

        Raises:
            UndecidedError: the path cannot be read, as in ``find``.
        """
        served = self.find(root, path)
        return served.entry is ServedKind.FILE and not served.rest and not path.endswith(b"/")

    def is_directory(self, root: bytes, path: bytes) -> bool:
        """Whether a directory is at ``path``.

        Raises:
            UndecidedError: the path cannot be read, as in ``find``.
        """
        return self.root(root) is not None and self.find(root, path).entry is ServedKind.DIRECTORY

    def read(self, root: bytes, path: bytes, most: int) -> bytes | None:
        """The content of a small file, up to ``most`` + 1 bytes; ``None``: no file is at ``path``.

        Raises:
            UndecidedError: the path cannot be read, as in ``find``, or the file cannot be read.
        """
        served = self.find(root, path)
        named = self.root(root)
        if served.entry is not ServedKind.FILE or named is None:
            return None
        try:
            parent, name = beneath.open_parent(named.fd, served.path, cross_mounts=True)
            with beneath.closing(parent):
                fd = beneath.open_file(parent, name)
            with beneath.closing(fd):
                if not stat.S_ISREG(os.fstat(fd).st_mode):
                    return None
                content = b""
                while len(content) <= most and (more := os.read(fd, most + 1 - len(content))):
                    content += more
        except FileNotFoundError:
            return None
        except OSError as error:
            raise UndecidedError(f"{shown(path)}: {said_by(error)}") from None
        return content

    # Methods that make the answer to a request

    def _located(
        self, kind: LocationKind, root: bytes, served: Served | None, text: str, script: str = ""
    ) -> Location:
        for link in served.links if served is not None else ():
            self.step(f"{shown(link)} is a symbolic link, which stays below the root")
        self.step(text)
        named = None
        with suppress(UndecidedError):
            named = self.root(root) if root else None
        path = served.path if served is not None else b""
        return Location(kind, root if named is None else named.path, path, script, self._why())

    def _why(self) -> tuple[str, ...]:
        return tuple(self.steps)

    def file(self, root: bytes, served: Served) -> Location:
        """The answer ``file``: the web server sends the content of a file."""
        text = f"the file is {shown(served.path)} below {shown(root)}"
        return self._located(LocationKind.FILE, root, served, text)

    def directory(self, root: bytes, served: Served) -> Location:
        """The answer ``directory``: the URL leads to a directory without an index file."""
        text = f"{shown(served.path) or 'the root'} is a directory without an index file"
        return self._located(LocationKind.DIRECTORY, root, served, text)

    def script(self, script: str, root: bytes = b"", served: Served | None = None) -> Location:
        """The answer ``script``: the URL leads to the output of a script or of another server."""
        if served is not None and served.entry is not ServedKind.FILE:
            served = None
        return self._located(
            LocationKind.SCRIPT, root, served, f"a script answers: {script}", script
        )

    def no_file(self, text: str, root: bytes = b"") -> Location:
        """The answer ``no-file``: a site has the host, but no file is at the URL."""
        return self._located(LocationKind.NO_FILE, root, None, text)

    def no_site(self, text: str) -> Location:
        """The answer ``no-site``: no site of this machine has the host."""
        self.step(text)
        return Location(LocationKind.NO_SITE, why=self._why())

    def undecided(self, text: str) -> Location:
        """The answer ``undecided``: hashscan cannot decide on the answer."""
        self.step(f"cannot be decided: {text}")
        return Location(LocationKind.UNDECIDED, why=self._why())


def is_script(path: bytes) -> bool:
    """Whether web servers usually run a file with this name instead of sending the file."""
    return path.lower().endswith(SCRIPTS)
