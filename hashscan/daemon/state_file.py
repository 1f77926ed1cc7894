"""``STATE/daemon.json``: what the daemon says of itself, for ``status`` and for who watches it."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

NAME = "daemon.json"
_LONGEST = 1 << 20
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC


def write(directory: str, facts: dict[str, Any]) -> None:
    """Replace the file.

    Raises:
        OSError: it cannot be written.
    """
    # Not synced to the disk: after a power cut nothing in it would be true.
    path = os.path.join(directory, NAME)
    beside = os.path.join(directory, f".{NAME}.tmp")
    fd = os.open(
        beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
    )
    with open(fd, "wb") as file:
        file.write(json.dumps(facts, indent=1).encode())
    os.replace(beside, path)


def read(directory: str) -> dict[str, Any] | None:
    """What a daemon wrote last; ``None`` where there is nothing that can be read."""
    try:
        with open(os.path.join(directory, NAME), "rb") as file:
            found = json.loads(file.read(_LONGEST))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
