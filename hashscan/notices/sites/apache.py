"""Evaluates Apache httpd's configuration: chooses the virtual host that takes a request.

Source: httpd.apache.org/docs/2.4/vhosts/details.html.
"""

from __future__ import annotations

import fnmatch
import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hashscan.notices.sites.address import ANY_IPV4, is_own_ip
from hashscan.notices.sites.answer import is_root_missing, is_same
from hashscan.notices.sites.apache_conf import ApacheDirective, ApacheReader
from hashscan.notices.sites.apache_request import ApacheRequest
from hashscan.notices.sites.location import Location, UndecidedError
from hashscan.notices.sites.read_files import ReadFiles
from hashscan.notices.sites.reverse import Base
from hashscan.notices.urls import ascii_host
from hashscan.text import counted, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashscan.notices.sites.address import Address
    from hashscan.notices.sites.answer import Answer
    from hashscan.notices.sites.disk import Disk

_HTTPS = 443


@dataclass(slots=True)
class Host:
    """A virtual host of Apache, or the main server.

    Attributes:
        own: the directives in the section of the virtual host.
        names: names of the virtual host in lower-case ASCII; ``*`` and ``?`` in a name are
            wildcards.
    """

    own: tuple[ApacheDirective, ...]
    where: str
    names: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for one in self.own:
            if one.name == "servername" and one.args:
                name = re.sub(r"^[a-z]+://", "", one.args[0].lower())
                self.names.append(ascii_host(re.sub(r":[0-9]+$", "", name)))
            elif one.name == "serveralias":
                self.names += [ascii_host(name) for name in one.args]


class AddressGroup:
    """Apache's virtual hosts with the same IP address and port, indexed by their names.

    Attributes:
        first: the virtual host that takes a request if no virtual host's name fits the request.
    """

    def __init__(self, hosts: list[Host]) -> None:
        """``hosts``: the virtual hosts in the order of Apache's configuration."""
        self.first = hosts[0]
        self._exact: dict[str, tuple[int, Host]] = {}
        self._globs: list[tuple[re.Pattern[str], int, Host]] = []
        for number, host in enumerate(hosts):
            for name in host.names:
                if "*" in name or "?" in name:
                    glob = fnmatch.translate(name.replace("[", "[[]"))
                    self._globs.append((re.compile(glob), number, host))
                else:
                    self._exact.setdefault(name, (number, host))

    def find(self, name: str) -> Host | None:
        """The first virtual host with a name that fits ``name``; ``None``: no virtual host fits."""
        found = self._exact.get(name)
        for glob, number, host in self._globs:
            if found is not None and found[0] <= number:
                break
            if glob.fullmatch(name):
                return host
        return None if found is None else found[1]


