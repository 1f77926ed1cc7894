"""Decides which connections the service keeps: bounds by address, and a place for known users.

A connection is *known* once a question with the right password came over it. All others, the
strangers, share ``strangers`` places, and one address has at most ``an_address`` of them. If no
place is free, a stranger's connection is closed for the new one: it takes the address with the most
connections, and closes the one of it that waits longest without a whole request. So a client that
holds connections open pushes out its own, and a client that sends its request soon is answered.
"""

from __future__ import annotations

import ipaddress
import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

#: Descriptors reserved for the lists, the audit and served files.
_RESERVED = 128
#: Prefix length of an IPv6 network that one customer has, with all its addresses.
_IPV6_PREFIX = 64


class ConnectionBounds(NamedTuple):
    """How many connections there may be.

    Attributes:
        total: of all clients.
        strangers: of all clients that have not sent a right password over the connection.
        an_address: the same, of one address.
    """

    total: int = 4096
    strangers: int = 512
    an_address: int = 64

    def within(self, descriptors: int, *, one_address: bool) -> ConnectionBounds:
        """The bounds for a process that may have ``descriptors`` open.

        ``one_address``: all clients come from the address of a proxy.
        """
        total = max(16, min(self.total, descriptors - _RESERVED))
        strangers = max(8, min(self.strangers, total // 4))
        return ConnectionBounds(total, strangers, strangers if one_address else self.an_address)


class Client:
    """One connection, from its acceptance on.

    Attributes:
        address: of the client: an IPv4 address or an IPv6 network.
        since: when it was accepted, or when its last answer ended; monotonic seconds.
        known: a question with the right password came over it.
        asking: a whole head arrived, and its answer has not ended.
        close: ends it immediately, without an answer.
    """

    __slots__ = ("address", "asking", "close", "known", "since")

    def __init__(self, address: str, close: Callable[[], object]) -> None:
        """Note a connection that was just accepted."""
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
        """Number of connections."""
        return len(self._known) + self._count

    def add(self, client: Client) -> bool:
        """Admit a stranger, in the place of another one if necessary; false if there is no place.

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
        """Note that the client has sent a right password."""
        if not client.known and self._discard_stranger(client):
            client.known = True
            self._known[client] = None

    def remove(self, client: Client) -> None:
        """Note that the connection has ended."""
        if client.known:
            self._known.pop(client, None)
        else:
            self._discard_stranger(client)

    def close_one(self) -> bool:
        """Close a stranger's connection to free its descriptor; false if there is none."""
        if not self._count:
            return False
        self._push_out(max(self._strangers.values(), key=len))
        return True

    def all(self) -> list[Client]:
        """Every connection, in no order."""
        strangers = [client for theirs in self._strangers.values() for client in theirs]
        return [*self._known, *strangers]

    def _push_out(self, clients: dict[Client, None]) -> None:
        # in order of arrival; a whole request is better than half of one
        client = next((one for one in clients if not one.asking), None) or next(iter(clients))
        self.remove(client)
        client.close()

    def _push_out_idle(self) -> bool:
        """Close the known connection that is idle longest; its client can open another one."""
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
    """The IPv4 address, or the IPv6 network that one customer has."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return address
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, _IPV6_PREFIX), strict=False))
