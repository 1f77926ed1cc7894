"""Finds out whether a host is this machine."""

from __future__ import annotations

import ipaddress
import socket


def is_loopback(host: str) -> bool:
    """Return True if ``host``, a name or an address from a URL, is certainly this machine."""
    host = host.strip("[]").lower().removesuffix(".")
    if host == "localhost":
        return True
    try:
        found = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        try:
            return socket.inet_aton(host)[0] == 127  # "127.1", a short form that connections accept
        except OSError:
            return False
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        return found.ipv4_mapped.is_loopback
    return found.is_loopback


def is_address(host: str) -> bool:
    """Return True if ``host`` is an address of IPv4 or IPv6, and not a name."""
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True
