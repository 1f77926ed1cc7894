"""Reads nginx's configuration: the servers with their sockets and names.

Source: nginx.org/en/docs, ngx_http_core_module, "How nginx processes a request", "Server names".
"""

from __future__ import annotations

import glob
import os
import re
import socket
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import crossplane

from hashscan.fs.beneath import closing
from hashscan.notices.sites.address import ANY_IPV4
from hashscan.notices.sites.location import UndecidedError
from hashscan.notices.sites.patterns import groups, search
from hashscan.notices.urls import ascii_host
from hashscan.text import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashscan.notices.sites.read_files import ReadFiles

_MOST_DIRECTIVES = 2_000_000
_DEEPEST = 40
_ESCAPE = re.compile(r"""\\(["'\\trn])""")
_MEANT = {"t": "\t", "r": "\r", "n": "\n"}


@dataclass(frozen=True, slots=True)
class NginxDirective:
    """A directive in nginx's configuration; ``block``: ``None`` for a directive without braces."""

    name: str
    args: tuple[str, ...]
    where: str
    block: tuple[NginxDirective, ...] | None = None


#: The directives of nested blocks, the outermost block first: each block is a level. An inner block
#: inherits the settings of the outer blocks.
Levels = tuple[tuple[NginxDirective, ...], ...]


def setting(levels: Levels, name: str) -> list[NginxDirective]:
    """Nginx's directives ``name`` in the innermost level of blocks that has such a directive."""
    for level in reversed(levels):
        found = [one for one in level if one.name == name]
        if found:
            return found
    return []


def own(level: tuple[NginxDirective, ...], name: str) -> NginxDirective | None:
    """The last directive ``name`` in one level of blocks; ``None``: the level lacks ``name``."""
    return next((one for one in reversed(level) if one.name == name), None)


@dataclass(frozen=True, slots=True)
class Listen:
    """A socket of nginx: address (``*``: all), port; ``default``: whether its server is default."""

    address: str
    port: int
    default: bool


@dataclass(slots=True)
class NginxServer:
    """A ``server`` block of nginx's configuration.

    Attributes:
        levels: the directives of the block ``http``, without its servers, and of the block
            ``server``.
        where: file and line of the block ``server``.
        exact: the server's names without wildcards, in lower-case ASCII.
        leading: the server's names that begin with ``*``, without the ``*``.
        trailing: the server's names that end with ``*``, without the ``*``.
        patterns: the server's names that are regular expressions.
    """

    levels: Levels
    where: str
    listens: list[Listen] = field(default_factory=list)
    exact: set[str] = field(default_factory=set)
    leading: list[str] = field(default_factory=list)
    trailing: list[str] = field(default_factory=list)
    patterns: list[str] = field(default_factory=list)


class Configuration:
    """The ``http`` part of nginx's configuration."""

    def __init__(self, path: str, read_files: ReadFiles) -> None:
        """Read nginx's main file and the files that it includes; ``read_files`` reads each file.

        Raises:
            UndecidedError: a part of nginx's configuration cannot be read, so hashscan cannot
                decide on nginx's answers.
        """
        self._files: dict[str, list[dict[str, Any]]] = {}
        self._read_files, self._directory = read_files, os.path.dirname(path)
        self._left = _MOST_DIRECTIVES
        main = tuple(self._directives(path, self._parsed(path), 0))
        self.servers: list[NginxServer] = []
        self.upstreams: dict[str, str] = {}
        for http in main:
            if http.name != "http" or http.block is None:
                continue
            inherited = tuple(one for one in http.block if one.name not in {"server", "upstream"})
            for one in http.block:
                if one.name == "server" and one.block is not None:
                    self.servers.append(_server((inherited, one.block), one))
                elif one.name == "upstream" and one.args and one.block is not None:
                    server = next((each for each in one.block if each.name == "server"), None)
                    if server is not None and server.args:
                        self.upstreams[one.args[0]] = server.args[0]

    def _parsed(self, path: str) -> list[dict[str, Any]]:
        """The directives of one configuration file, without the directives of included files."""
        if path not in self._files:
            try:
                content = self._read_files.read(path)
            except UndecidedError as error:
                raise UndecidedError(f"the configuration cannot be read: {error}") from None
            # Given the path, crossplane would open special files, and would read without a bound.
            with closing(os.memfd_create("nginx")) as copy:
                with open(copy, "wb", closefd=False) as file:
                    file.write(content)
                name = f"/proc/self/fd/{copy}"
                found = crossplane.parse(name, single=True, check_ctx=False, check_args=False)
            for fault in found["errors"]:
                why = str(fault["error"]).removesuffix(f" in {name}:{fault['line']}")
                line = "" if fault["line"] is None else f":{fault['line']}"
                raise UndecidedError(
                    f"the configuration cannot be read: {shown(path)}{line}:"
                    f" {shown(why) or 'it ends within a directive'}"
                )
            self._files[path] = found["config"][0]["parsed"]
        return self._files[path]

    def _directives(
        self, file: str, parsed: list[dict[str, Any]], depth: int
    ) -> Iterator[NginxDirective]:
        """The directives of a block and, in place of ``include``, of the included files."""
        if depth > _DEEPEST:
            raise UndecidedError(f"{shown(file)} includes itself, or blocks are too deep")
        for one in parsed:
            self._left -= 1
            if self._left < 0:
                raise UndecidedError("the configuration has more than 2,000,000 directives")
            if one["directive"] == "include":
                if not one["args"]:
                    raise UndecidedError(f"{shown(file)}:{one['line']}: include names no file")
                for path in self._included(one["args"][0]):
                    yield from self._directives(path, self._parsed(path), depth + 1)
                continue
            block = None
            if "block" in one:
                block = tuple(self._directives(file, one["block"], depth + 1))
            args = tuple(_ESCAPE.sub(_unescaped, word) for word in one["args"])
            where = f"{shown(file)}:{one['line']}"
            yield NginxDirective(one["directive"], args, where, block)

    def _included(self, given: str) -> list[str]:
        """The configuration files that a directive ``include`` names."""
        pattern = os.path.join(self._directory, given)
        if not glob.has_magic(pattern):
            return [pattern]
        names = _names(pattern)
        self._read_files.result(pattern, partial(_names, pattern), names)
        return sorted(names)


