"""Reads SCART's CSV as a notice: separated by ``;``, unquoted, with a row of headings.

SCART (Meldpunt Kinderporno, Offlimits) attaches the CSV as ``urls-A0000001234.csv``, or writes the
CSV into the mail. If a URL contains the separator, an IP address or a time after the URL shows the
end of the URL. ``columns`` has the headings of the CSV.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hashscan.notices import values
from hashscan.notices.formats import columns
from hashscan.notices.formats.columns import Column
from hashscan.notices.formats.source import LONGEST_LINE, NoticeInput, NotThisFormatError, few
from hashscan.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hashscan.notices.notice import ParsedItem, ParsedNotice

NAME = "scart-csv"
_REFERENCE = re.compile(r"\[([A-Z]\d{6,20})\]")
_FILE_REFERENCE = re.compile(r"urls-([A-Za-z]?\d{6,20})\.csv", re.IGNORECASE)
#: The most separators in a URL and a note together. The reader tries each way to divide the pieces
#: of a row into columns, so the number of separators is bounded.
_MOST_SPARE = 200
_SEPARATORS = (";", "\t", ",")
_CHECKS = {
    Column.IP: lambda text: not text or values.ip(text) is not None,
    Column.FIRST: lambda text: not text or values.moment(text) is not None,
    Column.LAST: lambda text: not text or values.moment(text) is not None,
}


def read(source: NoticeInput) -> ParsedNotice:
    """The notice in a mail or file with SCART's CSV.

    Raises:
        NotThisFormatError: the text has no row of headings, or no row has a URL.
    """
    reader = _Reader()
    items = few(item for text in source.readable() for item in reader.items(text))
    if not reader.headings:
        raise NotThisFormatError('has no line of headings such as "url;IP;firstseen;lastseen;note"')
    return source.notice(
        NAME, items, reference=reference(source), remarks=reader.remarks(), complete=True
    )


def reference(source: NoticeInput) -> str | None:
    """SCART's number of a notice, from the mail's subject or the file name; ``None``: no number."""
    if (found := _REFERENCE.search(source.subject)) is not None:
        return found[1]
    for one in source.texts:
        if (found := _FILE_REFERENCE.fullmatch(one.name)) is not None:
            return found[1]
    return None


class _Reader:
    def __init__(self) -> None:
        self.headings = 0
        self._bad: list[int] = []

    def items(self, text: str) -> Iterator[ParsedItem]:
        named: tuple[Column, ...] | None = None
        separator = ";"
        for number, whole in enumerate(text.split("\n"), 1):
            line = whole.lstrip("> ")  # a forwarded mail may quote the CSV's lines
            if not line.strip() or len(line) > LONGEST_LINE:
                if named is not None and line.strip():
                    self._bad.append(number)
                continue
            if (found := _headings(line)) is not None:
                separator, named = found
                self.headings += 1
            elif line == "-- ":
                named = None
            elif named is not None:
                cells = _cells(named, line.split(separator), separator)
                item = columns.item(named, cells) if cells else None
                if item is not None:
                    yield item
                else:
                    self._bad.append(number)

    def remarks(self) -> Iterator[str]:
        if self._bad:
            yield (
                f"{counted(len(self._bad), 'line')} below the headings without a URL, first: line "
                f"{self._bad[0]}"
            )


def _headings(line: str) -> tuple[str, tuple[Column, ...]] | None:
    if "://" in line:
        return None
    for separator in _SEPARATORS:
        if separator in line and (found := columns.headings(line.split(separator))) is not None:
            return separator, found
    return None


def _cells(named: Sequence[Column], pieces: list[str], separator: str) -> list[str] | None:
    """The cells of a CSV line, one for each column, joined from the pieces between separators.

    A piece that is an IP address or a time belongs to the column for IP addresses or times. Pieces
    before it belong to the first column, pieces after it to the last column. ``None``: the pieces
    do not fit the columns.
    """
    spare = len(pieces) - len(named)
    if spare <= 0:
        return pieces
    checked = [index for index, one in enumerate(named) if one in _CHECKS]
    if not checked:
        whole = separator.join(pieces[: spare + 1])
        if len(named) > 1 and " " in whole.strip():  # a note, because URLs have no spaces
            return [*pieces[: len(named) - 1], separator.join(pieces[len(named) - 1 :])]
        return [whole, *pieces[spare + 1 :]]
    if spare > _MOST_SPARE:
        return None
    first, last = checked[0], checked[-1]
    fitting = [
        start
        for start in range(first, first + spare + 1)
        if all(_CHECKS[named[index]](pieces[start + index - first].strip()) for index in checked)
        and (last + 1 < len(named) or start == first + spare)
    ]
    if not fitting:
        return None
    start = next((one for one in fitting if pieces[one].strip()), fitting[0])
    end = start + last - first + 1
    after = [separator.join(pieces[end:])] if last + 1 < len(named) else []
    before = _cells(named[:first], pieces[:start], separator) or []
    return [*before, *pieces[start:end], *after]
