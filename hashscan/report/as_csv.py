"""Prints the report, and the intake log, as CSV (RFC 4180) in UTF-8.

Spreadsheets run a cell that begins with ``= + - @``, or their wide forms, as a formula. hashscan
puts an apostrophe in front of a text that begins like a formula (OWASP, "CSV Injection"). In
countries with a decimal comma, e.g. the Netherlands, a spreadsheet begins a new cell at a
semicolon, so the text after a semicolon gets an apostrophe, too.
"""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING

from hashscan.notices.notice import ItemState
from hashscan.report.tables import tables
from hashscan.text import rfc3339, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from hashscan.notices.reader import Outcome
    from hashscan.report.figures import Report

INTAKE_COLUMNS = ("url", "channel", "sent", "received", "removed", "reference")
_FORMULA = re.compile(r"""(\A\s*|;[\s"]*)(?=[=+@\-\uff1d\uff0b\uff0d\uff20])""")
#: Number of rows of CSV in one chunk of the file.
_ROWS = 1000


def cell(text: str) -> str:
    """Return a text as a CSV cell that no spreadsheet runs; control characters are escaped."""
    if not text.isprintable():
        text = shown(text)
    return _FORMULA.sub(_marked, text)


def _marked(found: re.Match[str]) -> str:
    return f"{found[1]}'" if found[1].startswith(";") else f"'{found[1]}"


def as_csv(report: Report) -> bytes:
    """Return the report as CSV, a row for each figure: table, row, column, value (or empty)."""
    head = [
        ("table", "row", "column", "value"),
        ("report", "", "host", report.host),
        ("report", "", "since", rfc3339(report.since)),
        ("report", "", "until", rfc3339(report.until)),
        ("report", "", "made", rfc3339(report.made)),
        *(("report", "", "unread", part) for part in report.unread),
    ]
    return b"".join(_chunks((*head, *_figures(report))))


def _figures(report: Report) -> Iterator[tuple[str, ...]]:
    for table in tables(report):
        for row in table.rows:
            name = row[0].plain()
            for (key, _), value in zip(table.columns[1:], row[1:], strict=True):
                yield table.key, name, key, value.plain()


def intake_log(outcomes: Iterable[Outcome]) -> Iterator[bytes]:
    """Yield the intake log as CSV, a row for each item of a notice, in chunks of the file."""
    rows = (
        (
            one.value,
            one.channel.value,
            _time(one.sent),
            _time(one.received),
            _time(one.removed if one.state is ItemState.REMOVED else None),
            one.reference or "",
        )
        for one in outcomes
    )
    yield from _chunks(rows, INTAKE_COLUMNS)


def _time(seconds: float | None) -> str:
    return "" if seconds is None else rfc3339(seconds)


def _chunks(rows: Iterable[Sequence[str]], *head: Sequence[str]) -> Iterator[bytes]:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerows(head)
    for number, row in enumerate(rows):
        writer.writerow([cell(one) for one in row])
        if number % _ROWS == _ROWS - 1:
            yield _emptied(text)
    yield _emptied(text)


def _emptied(text: io.StringIO) -> bytes:
    found = text.getvalue().encode("utf-8", "backslashreplace")
    text.seek(0)
    text.truncate()
    return found