def _names(pattern: str) -> set[str]:
    return set(glob.glob(pattern))


def _unescaped(found: re.Match[str]) -> str:
    return _MEANT.get(found[1], found[1])


def _server(levels: Levels, directive: NginxDirective) -> NginxServer:
    server = NginxServer(levels, directive.where)
    for one in levels[-1]:
        if one.name == "listen" and one.args:
            listen = _listen(one.args)
            if listen is not None:
                server.listens.append(listen)
        elif one.name == "server_name":
            for name in one.args:
                _add_name(server, name)
    if not any(one.name == "listen" for one in levels[-1]):
        server.listens.append(Listen("*", 80, default=False))
    return server


def _listen(args: tuple[str, ...]) -> Listen | None:
    """The socket of a directive ``listen``; ``None``: a Unix socket."""
    given = args[0]
    if given.startswith("unix:"):
        return None
    found = re.fullmatch(r"(?:(\[[0-9A-Fa-f:.]*\]|[^\[\]:]*):)?([0-9]{1,5})", given)
    address, port = (found[1] or "*", int(found[2])) if found else (given, 80)
    address = address.strip("[]").lower()
    if address in {"", "*", ANY_IPV4, "::"}:
        address = "*"
    return Listen(address, port, not {"default_server", "default"}.isdisjoint(args[1:]))


def _add_name(server: NginxServer, name: str) -> None:
    if name.startswith("~"):
        server.patterns.append(name[1:])
    elif name == "$hostname":
        server.exact.add(socket.gethostname().lower())
    elif name.startswith("*."):
        server.leading.append("." + ascii_host(name[2:]))
    elif name.startswith("."):
        server.exact.add(ascii_host(name[1:]))
        server.leading.append("." + ascii_host(name[1:]))
    elif name.endswith(".*"):
        server.trailing.append(ascii_host(name[:-2]) + ".")
    elif name:
        server.exact.add(ascii_host(name))


class ListenGroup:
    """The servers that listen on one socket, indexed by their names.

    Attributes:
        default: the server that takes a request if no server's name fits the request.
    """

    def __init__(self, servers: list[NginxServer]) -> None:
        """``servers``: the default server, then the others in the configuration's order."""
        self.default = servers[0]
        self._exact: dict[str, NginxServer] = {}
        self._leading: dict[str, NginxServer] = {}
        self._trailing: dict[str, NginxServer] = {}
        self._patterns: list[tuple[str, NginxServer]] = []
        for server in servers:
            for name in server.exact:
                self._exact.setdefault(name, server)
            for name in server.leading:
                self._leading.setdefault(name, server)
            for name in server.trailing:
                self._trailing.setdefault(name, server)
            self._patterns += [(pattern, server) for pattern in server.patterns]

    def find(self, host: str) -> tuple[NginxServer, dict[str, bytes]] | None:
        """The server whose name fits the host, and the captures of a name that is an expression.

        Returns ``None`` if no name fits.

        An exact name goes before the longest name ``*.example``, then comes the longest name
        ``example.*``, then the first name that is a regular expression.

        Raises:
            UndecidedError: hashscan does not understand a name that is a regular expression.
        """
        if host in self._exact:
            return self._exact[host], {}
        dots = [place for place, sign in enumerate(host) if sign == "."]
        for place in dots:
            if place and host[place:] in self._leading:
                return self._leading[host[place:]], {}
        for place in reversed(dots):
            if host[: place + 1] in self._trailing and place + 1 < len(host):
                return self._trailing[host[: place + 1]], {}
        for pattern, server in self._patterns:
            found = search(pattern, host.encode(), ignore_case=True)
            if found:
                return server, groups(found)
        return None
