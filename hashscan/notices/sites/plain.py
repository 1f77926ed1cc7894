"""Reads document roots that are given without a web server: by a setting, a table, a command."""

from __future__ import annotations

import fnmatch
import os
import re
import selectors
import signal
import subprocess
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from hashscan.fs.served import ServedKind
from hashscan.notices.sites.address import decoded, without_dots
from hashscan.notices.sites.disk import is_script
from hashscan.notices.sites.location import UndecidedError
from hashscan.notices.sites.read_files import ReadFiles
from hashscan.notices.sites.reverse import Base
from hashscan.notices.urls import ascii_host
from hashscan.text import counted, human_age, said_by, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashscan.config.sites import SiteSettings
    from hashscan.notices.sites.address import Address
    from hashscan.notices.sites.disk import Disk
    from hashscan.notices.sites.location import Location

_COMMAND_SECONDS = 10.0
_COMMAND_BYTES = 65536
_FRONT = b"index.php"
_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}


def locate(
    address: Address, disk: Disk, root: bytes, index: tuple[str, ...], prefix: str = "/"
) -> Location:
    """The answer of an ordinary web server for a document root.

    Args:
        address: the address that the client requests.
        disk: opens the document root and its files.
        root: absolute path of the document root.
        index: names of index files, in the order in which the web server tries the names.
        prefix: beginning of the URL's path; the path after the prefix is below the document root.

    Raises:
        UndecidedError: a path cannot be read, as in ``Disk.find``.
    """
    raw = decoded(address.target)
    path = None if raw is None else without_dots(raw)
    if path is None:
        return disk.no_file("a server refuses the path: a broken escape, a NUL, or too many ..")
    if prefix != "/":
        path = path[len(os.fsencode(prefix)) :] or b"/"
    served = disk.find(root, path)
    if served.entry is ServedKind.DIRECTORY:
        for name in index:
            inside = served.path + b"/" + os.fsencode(name)
            if disk.is_file(root, inside):
                disk.step(f"the index file of the directory is {shown(name)}")
                found = disk.find(root, inside)
                if is_script(found.path):
                    return disk.script(shown(found.path), root, found)
                return disk.file(root, found)
        return disk.directory(root, served)
    if served.entry is ServedKind.FILE:
        if is_script(served.path):
            return disk.script(shown(served.path), root, served)
        if not served.rest and not path.endswith(b"/"):
            return disk.file(root, served)
    if b"." not in path.rstrip(b"/").rpartition(b"/")[2]:
        front = disk.find(root, _FRONT)
        if front.entry is ServedKind.FILE:
            disk.step(f"there is no file {shown(path)}; many sites hand such a path to index.php")
            return disk.script(shown(front.path), root, front)
    return disk.no_file(f"there is no file {shown(path)} below {shown(root)}", root)


class ByHand:
    """Answers requests by an entry of ``sites`` with ``host`` and ``root``."""

    def __init__(self, name: str, settings: SiteSettings) -> None:
        """``name``: name of the entry, for messages."""
        assert settings.host is not None
        assert settings.root is not None
        self.name = name
        self._settings = settings
        labels = (one if "*" in one else ascii_host(one) for one in settings.host.split("."))
        name = ".".join(labels)
        self._host = re.compile(fnmatch.translate(name))
        self._name = "{host}" if re.search(r"[*?\[]", name) else name

    def bases(self) -> Iterator[Base]:
        """The document root that the entry gives."""
        assert self._settings.root is not None
        yield Base(self._settings.root, self._name, self._settings.path)

    def is_changed(self) -> bool:
        """False, because hashscan reads its own configuration, which has the root, only once."""
        return False

    def content(self) -> str:
        """The document root of the entry in a few words, for messages."""
        return f"root {shown(self._settings.root or '')}"

    def answer(self, address: Address, disk: Disk) -> Location | None:
        """The answer to a request; ``None``: its host or path does not fit, or no root exists."""
        prefix, root = self._settings.path, self._settings.root
        assert root is not None
        if not self._host.fullmatch(address.host):
            return None
        raw = decoded(address.target)
        path = None if raw is None else without_dots(raw)
        start = os.fsencode(prefix)
        if prefix != "/" and path != start and not (path or b"").startswith(start + b"/"):
            return None
        place = os.fsencode(root.replace("{host}", address.host))
        disk.step(f"{self.name} fits; its root is {shown(place)}")
        if disk.root(place) is None:
            disk.step(f"there is no directory {shown(place)}")
            return None
        return locate(address, disk, place, self._settings.index, prefix)


