"""The settings of the repository from which an agent fetches filters, and the time of a sync."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class RepositorySource:
    """A repository, and the settings for reaching it.

    Attributes:
        url: URL of the directory that holds ``metadata`` and ``targets``.
        root: path of the pinned first root (``1.root.json``, or a later root).
        categories: names of the categories whose filters are fetched, at least one.
        username, password: credentials for Basic authentication; empty if the repository needs
            none.
        ca_bundle: PEM file of the trusted authorities; ``None``: the usual authorities.
        proxy: URL of a proxy; ``None``: the environment's proxy, if any.
        timeout: seconds for which the server may send nothing before the request fails.
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
    """Seconds from the beginning of each ``interval`` to the moment when this host syncs.

    The moments of many hosts are spread evenly over the interval, even if all hosts start at the
    same minute. Each host syncs at the same moment of every interval.
    """
    share = int.from_bytes(hashlib.sha256(host.encode()).digest()[:8], "big") / 2**64
    return share * interval
