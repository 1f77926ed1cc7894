"""Evaluates nginx's configuration: chooses the server that takes a request."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hashscan.notices.sites.address import is_own_ip
from hashscan.notices.sites.answer import is_root_missing, is_same
from hashscan.notices.sites.location import Location, UndecidedError
from hashscan.notices.sites.nginx_conf import Configuration, ListenGroup, NginxServer, setting
from hashscan.notices.sites.nginx_request import NginxRequest
from hashscan.notices.sites.read_files import ReadFiles
from hashscan.notices.sites.reverse import Base
from hashscan.text import counted, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashscan.notices.sites.address import Address
    from hashscan.notices.sites.answer import Answer
    from hashscan.notices.sites.disk import Disk

_HTTPS = 443
#: nginx's variables with the host of the request. A document root with one of these variables
#: differs for each host.
_OF_HOST = ("$host", "${host}", "$http_host", "$server_name", "$ssl_server_name", "$1")


class Nginx:
    """Answers requests by an entry of ``sites`` with ``nginx``, from nginx's configuration."""

    def __init__(self, name: str, path: str) -> None:
        """``name``: name of the entry, for messages; ``path``: nginx's main configuration file."""
        self.name = name
        self._path = path
        self._configuration: Configuration | None = None
        self._read_files = ReadFiles()
        self._why = ""
        self._sockets: dict[tuple[str, int], ListenGroup] = {}

    def _read(self) -> Configuration:
        if self._why:
            raise UndecidedError(self._why)
        if self._configuration is None:
            self._read_files = ReadFiles()
            try:
                self._configuration = Configuration(self._path, self._read_files)
            except UndecidedError as error:
                self._why = str(error)
                raise
            self._sockets = _sockets(self._configuration.servers)
        return self._configuration

    def is_changed(self) -> bool:
        """Whether nginx's configuration changed since the last reading, or was unreadable then."""
        return bool(self._why) or (self._configuration is not None and self._read_files.changed())

    def content(self) -> str:
        """The number of servers in nginx's configuration.

        Raises:
            UndecidedError: nginx's configuration cannot be read.
        """
        return counted(len(self._read().servers), "server")

    def bases(self) -> Iterator[Base]:
        """Document roots of nginx's servers, but not of locations, one for each exact host name.

        Raises:
            UndecidedError: nginx's configuration cannot be read.
        """
        for server in self._read().servers:
            roots = setting(server.levels, "root")
            if not roots or not roots[-1].args:
                continue
            root = re.sub(r"\$\{?(?:http_)?host\}?", "{host}", roots[-1].args[0])
            secure = any(listen.port == _HTTPS for listen in server.listens)
            if "$" not in root and root.startswith("/"):
                for name in (*sorted(server.exact), *(["{host}"] if "{host}" in root else [])):
                    yield Base(root, name, secure=secure)

    def answer(self, address: Address, disk: Disk) -> Location | Answer | None:
        """The answer of the server that takes the request; ``None``: no server has the host.

        Raises:
            UndecidedError: hashscan cannot decide on nginx's answer.
        """
        self._read()
        groups = self._groups(address, disk)
        chosen: dict[int, tuple[NginxServer, dict[str, bytes]]] = {}
        for group in groups:
            found = group.find(address.host)
            if found is not None:
                chosen[id(found[0])] = found
        if not chosen:
            return self._default(groups, address, disk)
        answers = [
            self._ask(server, captures, address, disk) for server, captures in chosen.values()
        ]
        if any(not is_same(one, answers[0]) for one in answers):
            places = " and ".join(server.where for server, _ in chosen.values())
            raise UndecidedError(
                f"{shown(address.host)} has different servers on different addresses: {places}"
            )
        return answers[0]

    def _ask(
        self, server: NginxServer, captures: dict[str, bytes], address: Address, disk: Disk
    ) -> Location | Answer:
        assert self._configuration is not None
        disk.step(f"{self.name}: the server at {server.where} takes {shown(address.authority)}")
        return NginxRequest(self._configuration, server, address, disk, captures).answer()

    def _groups(self, address: Address, disk: Disk) -> list[ListenGroup]:
        """The sockets of nginx at which the request may arrive."""
        at_port = {place: one for place, one in self._sockets.items() if place[1] == address.port}
        if not at_port and any(one.find(address.host) for one in self._sockets.values()):
            disk.step(
                f"{self.name}: no server listens on port {address.port}; hashscan assumes that"
                " another program passes the requests on"
            )
            at_port = self._sockets
        if address.is_ip:
            exact = [one for place, one in at_port.items() if place[0] == address.host]
            return exact or [one for place, one in at_port.items() if place[0] == "*"]
        return list(at_port.values())

    def _default(
        self, groups: list[ListenGroup], address: Address, disk: Disk
    ) -> Location | Answer | None:
        """The answer of a default server, if the requested host is certainly this machine's."""
        defaults = {id(group.default): group.default for group in groups}
        if address.is_ip and len(defaults) == 1 and is_own_ip(address.host):
            return self._ask(next(iter(defaults.values())), {}, address, disk)
        for server in defaults.values():
            roots = setting(server.levels, "root")
            if roots and any(one in " ".join(roots[-1].args) for one in _OF_HOST):
                answer = self._ask(server, {}, address, disk)
                if not is_root_missing(answer, disk):
                    return answer
            disk.step(
                f"{self.name}: no server_name is {shown(address.host)}; the default server at"
                f" {server.where} would answer if the name pointed to this machine"
            )
        return None


def _sockets(servers: list[NginxServer]) -> dict[tuple[str, int], ListenGroup]:
    """The servers of nginx, grouped by the address and port of their sockets."""
    sockets: dict[tuple[str, int], list[tuple[bool, NginxServer]]] = {}
    for server in servers:
        for listen in server.listens:
            of_socket = sockets.setdefault((listen.address, listen.port), [])
            of_socket.append((not listen.default, server))
    return {
        place: ListenGroup([server for _, server in sorted(found, key=lambda one: one[0])])
        for place, found in sockets.items()
    }
