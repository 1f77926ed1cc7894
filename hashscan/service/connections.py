"""Decides which connections the service keeps: bounds by address, and a place for known users.

A connection is *known* after a question with the right password was received over it. All other
connections, the strangers, share ``strangers`` places, and one address has at most ``an_address``
of these places. If no place is free, the service closes an old stranger's connection to admit the
new connection. The service chooses the address with the most connections, and, of that address, the
connection that has waited longest without a whole request. So a client that holds connections open
loses its own connections first, and a client that sends its request soon is answered.
"""

from __future__ import annotations

import ipaddress
import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

#: Number of descriptors reserved for the lists, the audit and served files.
_RESERVED = 128
#: Prefix length of an IPv6 network: all its addresses are taken for one customer.
_IPV6_PREFIX = 64


class ConnectionBounds(NamedTuple):
    """The largest numbers of connections.

    Attributes:
        total: number of connections of all clients.
        strangers: number of connections over which no right password was sent.
        an_address: number of connections of one address over which no right password was sent.
    """

    total: int = 4096
    strangers: int = 512
    an_address: int = 64

    def within(self, descriptors: int, *, one_address: bool) -> ConnectionBounds:
        """Compute the bounds for a process that may have ``descriptors`` open.

        ``one_address``: true if a proxy makes all connections, so that they have the same address.
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
        """Start the record of a connection that was just accepted."""
        self.address = network_of(address)
        self.close = close
        self.since = time.monotonic()
        self.known = False
        self.asking = False


class Connections:
    """All connections, within the bounds."""

    def __init__(self, bounds: ConnectionBounds) -> None:
        """Start without connections."""
        self._bounds = bounds
        self._known: dict[Client, None] = {}
        self._strangers: dict[str, dict[Client, None]] = {}
        self._count = 0

    def __len__(self) -> int:
        """The number of connections."""
        return len(self._known) + self._count

    def add(self, client: Client) -> bool:
        """Admit a stranger, if necessary by closing another connection; false if that fails.

        The caller closes a client that is not admitted.
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
        """Record that the client sent a right password over this connection."""
        if not client.known and self._discard_stranger(client):
            client.known = True
            self._known[client] = None

    def remove(self, client: Client) -> None:
        """Record that the connection has ended."""
        if client.known:
            self._known.pop(client, None)
        else:
            self._discard_stranger(client)

    def close_one(self) -> bool:
        """Close a stranger's connection to free a descriptor; false if no stranger is connected."""
        if not self._count:
            return False
        self._push_out(max(self._strangers.values(), key=len))
        return True

    def all(self) -> list[Client]:
        """All connections, in no particular order."""
        strangers = [client for theirs in self._strangers.values() for client in theirs]
        return [*self._known, *strangers]

    def _push_out(self, clients: dict[Client, None]) -> None:
        # in order of arrival; whole requests are kept longer
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
    """The client's IPv4 address, or the IPv6 network that is taken for one customer."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return address
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, _IPV6_PREFIX), strict=False))
