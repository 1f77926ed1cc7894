"""Reads tables of URLs by the headings of their columns, as SCART writes them.

The headings come from the templates of SCART's mails (``views/mailparts/en`` and ``nl``):
``url;IP;firstseen;lastseen;note``, ``url;IP;eerste keer;laatste keer;notitie``, ``url;note`` and,
for the police, ``url;reason;IP;firstseen;lastseen``. Not verified: the time zone of the times in a
table. These times name no zone, so this module assumes Dutch time.
"""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING

from hashscan.notices import values
from hashscan.notices.formats.source import item_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hashscan.model import Digest
    from hashscan.notices.notice import ParsedItem


class Column(StrEnum):
    """The meaning of a column in a table of URLs."""

    URL = "url"
    IP = "ip"
    FIRST = "first"
    LAST = "last"
    NOTE = "note"
    REASON = "reason"
    MD5 = "md5"
    SHA1 = "sha1"
    SHA256 = "sha256"
    OTHER = "other"


_HEADINGS = {
    "url": Column.URL,
    "urls": Column.URL,
    "link": Column.URL,
    "ip": Column.IP,
    "ip-adres": Column.IP,
    "ip address": Column.IP,
    "ip adres": Column.IP,
    "firstseen": Column.FIRST,
    "first seen": Column.FIRST,
    "eerste keer": Column.FIRST,
    "eerste keer gezien": Column.FIRST,
    "lastseen": Column.LAST,
    "last seen": Column.LAST,
    "laatste keer": Column.LAST,
    "laatste keer gezien": Column.LAST,
    "note": Column.NOTE,
    "notitie": Column.NOTE,
    "opmerking": Column.NOTE,
    "reason": Column.REASON,
    "reden": Column.REASON,
    "md5": Column.MD5,
    "sha1": Column.SHA1,
    "sha-1": Column.SHA1,
    "sha256": Column.SHA256,
    "sha-256": Column.SHA256,
}
_DIGESTS = (Column.MD5, Column.SHA1, Column.SHA256)


def headings(cells: Sequence[str]) -> tuple[Column, ...] | None:
    """The meanings of a table's columns by its row of headings; ``None``: no row of headings.

    A row of headings has exactly one heading for the URL. The row has at least two known headings,
    or all its headings are known.
    """
    if not 1 <= len(cells) <= 50:
        return None
    found = tuple(
        _HEADINGS.get(" ".join(cell.strip().strip('"').lower().split())[:40], Column.OTHER)
        for cell in cells
    )
    known = sum(one is not Column.OTHER for one in found)
    if found.count(Column.URL) != 1 or (known < 2 and known < len(found)):
        return None
    return found


def item(columns: Sequence[Column], cells: Sequence[str]) -> ParsedItem | None:
    """The notice's item in a row; ``None``: the row has neither a URL nor a digest."""
    by = dict(zip(columns, (cell.strip().strip('"').strip() for cell in cells), strict=False))
    digests: list[Digest] = []
    for one in _DIGESTS:
        digest = values.digest(by.get(one, ""), one.value)  # type: ignore[arg-type]
        if digest is not None:
            digests.append(digest)
    found = item_of(values.url(by.get(Column.URL, ""), guess=True), digests)
    if found is None:
        return None
    return replace(
        found,
        ip=values.ip(by.get(Column.IP, "")),
        first_seen=values.moment(by.get(Column.FIRST, ""), values.dutch()),
        last_seen=values.moment(by.get(Column.LAST, ""), values.dutch()),
        classification=values.words(by.get(Column.REASON, "")) or None,
        note=values.words(by.get(Column.NOTE, "")) or None,
    )
