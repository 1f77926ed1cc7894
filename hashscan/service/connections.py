"""Which connections the service keeps: bounds by address, and a place for users it knows.

A connection is *known* once a question with the right password came over it. All others together
have ``strangers`` places, and each address has ``an_address`` of them. If no place is free, a
stranger's connection is closed for the new one: of the address that holds most, the one that waits
longest and has not sent a whole request. So somebody who holds connections open pushes out their
own, and a client that sends its request at once is answered.
"""

from __future__ import annotations

import ipaddress
import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

#: Descriptors that are left to the lists, the audit and files that are served.
_RESERVED = 128
#: An IPv6 customer has a network of at least this many bits, and all its addresses.
_IPV6_PREFIX = 64


class Bounds(NamedTuple):
    """How many connections there may be.

    Attributes:
        total: of all clients.
        strangers: of all clients that did not show a right password over it.
        an_address: the same of one address.
    """

    total: int = 4096
    strangers: int = 512
    an_address: int = 64

    def within(self, descriptors: int, *, one_address: bool) -> Bounds:
        """The bounds for a process that may have so many descriptors.

        ``one_address``: all clients come from the address of a proxy.
        """
        total = max(16, min(self.total, descriptors - _RESERVED))
        strangers = max(8, min(self.strangers, total // 4))
        return Bounds(total, strangers, strangers if one_address else self.an_address)


class Client:
    """One connection, from its acceptance on.

    Attributes:
        address: whose it is: an IPv4 address or an IPv6 network.
        since: when it was accepted, or when its last answer ended; monotonic seconds.
        known: a question with the right password came over it.
        asking: a whole head arrived, and its answer has not ended.
        close: ends it, at once and without a word.
    """

    __slots__ = ("address", "asking", "close", "known", "since")

    def __init__(self, address: str, close: Callable[[], object]) -> None:
        """A connection that was just accepted."""
        self.address = network_of(address)
        self.close = close
        self.since = time.monotonic()
        self.known = False
        self.asking = False


class Connections:
    """All connections, within the bounds."""

    def __init__(self, bounds: Bounds) -> None:
        """There is none yet."""
        self._bounds = bounds
        self._known: dict[Client, None] = {}
        self._strangers: dict[str, dict[Client, None]] = {}
        self._count = 0

    def __len__(self) -> int:
        """All of them."""
        return len(self._known) + self._count

    def add(self, client: Client) -> bool:
        """Take a stranger in, in the place of another one if need be; false if there is no place.

        A client that was not taken in must be closed.
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
        """The client has shown a right password."""
        if not client.known and self._discard_stranger(client):
            client.known = True
            self._known[client] = None

    def remove(self, client: Client) -> None:
        """The connection has ended."""
        if client.known:
            self._known.pop(client, None)
        else:
            self._discard_stranger(client)

    def close_one(self) -> bool:
        """Close one stranger's connection, for its descriptor is needed; false if there is none."""
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
        """Close the known connection that is idle for longest; its client opens another one."""
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
    """The address, or of IPv6 the network that one customer has."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return address
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, _IPV6_PREFIX), strict=False))