class Apache:
    """Answers requests by an entry of ``sites`` with ``apache``, from Apache's configuration."""

    def __init__(self, name: str, path: str) -> None:
        """``name``: name of the entry, for messages; ``path``: Apache's main configuration file."""
        self.name = name
        self._path = path
        self._read_files = ReadFiles()
        self._reader = ApacheReader(os.path.dirname(path), self._read_files)
        self._why = ""
        self._main: tuple[ApacheDirective, ...] | None = None
        self._places: list[tuple[str, int | None, Host]] = []
        self._groups: dict[int, dict[str, AddressGroup]] = {}
        self._every: AddressGroup | None = None

    def content(self) -> str:
        """The number of virtual hosts in Apache's configuration.

        Raises:
            UndecidedError: Apache's configuration cannot be read.
        """
        self._read()
        number = len({id(host) for _, _, host in self._places})
        return counted(number, "virtual host")

    def _read(self) -> tuple[ApacheDirective, ...]:
        if self._why:
            raise UndecidedError(self._why)
        if self._main is None:
            try:
                main = self._reader.main(self._path)
            except UndecidedError as error:
                self._why = str(error)
                raise
            every: list[Host] = []
            for one in main:
                if one.name == "virtualhost" and one.block is not None:
                    host = Host(one.block, one.where)
                    every.append(host)
                    for place in dict.fromkeys(map(_place, one.args)):
                        self._places.append((*place, host))
            self._every = AddressGroup(every) if every else None
            self._main = tuple(one for one in main if one.name != "virtualhost")
        return self._main

    def is_changed(self) -> bool:
        """Whether Apache's configuration changed since the last reading, or was unreadable then."""
        return bool(self._why) or (self._main is not None and self._read_files.changed())

    def bases(self) -> Iterator[Base]:
        """The document roots of Apache's virtual hosts, one for each host name without wildcards.

        Raises:
            UndecidedError: Apache's configuration cannot be read.
        """
        self._read()
        ports: dict[int, set[int | None]] = {}
        hosts: dict[int, Host] = {}
        for _, port, host in self._places:
            ports.setdefault(id(host), set()).add(port)
            hosts[id(host)] = host
        for number, host in hosts.items():
            roots = [one.args[0] for one in host.own if one.name == "documentroot" and one.args]
            for name in host.names if roots and roots[-1].startswith("/") else ():
                if "*" not in name and "?" not in name:
                    yield Base(roots[-1], name, secure=_HTTPS in ports[number])

    def answer(self, address: Address, disk: Disk) -> Location | Answer | None:
        """The answer of the virtual host that takes the request; ``None``: no virtual host does.

        Raises:
            UndecidedError: hashscan cannot decide on Apache's answer.
        """
        main = self._read()
        groups = self._groups_for(address, disk)
        chosen: list[Host] = []
        for group in groups:
            fitting = group.find(address.host)
            if fitting is not None and fitting not in chosen:
                chosen.append(fitting)
        if chosen:
            answers = [self._ask(host, address, disk) for host in chosen]
            if any(not is_same(one, answers[0]) for one in answers):
                places = " and ".join(host.where for host in chosen)
                raise UndecidedError(
                    f"{shown(address.host)} has different servers on different addresses: {places}"
                )
            return answers[0]
        if not groups:
            server = Host(main, "the main server")
            if AddressGroup([server]).find(address.host) or (
                address.is_ip and is_own_ip(address.host)
            ):
                return self._ask(Host((), "the main server"), address, disk)
            return None
        return self._default([group.first for group in groups], address, disk)

    def _ask(self, host: Host, address: Address, disk: Disk) -> Location | Answer:
        assert self._main is not None
        disk.step(f"{self.name}: {host.where} takes {shown(address.authority)}")
        return ApacheRequest(self._main, host.own, self._reader, address, disk).answer()

    def _groups_for(self, address: Address, disk: Disk) -> list[AddressGroup]:
        """The groups of virtual hosts that may get the request, by its IP address and port."""
        if address.port not in self._groups:
            self._groups[address.port] = self._of_port(address.port)
        at_port = self._groups[address.port]
        if not at_port and self._every is not None and self._every.find(address.host):
            disk.step(
                f"{self.name}: no virtual host has port {address.port}; hashscan assumes that"
                " another program passes the requests on"
            )
            return [self._every]
        if address.is_ip:
            group = at_port.get(address.host) or at_port.get("*")
            return [group] if group else []
        return list(at_port.values())

    def _of_port(self, wanted: int) -> dict[str, AddressGroup]:
        by_address: dict[str, list[Host]] = {}
        for place, port, host in self._places:
            if port in {None, wanted}:
                by_address.setdefault(place, []).append(host)
        return {place: AddressGroup(hosts) for place, hosts in by_address.items()}

    def _default(self, hosts: list[Host], address: Address, disk: Disk) -> Location | Answer | None:
        """The default virtual host's answer, if the requested host is certainly this machine's."""
        if address.is_ip and len(hosts) == 1 and is_own_ip(address.host):
            return self._ask(hosts[0], address, disk)
        for host in hosts:
            if any(one.name == "virtualdocumentroot" for one in host.own):
                answer = self._ask(host, address, disk)
                if not is_root_missing(answer, disk):
                    return answer
            disk.step(
                f"{self.name}: no ServerName is {shown(address.host)}; the first host at"
                f" {host.where} would answer if the name pointed to this machine"
            )
        return None


def _place(text: str) -> tuple[str, int | None]:
    found = re.fullmatch(r"(\[[0-9A-Fa-f:.]*\]|[^\[\]:]*)(?::([0-9]{1,5}|\*))?", text)
    if found is None:
        raise UndecidedError(f"<VirtualHost {shown(text)}> is not understood")
    address = found[1].strip("[]").lower()
    if address in {"_default_", ANY_IPV4, "::", ""}:
        address = "*"
    return address, int(found[2]) if found[2] and found[2] != "*" else None
