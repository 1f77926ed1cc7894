"""Reads SCART's HTML table in a mail as a notice: ``<table class="urls">``, a row for each URL.

``columns`` has the headings of SCART's tables. A table without the class ``urls`` is read if one of
its rows has these headings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hashscan.notices import values
from hashscan.notices.formats import columns
from hashscan.notices.formats.columns import Column
from hashscan.notices.formats.scart_csv import reference
from hashscan.notices.formats.source import NoticeInput, NotThisFormatError, few
from hashscan.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hashscan.notices.markup import HtmlCell, HtmlTable
    from hashscan.notices.notice import ParsedItem, ParsedNotice

NAME = "scart-html"
_USUAL = (Column.URL, Column.IP, Column.FIRST, Column.LAST, Column.NOTE)


def read(source: NoticeInput) -> ParsedNotice:
    """The notice in a mail or file with SCART's HTML table.

    Raises:
        NotThisFormatError: the mail or file has no table of SCART's, or no row has a URL.
    """
    reader = _Reader()
    items = few(item for table in source.tables() for item in reader.items(table))
    if not reader.found:
        raise NotThisFormatError(
            'has no HTML table with the class "urls" or with headings such as "url" and "IP"'
        )
    return source.notice(NAME, items, reference=reference(source), remarks=reader.remarks())


class _Reader:
    def __init__(self) -> None:
        self.found = False
        self._bad = 0

    def items(self, table: HtmlTable) -> Iterator[ParsedItem]:
        named: Sequence[Column] | None = _USUAL if "urls" in table.classes else None
        for row in table.rows:
            heads = columns.headings([cell.text for cell in row])
            if heads is not None:
                named = heads
            elif named is not None and any(cell.text for cell in row):
                item = columns.item(named, list(_texts(named, row)))
                if item is not None:
                    yield item
                else:
                    self._bad += 1
        self.found = self.found or named is not None

    def remarks(self) -> Iterator[str]:
        if self._bad:
            yield f"{counted(self._bad, 'row')} of the table without a URL"


def _texts(named: Sequence[Column], row: list[HtmlCell]) -> Iterator[str]:
    """The texts of a row's cells; if a URL cell's text is no URL, the link in the cell instead."""
    for index, cell in enumerate(row):
        is_url = index < len(named) and named[index] is Column.URL
        if is_url and cell.link and values.url(cell.text, guess=True) is None:
            yield cell.link
        else:
            yield cell.text
