"""Which repository an agent fetches from, and when."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class RepositorySource:
    """A repository, and the settings for reaching it.

    Attributes:
        url: of the directory that holds ``metadata`` and ``targets``.
        root: path of the pinned first root (``1.root.json``, or a later one).
        categories: to fetch; at least one.
        username, password: for Basic authentication; empty if it asks for none.
        ca_bundle: PEM file of the authorities to trust; ``None``: the usual ones.
        proxy: URL of a proxy; ``None``: the environment's, if any.
        timeout: seconds that the server may be silent.
    """

    url: str
    root: str
    categories: tuple[str, ...]
    username: str = ""
    password: str | None = field(default=None, repr=False)
    ca_bundle: str | None = None
    proxy: str | None = None
    timeout: float = 30.0


def sync_offset(host: str, interval: float) -> float:
    """This host's moment in each ``interval``, in seconds from its beginning.

    A fleet whose hosts all start at the same minute is spread evenly, and each host always asks at
    the same moment.
    """
    share = int.from_bytes(hashlib.sha256(host.encode()).digest()[:8], "big") / 2**64
    return share * interval
