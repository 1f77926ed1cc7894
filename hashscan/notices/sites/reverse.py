"""Finds the URL at which a site of this machine serves a file."""

from __future__ import annotations

import functools
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hashscan.notices.sites.address import sent_path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_HOST = "{host}"
_LABELS = rb"[a-z0-9_-](?:[a-z0-9._-]{0,252})"


@functools.lru_cache(maxsize=4096)
def _pattern(root: str) -> re.Pattern[bytes]:
    """An expression for paths below a document root whose path contains ``{host}``."""
    parts = [re.escape(os.fsencode(part)) for part in root.split(_HOST)]
    pattern = parts[0]
    for number, part in enumerate(parts[1:]):
        pattern += (rb"(?P<host>" + _LABELS + rb")" if number == 0 else rb"(?P=host)") + part
    return re.compile(pattern + b"/")


@dataclass(frozen=True, slots=True)
class Base:
    """A document root, and the host that serves it.

    Attributes:
        root: absolute path of the document root; ``{host}`` in this path stands for the host.
        host: the host's name, or ``{host}`` if the path of the document root contains the name.
        prefix: the beginning of the URL's path; the path after the prefix is below the document
            root.
        secure: whether the web server takes HTTPS for the host.
    """

    root: str
    host: str
    prefix: str = "/"
    secure: bool = False


def urls_of(bases: Iterable[Base], path: bytes) -> Iterator[str]:
    """URLs that may lead to a file: of the deepest document root first, HTTPS before HTTP.

    The caller checks whether the web server answers each URL with this file.

    Args:
        bases: the document roots of this machine's sites, with their hosts.
        path: absolute path of the file to which the URLs lead.
    """
    found = []
    for base in bases:
        root, host = base.root.rstrip("/"), base.host
        if _HOST in root:
            begin = _pattern(root).match(path)
            if begin is None:
                continue
            length = begin.end()
            if host == _HOST:
                host = begin["host"].decode("ascii")
        else:
            start = os.fsencode(root) + b"/"
            if host == _HOST or not path.startswith(start):
                continue  # hosts that fit a wildcard share the root: no host is known
            length = len(start)
        scheme = "https" if base.secure else "http"
        name = f"[{host}]" if ":" in host else host
        rest = sent_path(os.fsencode(base.prefix.rstrip("/")) + b"/" + path[length:])
        found.append((-length, not base.secure, f"{scheme}://{name}{rest.decode('ascii')}"))
    seen = set()
    for _, _, url in sorted(found, key=lambda one: one[:2]):
        if url not in seen:
            seen.add(url)
            yield url
