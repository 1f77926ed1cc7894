"""The home directory of the user who runs hashscan, and the usual directories below it."""

from __future__ import annotations

import os
import pwd


def home() -> str | None:
    """This user's home directory, from ``$HOME`` or passwd(5); ``None`` if the user has none."""
    named = os.environ.get("HOME", "")
    if named.startswith("/"):
        return named
    try:
        entry = pwd.getpwuid(os.geteuid()).pw_dir
    except KeyError:
        return None
    return entry if entry.startswith("/") else None


def below_home(variable: str, *usual: str) -> str | None:
    """The directory that an XDG variable names, or the default directory below the user's home."""
    base = os.environ.get(variable, "")
    if base.startswith("/"):  # the XDG specification ignores relative paths
        return base
    below = home()
    return None if below is None else os.path.join(below, *usual)
