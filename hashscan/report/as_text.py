"""Prints the report as text, for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hashscan.report.tables import tables
from hashscan.text import rfc3339, shown

if TYPE_CHECKING:
    from hashscan.report.figures import Report
    from hashscan.report.tables import Table

#: Largest number of characters of a table's cell; the HTML page and CSV have the whole text.
_WIDEST = 60


def period(report: Report) -> str:
    """Return the report's period as text, in UTC, to the minute."""
    since, until = rfc3339(report.since), rfc3339(report.until)
    return f"{since[:16]} to {until[:16]}".replace("T", " ") + " UTC"


def unread(report: Report) -> str:
    """Return a sentence that names the unread parts of the state; "": all parts were read."""
    if not report.unread:
        return ""
    parts = ", ".join(report.unread)
    return f"Parts of the state could not be read, so their figures are missing: {parts}"


def as_text(report: Report) -> str:
    """Return all tables of the report as text, one below the other."""
    lines = [f"hashscan report of {shown(report.host)}, {period(report)}"]
    if report.unread:
        lines.append(unread(report))
    for table in tables(report):
        lines += ["", table.title, *_lines(table)]
    return "\n".join(lines) + "\n"


def _lines(table: Table) -> list[str]:
    head = [title for _, title in table.columns]
    rows = [[_cut(cell.human()) for cell in row] for row in table.rows]
    if table.columns[0][0] != "figure":
        rows.insert(0, head)
    right = [all(row[at].is_number for row in table.rows) for at in range(len(head))]
    widths = [max(len(row[at]) for row in rows) for at in range(len(head))]
    return [
        "  "
        + "  ".join(
            cell.rjust(width) if is_right else cell.ljust(width)
            for cell, width, is_right in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in rows
    ]


def _cut(text: str) -> str:
    return text if len(text) <= _WIDEST else text[: _WIDEST - 3] + "..."
