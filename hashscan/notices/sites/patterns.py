"""Applies the regular expressions of web servers' configurations to parts of a hostile URL.

Web servers use the regular expressions of PCRE. The library ``regex`` is similar to PCRE, and stops
a search that takes too long. This module compares bytes, as web servers do.
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

#: Matches an escape, a class, or a dollar sign that is neither escaped nor in a class.
_DOLLAR = re.compile(r"\\.|\[\^?\]?(?:\\.|\[:\w+:\]|[^\]\\])*\]|\$", re.DOTALL)
_SECONDS = 0.2


@functools.lru_cache(maxsize=4096)
def _compiled(pattern: str, flags: int) -> Any:
    try:
        return regex.compile(pattern.encode("utf-8", "surrogateescape"), flags)
    except (regex.error, ValueError, OverflowError, RecursionError):
        return None


def search(
    pattern: str, text: bytes, *, ignore_case: bool = False, flags: int = 0
) -> Match[bytes] | None:
    """The first match of ``pattern`` in ``text``; ``None``: the pattern does not match.

    Raises:
        UndecidedError: hashscan does not understand the regular expression, or the search takes too
            long.
    """
    compiled = _compiled(pattern, flags | (regex.IGNORECASE if ignore_case else 0))
    if compiled is None:
        raise UndecidedError(f"the expression {shown(pattern)} is not understood")
    try:
        found: Match[bytes] | None = compiled.search(text, timeout=_SECONDS)
    except TimeoutError:
        raise UndecidedError(f"the expression {shown(pattern)} takes too long") from None
    return found


def apache_search(pattern: str, text: bytes, *, ignore_case: bool = False) -> Match[bytes] | None:
    """The first match by Apache's rules: a dot matches any byte, and ``$`` only the text's end.

    Raises:
        UndecidedError: hashscan does not understand the regular expression, or the search takes too
            long.
    """
    pattern = _DOLLAR.sub(lambda found: r"\Z" if found[0] == "$" else found[0], pattern)
    return search(pattern, text, ignore_case=ignore_case, flags=regex.DOTALL)


def groups(found: Match[bytes]) -> dict[str, bytes]:
    """The captures of a match by number and name; a capture group without a match is empty."""
    captured = {str(number): one or b"" for number, one in enumerate((found[0], *found.groups()))}
    return captured | {name: one or b"" for name, one in found.groupdict().items()}


def filled(template: str, found: Match[bytes]) -> str:
    """A template with ``$1`` to ``$9`` replaced by the captures of a match."""
    captured = groups(found)
    return re.sub(r"\$([0-9])", lambda part: os.fsdecode(captured.get(part[1], b"")), template)
