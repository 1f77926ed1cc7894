"""Formats names, sizes and times for people and for other programs, and parses them."""

from __future__ import annotations

import os
import re
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def _escape(character: str) -> str:
    code = ord(character)
    if character == "\\":
        return "\\\\"
    if character.isprintable():
        return character
    if 0xDC80 <= code <= 0xDCFF:  # a surrogate: os.fsdecode's escape of a byte
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x80:
        return {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(character, f"\\x{code:02x}")
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def shown(path: bytes | str) -> str:
    """Return a path for a terminal or a log line: one line, printable, unambiguous.

    A file name must not be able to forge a line, move the cursor, hide its ending, or look like the
    name of another file. So the function escapes the backslash, and all characters that Unicode
    calls other or separator, except the usual space: control and format characters, marks that turn
    the direction of writing, unassigned characters, and other spaces.
    """
    text = os.fsdecode(path)
    if text.isprintable() and "\\" not in text:
        return text
    return "".join(map(_escape, text))


def counted(number: int, one: str, many: str = "") -> str:
    """Return a number with its noun, e.g. ``1 file``; ``many``: a plural that does not add an s."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def names_of(paths: Sequence[bytes | str], most: int = 5) -> str:
    """Return one line with the first ``most`` paths, and the number of the other paths."""
    named = ", ".join(shown(path) for path in paths[:most])
    more = len(paths) - most
    return f"{named} and {more:,} more" if more > 0 else named


def one_line(text: str) -> str:
    """Return a message as one printable line; existing escapes are not escaped again."""
    parts = [part.strip() for part in text.splitlines()]
    text = " | ".join(part for part in parts if part)
    if text.isprintable():
        return text
    return "".join(one if one == "\\" else _escape(one) for one in text)


def said_by(error: Exception) -> str:
    """Return the text of an error, without Python's ``[Errno 13]`` and without file names."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def rfc3339(seconds: float | None = None) -> str:
    """Return a time (seconds since the epoch; default: now) as RFC 3339 in UTC."""
    moment = time.time() if seconds is None else seconds
    text = datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def local_time(seconds: float) -> str:
    """Return a time (seconds since the epoch) in local time: ``2026-11-27 10:00 CET``."""
    return f"{datetime.fromtimestamp(seconds, UTC).astimezone():%Y-%m-%d %H:%M %Z}"


def human_size(size: float) -> str:
    """Return a number of bytes with a binary unit: ``1.5 GiB``."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if abs(size) < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} PiB"


def human_age(seconds: float) -> str:
    """Return a duration in its largest fitting unit: ``40 s``, ``5 min``, ``3 h``, ``12 days``."""
    for limit, unit, name in ((120, 1, "s"), (7200, 60, "min"), (172800, 3600, "h")):
        if seconds < limit:
            return f"{max(0.0, seconds) / unit:.0f} {name}"
    return f"{seconds / 86400:.0f} days"


_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(?:([KMGTP])(i?)B?|B)?", re.IGNORECASE)
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(ms|s|min|m|h|d|w)?")
_SECONDS = {
    "ms": 0.001,
    "s": 1.0,
    "min": 60.0,
    "m": 60.0,
    "h": 3600.0,
    "d": 86400.0,
    "w": 604800.0,
}


def parse_size(text: str) -> int:
    """Parse ``50MiB``, ``1.5G`` or ``1000`` as bytes; ``K`` and ``KiB`` are 1024, ``KB`` is 1000.

    Raises:
        ValueError: the text is not a size.
    """
    found = _SIZE.fullmatch(text.strip())
    if not found:
        raise ValueError(f"{text!r} is not a size: write e.g. 50MiB, 2GiB or 1000")
    number, unit, binary = found.groups()
    if not unit:
        return int(float(number))
    base = 1024 if binary or not text.strip().upper().endswith("B") else 1000
    return int(float(number) * base ** ("KMGTP".index(unit.upper()) + 1))


def parse_duration(text: str) -> float:
    """Parse ``10s``, ``5min`` (or ``5m``), ``1h``, ``7d`` or ``2w``; a bare number is seconds.

    ``config.values`` limits the duration, and requires a unit in settings about removal.

    Raises:
        ValueError: the text is not a duration.
    """
    found = _DURATION.fullmatch(text.strip())
    if not found:
        raise ValueError(f"{text!r} is not a duration: write e.g. 10s, 5m, 1h or 7d")
    return float(found.group(1)) * _SECONDS[found.group(2) or "s"]
