"""Prints the report as one self-contained HTML page, without scripts."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

from jinja2 import Environment, StrictUndefined

from hashscan import __version__
from hashscan.report import plots
from hashscan.report.as_text import period, unread
from hashscan.report.tables import Cell, CellKind, count, hours, share, tables

if TYPE_CHECKING:
    from hashscan.report.figures import Report

#: Largest number of characters of a text that the page never breaks into lines.
_SHORT = 24


def as_html(report: Report) -> bytes:
    """Return the report as an HTML page, in ASCII, with escaped texts; plots need matplotlib."""
    remark = ""
    try:
        drawn = {one.key: one.svg for one in plots.plots(report)}
    except ImportError:
        drawn = {}
        remark = f"This page has no plots: {plots.INSTALL}."
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["width_class"] = _width_class
    template = environment.from_string((files(__package__) / "page.html").read_text("utf-8"))
    page = template.render(
        report=report,
        version=__version__,
        period=period(report),
        made=Cell(CellKind.TIME, report.made),
        unread=unread(report),
        headline=_headline(report),
        tables=tables(report),
        plots=drawn,
        remark=remark,
    )
    return page.encode("ascii", "xmlcharrefreplace")


def _width_class(cell: Cell) -> str:
    """Return the CSS class of a cell; the class says how its text may be broken into lines."""
    if cell.is_number:
        return "number"
    return "short" if len(cell.human()) <= _SHORT else "long"


def _headline(report: Report) -> tuple[tuple[str, Cell], ...]:
    """Return the names and values at the top of the report's page."""
    notices = report.notices
    return (
        ("items removed within 24\N{NO-BREAK SPACE}h", share(notices.from_sent.within_24h)),
        ("median time to removal", hours(notices.from_sent.median)),
        ("items", count(notices.items)),
        ("open items", count(notices.open)),
        ("overdue items", count(notices.overdue)),
        ("matches", count(report.matches.matches)),
        ("volumes watched", share(report.watched)),
        ("volumes wholly scanned", share(report.wholly_scanned)),
    )
