"""Brings URLs from senders into one form, so that equal URLs can be found."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote_to_bytes, urlsplit

import idna

_DEFAULT_PORTS = {"http": 80, "https": 443, "ftp": 21}
#: Characters that need no percent-encoding in the path of a URL (RFC 3986, sections 2.2 and 3.3).
_PATH_SAFE = "/!$&'()*+,;=:@~"
_QUERY_SAFE = _PATH_SAFE + "?%"


def ascii_host(host: str) -> str:
    """A host name in lower-case ASCII (A-labels), without a dot at the end of the name.

    A host name that IDNA 2008 refuses, e.g. with an underscore, is only put into lower case.
    """
    host = host.rstrip(".").lower()
    if host.isascii():
        return host
    try:
        return idna.encode(host, uts46=True).decode("ascii")
    except idna.IDNAError:
        return host


def same_url_key(url: str) -> str:
    """A key for a URL; URLs at which a web server has the same file have equal keys.

    The key of a URL is the same for any scheme, case and Unicode form of the host, default port,
    fragment, and percent-encoding of the path. URLs with different queries have different keys. The
    key of a text that is no URL is the text.
    """
    # Half of a surrogate pair in a URL cannot be percent-encoded.
    url = url.strip().encode("utf-8", "backslashreplace").decode()
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return url
    if not parts.hostname or "\\" in parts.netloc:  # programs disagree on a host with a backslash
        return url
    host = ascii_host(parts.hostname)
    if ":" in host:
        host = f"[{host}]"
    if port is not None and port != _DEFAULT_PORTS.get(parts.scheme):
        host += f":{port}"
    path = _without_dots(quote(unquote_to_bytes(parts.path), safe=_PATH_SAFE)) or "/"
    query = f"?{quote(parts.query, safe=_QUERY_SAFE)}" if parts.query else ""
    return host + path + query


def _without_dots(path: str) -> str:
    """A URL's path without dot segments (RFC 3986, section 5.2.4) and repeated slashes."""
    kept: list[str] = []
    parts = [part for part in re.split("/+", path) if part != "."]
    for part in parts:
        if part == "..":
            if len(kept) > 1:
                kept.pop()
        elif part or not kept:
            kept.append(part)
    if path.endswith(("/", "/.", "/..")):
        kept.append("")
    return "/".join(kept)