class HostTable:
    """Answers requests by an entry of ``sites`` with ``userdatadomains`` or ``table``.

    A file ``userdatadomains`` of cPanel has a line for each domain, ``domain:
    user==owner==type==main domain==root==...``. A table has a host and a document root on each
    line.
    """

    def __init__(self, name: str, settings: SiteSettings) -> None:
        """``name``: name of the entry, for messages."""
        self.name = name
        self._settings = settings
        self._roots: dict[str, bytes] | None = None
        self._read_files = ReadFiles()

    def is_changed(self) -> bool:
        """Whether the table of hosts changed since the last reading."""
        return self._roots is not None and self._read_files.changed()

    def bases(self) -> Iterator[Base]:
        """The document roots that the table gives to hosts.

        Raises:
            UndecidedError: the table of hosts cannot be read.
        """
        for host, root in self._known().items():
            if "*" not in host:
                yield Base(os.fsdecode(root), host)

    def content(self) -> str:
        """The number of hosts in the table, for messages.

        Raises:
            UndecidedError: the table of hosts cannot be read.
        """
        return counted(len(self._known()), "host")

    def _known(self) -> dict[str, bytes]:
        if self._roots is None:
            self._roots = self._read()
        return self._roots

    def answer(self, address: Address, disk: Disk) -> Location | None:
        """The answer, if the table has the host, the host without ``www.``, or a fitting ``*``."""
        roots = self._known()
        host = address.host
        for name in (host, host.removeprefix("www."), "*." + host.partition(".")[2]):
            if name in roots:
                root = roots[name]
                disk.step(f"{self.name} has {shown(name)}; its root is {shown(root)}")
                return locate(address, disk, root, self._settings.index)
        return None

    def _read(self) -> dict[str, bytes]:
        path = self._settings.userdatadomains or self._settings.table
        assert path is not None
        roots: dict[str, bytes] = {}
        for line in self._read_files.read(path).splitlines():
            if self._settings.table:
                host, _, root = line.strip().replace(b"\t", b" ", 1).partition(b" ")
            else:
                host, _, values = line.strip().partition(b": ")
                root = (values.split(b"==") + [b""] * 5)[4]
            if root.strip().startswith(b"/"):
                name = ascii_host(host.decode("utf-8", "replace").strip())
                roots.setdefault(name, root.strip())
        return roots


class Command:
    """Answers requests by an entry of ``sites`` with ``command``, which prints a host's root."""

    def __init__(
        self, name: str, settings: SiteSettings, seconds: float = _COMMAND_SECONDS
    ) -> None:
        """``name``: name of the entry, for messages; ``seconds``: how long the program may run."""
        assert settings.command is not None
        self.name = name
        self._words = settings.command
        self._index = settings.index
        self._seconds = seconds

    def bases(self) -> Iterator[Base]:
        """No document roots, because the program prints the document root of a given host only."""
        return iter(())

    def is_changed(self) -> bool:
        """False, because the program runs for each request."""
        return False

    def content(self) -> str:
        """A note for messages that the program runs for each host."""
        return "is run for each host"

    def answer(self, address: Address, disk: Disk) -> Location | None:
        """The answer for the requested host, if the program prints the host's document root.

        Raises:
            UndecidedError: the program exits with an error, takes too long, or prints no absolute
                path.
        """
        if address.host.startswith("-"):  # the program would take the host for an option
            return None
        printed = self._run(address.host).strip(b"\r\n")
        if not printed:
            disk.step(f"{self.name} prints no root for {shown(address.host)}")
            return None
        if not printed.startswith(b"/") or b"\n" in printed or b"\0" in printed:
            raise UndecidedError(f"{self.name} prints no full path: {shown(printed[:200])}")
        disk.step(f"{self.name} prints the root {shown(printed)}")
        return locate(address, disk, printed, self._index)

    def _run(self, host: str) -> bytes:
        try:
            process = subprocess.Popen(  # noqa: S603 - the administrator's own program, no shell
                [*self._words, host],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=_ENVIRONMENT,
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            raise UndecidedError(f"{self.name}: {said_by(error)}") from None
        assert process.stdout is not None
        ended = os.pidfd_open(process.pid)
        try:
            printed = self._read(process.stdout.fileno(), ended)
        finally:
            with suppress(OSError):  # kills its children, too; before wait() frees the id
                os.killpg(process.pid, signal.SIGKILL)
            os.close(ended)
            process.stdout.close()
            code = process.wait()
        if code != 0:
            raise UndecidedError(f"{self.name} ended with code {code}; run it by hand to see why")
        return printed

    def _read(self, fd: int, ended: int) -> bytes:
        """The whole output of the program, once the program has ended."""
        printed = b""
        end = time.monotonic() + self._seconds
        with selectors.DefaultSelector() as selector:
            selector.register(fd, selectors.EVENT_READ)
            while len(printed) <= _COMMAND_BYTES:
                left = end - time.monotonic()
                if left <= 0 or not selector.select(left):
                    raise UndecidedError(
                        f"{self.name} did not end within {human_age(self._seconds)}; run it by hand"
                        " to see why"
                    )
                if ended in selector.get_map():
                    return printed
                if more := os.read(fd, _COMMAND_BYTES):
                    printed += more
                else:
                    selector.unregister(fd)
                    selector.register(ended, selectors.EVENT_READ)
        raise UndecidedError(f"{self.name} prints more than 64 KiB")
