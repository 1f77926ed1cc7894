"""Checks the URL of a service, so that credentials are sent only to a safe URL."""

from __future__ import annotations

import ipaddress
import re

from hashscan.errors import UsageError
from hashscan.hosts import is_loopback

# This pattern is narrower than RFC 3986 on purpose. Parts that parsers read in different ways (user
# info, backslashes, escapes, white space, queries) are not allowed in a service's URL.
_URL = re.compile(
    r"(?P<scheme>https?)://"
    r"(?P<host>[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?\.?|\[[0-9A-Fa-f:.]+\])"
    r"(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>(?:/[A-Za-z0-9._~-]+)*)/*"
)


def check_url(url: str) -> str:
    """Check a service's URL; return the URL without a slash at its end.

    Raises:
        UsageError: the URL does not match the pattern, or credentials would be sent unencrypted.
            The message does not quote a URL that may hold a password.
    """
    found = _URL.fullmatch(url)
    if found is None or int(found["port"] or 443) > 65535 or found["port"] == "0":
        advice = "write https://host or https://host:port/path, letters, digits, '.', '-' only"
        if "@" in url:
            advice = "user and password do not belong in it: set service.username and the password"
        raise UsageError(f"service.url: is no URL that can be used (not shown here); {advice}")
    host = found["host"]
    if host.startswith("["):
        try:
            ipaddress.IPv6Address(host[1:-1])
        except ValueError:
            raise UsageError(f"service.url: {host} is no IPv6 address") from None
    if found["scheme"] == "http" and not is_loopback(host):
        raise UsageError(
            f"service.url: http://{host} would send the credentials in the clear; write https://"
        )
    return url.rstrip("/")
