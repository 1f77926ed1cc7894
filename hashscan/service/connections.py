"""Decides which connections the service keeps, within limits for addresses and for strangers.

A connection is *known* after the service received a question with the right password over the
connection. All other connections are strangers. The service keeps at most ``strangers`` strangers,
and at most ``an_address`` strangers from one address. At this limit, the service closes an old
stranger's connection to admit the new connection: of the address with the most connections, the
connection that has waited longest without a whole request. So a client that holds connections open
loses its own connections first, and a client that sends its request soon gets an answer.
"""

from __future__ import annotations

import ipaddress
import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

#: Number of descriptors that the service reserves for the lists, the audit and served files.
_RESERVED = 128
#: Prefix length of an IPv6 network; all addresses of a network with this prefix are one customer.
_IPV6_PREFIX = 64


class ConnectionBounds(NamedTuple):
    """The largest numbers of connections that a service keeps.

    Attributes:
        total: largest number of connections of all clients.
        strangers: largest number of connections over which no right password was sent.
        an_address: largest number of connections of one address over which no right password was
            sent.
    """

    total: int = 4096
    strangers: int = 512
    an_address: int = 64

    def within(self, descriptors: int, *, one_address: bool) -> ConnectionBounds:
        """Return the bounds for a process that may have ``descriptors`` open.

        ``one_address``: true if all connections come from a proxy, and so from the same address.
        """
        total = max(16, min(self.total, descriptors - _RESERVED))
        strangers = max(8, min(self.strangers, total // 4))
        return ConnectionBounds(total, strangers, strangers if one_address else self.an_address)


class Client:
    """One connection of a client, from its acceptance to its end.

    Attributes:
        address: the client's IPv4 address, or its IPv6 network.
        since: time of the acceptance, or of the end of the last answer, in monotonic seconds.
        known: true after a question with the right password was received over the connection.
        asking: true from the end of a request's head to the end of the answer.
        close: a function that ends the connection immediately, without an answer.
    """

    __slots__ = ("address", "asking", "close", "known", "since")

    def __init__(self, address: str, close: Callable[[], object]) -> None:
        """Keep the facts of a connection that was just accepted."""
        self.address = network_of(address)
        self.close = close
        self.since = time.monotonic()
        self.known = False
        self.asking = False


class Connections:
    """All connections of a service, within the bounds."""

    def __init__(self, bounds: ConnectionBounds) -> None:
        """Start without connections of clients."""
        self._bounds = bounds
        self._known: dict[Client, None] = {}
        self._strangers: dict[str, dict[Client, None]] = {}
        self._count = 0

    def __len__(self) -> int:
        """Return the number of connections."""
        return len(self._known) + self._count

    def add(self, client: Client) -> bool:
        """Admit a stranger, if necessary by closing another connection; return False if that fails.

        The caller closes the connection of a client that is not admitted.
        """
        bounds = self._bounds
        theirs = self._strangers.get(client.address, {})
        if len(theirs) >= bounds.an_address:
            self._push_out(theirs)
        elif self._count >= bounds.strangers:
            self._push_out(max(self._strangers.values(), key=len))
        elif len(self) >= bounds.total and not self._push_out_idle():
            return False
        self._strangers.setdefault(client.address, {})[client] = None
        self._count += 1
        return True

    def proven(self, client: Client) -> None:
        """Record that the client sent a right password over the connection."""
        if not client.known and self._discard_stranger(client):
            client.known = True
            self._known[client] = None

    def remove(self, client: Client) -> None:
        """Record that the client's connection has ended."""
        if client.known:
            self._known.pop(client, None)
        else:
            self._discard_stranger(client)

    def close_one(self) -> bool:
        """Close a stranger's connection to free a descriptor; return False if there is none."""
        if not self._count:
            return False
        self._push_out(max(self._strangers.values(), key=len))
        return True

    def all(self) -> list[Client]:
        """Return all connections, in no particular order."""
        strangers = [client for theirs in self._strangers.values() for client in theirs]
        return [*self._known, *strangers]

    def _push_out(self, clients: dict[Client, None]) -> None:
        # The dict is in the order of arrival; a client with a whole request keeps its connection
        # longer.
        client = next((one for one in clients if not one.asking), None) or next(iter(clients))
        self.remove(client)
        client.close()

    def _push_out_idle(self) -> bool:
        """Close the known connection that is idle longest; its client can connect again."""
        idle = [client for client in self._known if not client.asking]
        if idle:
            client = min(idle, key=lambda one: one.since)
            self.remove(client)
            client.close()
        return bool(idle)

    def _discard_stranger(self, client: Client) -> bool:
        theirs = self._strangers.get(client.address, {})
        if client not in theirs:
            return False
        del theirs[client]
        self._count -= 1
        if not theirs:
            del self._strangers[client.address]
        return True


def network_of(address: str) -> str:
    """Return the client's IPv4 address, or the IPv6 network that counts as one customer."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return address
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, _IPV6_PREFIX), strict=False))
