"""Reads notices in XARF 0.2: a mail with ``X-XARF: PLAIN`` and a YAML report ``report.txt``.

A XARF report has the fields ``Reported-From``, ``Category``, ``Report-Type``, ``Report-ID``,
``Date``, ``Source``, ``Source-Type`` (``uri`` or ``ip-address``). Not verified: the name of the
report type for child abuse. The reader accepts a report if its type, category or schema has
``child`` in the name.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hashscan.config.parsing import parse
from hashscan.config.yaml_lines import TextError
from hashscan.notices import values
from hashscan.notices.formats.source import NoticeInput, NotThisFormatError, item_of
from hashscan.text import shown

if TYPE_CHECKING:
    from hashscan.notices.mail import Text
    from hashscan.notices.notice import ParsedNotice

NAME = "xarf-0.2"
#: The most characters of a XARF report, and of all reports of a mail. A YAML parser in Python is
#: slow, so these bounds are small.
_LONGEST = 16 * 1024
_MOST = 20 * _LONGEST


def read(source: NoticeInput) -> ParsedNotice:
    """The notice in a XARF 0.2 mail, which may have several reports.

    Raises:
        NotThisFormatError: the mail has no XARF 0.2 report about child abuse.
    """
    headers = source.headers
    marked = headers is not None and (headers.has("x-xarf") or headers.has("x-arf"))
    reports = [one for one in source.texts if _is_report(one)]
    named = marked or source.forced or any(one.name.lower() == "report.txt" for one in reports)
    if not reports or not named:
        raise NotThisFormatError("has no header X-XARF with a part report.txt")
    if sum(len(one.text) for one in reports) > _MOST:
        raise NotThisFormatError(f"has reports of more than {_MOST >> 10} KiB together")
    fields = [_fields(one.text) for one in reports]
    items = []
    refused = []
    for found in fields:
        dated = values.moment(_text(found, "Date"))
        item = item_of(values.url(_text(found, "Source")))
        said = " ".join(_text(found, one) for one in ("Report-Type", "Category", "Schema-URL"))
        if "child" not in said.lower() and not source.forced:
            kind = shown(values.words(_text(found, "Report-Type"), 60))
            refused.append(f"has a report about {kind!r}, not child abuse")
        elif item is None:
            refused.append("has a report without a URL as Source")
        else:
            items.append(replace(item, ip=values.ip(_text(found, "Source-IP")), first_seen=dated))
    if not items:
        raise NotThisFormatError(refused[0])
    references = dict.fromkeys(_text(one, "Report-ID") for one in fields[:10])
    return source.notice(
        NAME,
        items,
        sender=_text(fields[0], "Reported-From"),
        contact=_text(fields[0], "Reported-From"),
        reference=", ".join(filter(None, references)),
        sent=values.moment(_text(fields[0], "Date")),
        remarks=[f"it {one}" for one in refused],
    )


def _is_report(text: Text) -> bool:
    return "\nReport-Type:" in f"\n{text.text[:_LONGEST]}" and "Source" in text.text[:_LONGEST]


def _fields(text: str) -> dict[str, Any]:
    """The fields of a XARF report as YAML; without YAML, the fields in lines ``Name: value``."""
    if len(text) > _LONGEST:
        raise NotThisFormatError(f"has a report of more than {_LONGEST >> 10} KiB")
    try:
        found = parse(text.encode("utf-8", "replace")).data
    except (TextError, ValueError, OverflowError, RecursionError):
        found = None
    if isinstance(found, dict):
        return found
    pairs = (line.partition(":") for line in text.split("\n"))
    return {name.strip(): value.strip() for name, mark, value in pairs if mark}


def _text(found: dict[str, Any], name: str) -> str:
    value = found.get(name)
    return "" if value is None or isinstance(value, dict | list) else str(value).strip()
