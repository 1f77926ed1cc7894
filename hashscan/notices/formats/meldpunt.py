"""Reads mails of Meldpunt Kinderporno in an older layout: HTML rows of URL, IP address, date.

The subject of the mail has "child sexual abuse". The rows have no headings, so the reader takes the
meaning of a cell from the cell's text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hashscan.notices import values
from hashscan.notices.formats import columns
from hashscan.notices.formats.columns import Column
from hashscan.notices.formats.scart_csv import reference
from hashscan.notices.formats.source import NoticeInput, NotThisFormatError, few

if TYPE_CHECKING:
    from hashscan.notices.markup import HtmlCell
    from hashscan.notices.notice import ParsedItem, ParsedNotice

NAME = "meldpunt"


def read(source: NoticeInput) -> ParsedNotice:
    """The notice in a mail of Meldpunt Kinderporno, in the older layout.

    Raises:
        NotThisFormatError: the mail has another subject, or no row has a URL and an IP address.
    """
    if "child sexual abuse" not in source.subject.lower() and not source.forced:
        raise NotThisFormatError('has no "child sexual abuse" in its subject')
    rows = (row for table in source.tables() for row in table.rows)
    items = few(item for item in map(_item, rows) if item is not None)
    if not items:
        raise NotThisFormatError("has no HTML row with a URL and an IP address")
    return source.notice(NAME, items, reference=reference(source))


def _item(row: list[HtmlCell]) -> ParsedItem | None:
    """The notice's item in a table row; ``None``: the row lacks a URL or an IP address."""
    if not 2 <= len(row) <= 20:
        return None
    named = [_column(cell.text) for cell in row]
    if named.count(Column.URL) != 1 or Column.IP not in named:
        return None
    return columns.item(named, [cell.text for cell in row])


def _column(text: str) -> Column:
    if values.url(text, guess=True) is not None:
        return Column.URL
    if values.ip(text) is not None:
        return Column.IP
    return Column.FIRST if values.moment(text) is not None else Column.OTHER
