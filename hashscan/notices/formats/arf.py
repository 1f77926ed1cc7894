"""Reads notices in ARF (RFC 5965): a mail with a part ``message/feedback-report``.

The feedback report has ``Feedback-Type: abuse`` and a ``Reported-URI`` for each URL. The reader of
ARF also reads the fields ``Source-IP``, ``Arrival-Date`` and ``Received-Date``. A feedback report
about a mail has no URL, and is no notice.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hashscan.notices import values
from hashscan.notices.formats.source import NoticeInput, NotThisFormatError, item_of
from hashscan.text import shown

if TYPE_CHECKING:
    from hashscan.notices.notice import ParsedItem, ParsedNotice

NAME = "arf"


def read(source: NoticeInput) -> ParsedNotice:
    """The notice in an ARF mail (RFC 5965).

    Raises:
        NotThisFormatError: the mail has no feedback report, or the report names no URL.
    """
    items: list[ParsedItem] = []
    seen = False
    kinds: set[str] = set()
    for one in source.texts:
        if one.kind != "message/feedback-report" and not source.forced:
            continue
        fields = _fields(one.text)
        kind = fields.get("feedback-type", [""])[0].lower()
        seen = seen or bool(kind)
        if kind != "abuse" and not (source.forced and kind):
            kinds.add(kind)
            continue
        items += _items(fields)
    if not seen:
        raise NotThisFormatError("has no part message/feedback-report")
    if not items:
        other = ", ".join(shown(values.words(one, 60)) for one in sorted(kinds)[:5])
        raise NotThisFormatError(
            f"has feedback of the type {other}, not abuse" if kinds else "names no Reported-URI"
        )
    return source.notice(NAME, items)


def _items(fields: dict[str, list[str]]) -> list[ParsedItem]:
    found = []
    dated = (fields.get("arrival-date") or fields.get("received-date") or [""])[0]
    for address in fields.get("reported-uri", []):
        item = item_of(values.url(address))
        if item is not None:
            ip = values.ip(fields.get("source-ip", [""])[0])
            found.append(replace(item, ip=ip, first_seen=values.moment(dated)))
    return found


def _fields(text: str) -> dict[str, list[str]]:
    """A report's fields by lower-case names; a line that begins with a space continues a field."""
    found: dict[str, list[str]] = {}
    last: list[str] | None = None
    for line in text.split("\n"):
        if line[:1] in (" ", "\t") and last:
            last[-1] = f"{last[-1]} {line.strip()}" if len(last[-1]) < 10_000 else last[-1]
            continue
        name, mark, value = line.partition(":")
        if mark and len(name) < 100:
            last = found.setdefault(name.strip().lower(), [])
            last.append(value.strip())
    return found
