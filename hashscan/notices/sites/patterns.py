"""Regular expressions of web servers' configurations, on the parts of a hostile URL.

Servers use PCRE. The library ``regex`` is close to it, and ends a search that takes too long.
Bytes are compared, as the servers do it.
"""

from __future__ import annotations

import functools
import os
import re
from typing import TYPE_CHECKING, Any

import regex

from hashscan.notices.sites.location import UndecidedError
from hashscan.text import shown

if TYPE_CHECKING:
    from re import Match

_SECONDS = 0.2


@functools.lru_cache(maxsize=4096)
def _compiled(pattern: str, ignore_case: bool) -> Any:
    flags = regex.VERSION0 | (regex.IGNORECASE if ignore_case else 0)
    try:
        return regex.compile(pattern.encode("utf-8", "surrogateescape"), flags)
    except (regex.error, ValueError, OverflowError, RecursionError):
        return None


def search(pattern: str, text: bytes, *, ignore_case: bool = False) -> Match[bytes] | None:
    """Where ``pattern`` first matches in ``text``.

    Raises:
        UndecidedError: the expression is not understood, or the search takes too long.
    """
    compiled = _compiled(pattern, ignore_case)
    if compiled is None:
        raise UndecidedError(f"the expression {shown(pattern)} is not understood")
    try:
        found: Match[bytes] | None = compiled.search(text, timeout=_SECONDS)
    except TimeoutError:
        raise UndecidedError(f"the expression {shown(pattern)} takes too long") from None
    return found


def groups(found: Match[bytes]) -> dict[str, bytes]:
    """The captures of a match, by number and name; an empty text for those that took no part."""
    captured = {str(number): one or b"" for number, one in enumerate((found[0], *found.groups()))}
    return captured | {name: one or b"" for name, one in found.groupdict().items()}


def filled(template: str, found: Match[bytes]) -> str:
    """A template with ``$1`` to ``$9`` replaced by captures."""
    captured = groups(found)
    return re.sub(r"\$([0-9])", lambda part: os.fsdecode(captured.get(part[1], b"")), template)
