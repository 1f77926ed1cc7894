"""Brings a URL into the form in which a client sends it, and decodes URLs as web servers do."""

from __future__ import annotations

import ipaddress
import re
import socket
from dataclasses import dataclass
from urllib.parse import quote, unquote, urljoin, urlsplit

from hashscan.notices.urls import ascii_host

#: The longest URL that is read, in characters. Web servers refuse longer URLs (nginx:
#: large_client_header_buffers 8k).
LONGEST = 8000
ANY_IPV4 = "0.0.0.0"  # noqa: S104 - compared with configurations; hashscan never binds to it
_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[a-z0-9_-]([a-z0-9._-]{0,252})")
#: Characters that clients send unescaped in a URL, by RFC 3986, section 3.3, and by the habit of
#: browsers.
_SENT = "/!$&'()*+,;=:@~%|[]^`{}\"<>\\"
_BROKEN = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_UNRESERVED = re.compile(rb"%(2[DdEe]|3[0-9]|4[1-9A-Fa-f]|5[0-9AaFf]|6[1-9A-Fa-f]|7[0-9AaEe])")
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")


@dataclass(frozen=True, slots=True)
class Address:
    """The address of a client's request to a web server.

    Attributes:
        scheme: the scheme of the requested URL, ``http`` or ``https``.
        host: the requested host in lower-case ASCII; an IPv6 address without brackets.
        target: the URL's path as a client sends the path: percent-encoded, with the / at its
            beginning.
        query: the URL's text after the question mark, as a client sends it.
    """

    scheme: str
    host: str
    port: int
    target: bytes
    query: bytes = b""

    @property
    def is_ip(self) -> bool:
        """Whether the host of the address is an IP address and not a name."""
        return _is_ip(self.host)

    @property
    def authority(self) -> str:
        """The host and the port of the address, in the form in which a URL contains them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The URL that the client requests, in the form in which the client sends it."""
        query = b"?" + self.query if self.query else b""
        return f"{self.scheme}://{self.authority}{(self.target + query).decode('ascii')}"


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_own_ip(address: str) -> bool:
    """Whether an IP address belongs to this machine; the check binds a socket to the address."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True


def parse(url: str) -> Address:
    """The address that a client requests for a URL, without user, password and fragment.

    Raises:
        ValueError: no client would send a request for the URL; the message has the reason.
    """
    if len(url) > LONGEST:
        raise ValueError(f"the URL is longer than {LONGEST:,} characters")
    url = url.strip()
    if not re.match("[A-Za-z]+://", url):
        if re.match(r"[^/?#]*:(?![0-9]+(?:[/?#]|$))", url):
            raise ValueError("the URL has another scheme than http:// and https://")
        url = f"http://{url}"
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ValueError("the URL has no host name that a web server takes") from None
    if "\\" in parts.netloc:
        # Browsers and other programs read a backslash differently: for http://a.example\@b.example/
        # a browser goes to a.example, other programs to b.example.
        raise ValueError("browsers and other programs read the host of the URL differently")
    if parts.scheme not in _PORTS:
        raise ValueError("web servers answer http:// and https:// only")
    try:
        port = parts.port or _PORTS[parts.scheme]
    except ValueError:
        raise ValueError("the port of the URL is no number from 1 to 65535") from None
    host = ascii_host(unquote(parts.hostname or "", errors="strict"))
    if "%" in host:  # the host has the zone of an IPv6 address, which may be any text
        raise ValueError("the URL has no host name that a web server takes")
    if not _is_ip(host) and (not _HOST.fullmatch(host) or ".." in host):
        raise ValueError("the URL has no host name that a web server takes")
    return Address(
        parts.scheme,
        host,
        port,
        quote(parts.path, safe=_SENT, errors="surrogateescape").encode() or b"/",
        quote(parts.query, safe=_SENT + "?", errors="surrogateescape").encode(),
    )


def follow(address: Address, target: str) -> Address:
    """The address to which a redirect from ``address`` to a URL or path (``target``) leads.

    Raises:
        ValueError: no client would follow the redirect, as in ``parse``.
    """
    return parse(urljoin(address.url, target))


def sent_path(path: bytes) -> bytes:
    """A decoded path of a URL, percent-encoded as a client sends the path."""
    return quote(path, safe="/!$&'()*+,;=:@~").encode()


def is_broken(target: bytes) -> bool:
    """Whether a text has a percent sign that is not followed by two hexadecimal digits."""
    return _BROKEN.search(target) is not None


def decoded(target: bytes) -> bytes | None:
    """A URL's path with each escape decoded; ``None``: an escape is broken or stands for a NUL."""
    if is_broken(target):
        return None
    path = _ESCAPE.sub(lambda found: bytes([int(found[1], 16)]), target)
    return None if b"\0" in path else path


def unreserved_decoded(target: bytes) -> bytes:
    """A URL's path with escapes of unreserved characters (RFC 3986) decoded, other escapes kept."""
    return _UNRESERVED.sub(lambda found: bytes([int(found[1], 16)]), target)


def without_dots(
    path: bytes, *, merge: bool = True, deep: bool = False, clamp: bool = False
) -> bytes | None:
    """A URL's decoded path without ``.`` and ``..``; ``None``: the path leads above the root.

    Args:
        path: the decoded path, with the / at its beginning.
        merge: whether consecutive slashes of the path become one slash.
        clamp: whether a ``..`` at the root is ignored; else a path with such a ``..`` counts as
            invalid.
        deep: whether ``..`` after empty names also removes the name before the empty names, as in
            nginx.
    """
    kept: list[bytes] = []
    names = path.split(b"/")[1:]
    for number, name in enumerate(names):
        last = number == len(names) - 1
        if name == b"..":
            if not kept and not clamp:
                return None
            while kept and kept.pop() == b"" and deep:
                if not kept:
                    return None
        elif name not in {b".", b""} or (name == b"" and not merge and not last):
            kept.append(name)
            continue
        if last:
            kept.append(b"")
    return b"/" + b"/".join(kept)
