"""Draws the plots of the report as SVG, with matplotlib (extra ``report``).

The SVG has no script and no text from outside. The colours of the SVG are the page's CSS variables,
so that the plots follow dark mode and print.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
import tempfile
from typing import TYPE_CHECKING, Any, NamedTuple

from hashscan.report.removal import CLASSES
from hashscan.report.tables import Cell, CellKind, scanned

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hashscan.report.figures import Report

#: The instruction on the page for an administrator if matplotlib is missing.
INSTALL = "install the extra report (matplotlib), e.g. /opt/hashscan/bin/pip install '.[report]'"
#: The environment variable with matplotlib's directory for its settings and its cache.
_DIRECTORY = "MPLCONFIGDIR"
#: Largest number of months in the plot; the table has all months.
_MONTHS = 24
#: Largest number of bars with labels; the labels of more bars would overlap.
_LABELS = 9
#: Colours that matplotlib draws with; CSS variables of the page replace these colours.
_COLOURS = {"#010101": "ink", "#020202": "bar", "#030303": "late", "#040404": "line"}
_INK, _BAR, _LATE, _LINE = _COLOURS
#: Width and height of a plot in inches. The plot's 360 points are about the width of a phone in CSS
#: pixels, so the phone shows the plot's fonts in their own sizes.
_SIZE = (5.0, 3.0)


class Plot(NamedTuple):
    """A plot for the HTML page of the report.

    Attributes:
        key: key of the table with the figures of the plot.
        title: name of the plot.
        svg: the plot as an ``svg`` element, with a title and a description.
    """

    key: str
    title: str
    svg: str


def plots(report: Report) -> list[Plot]:
    """Return the report's plots whose figures have data.

    Raises:
        ImportError: matplotlib is not installed, or does not work.
    """
    with _matplotlib():
        found = (_months(report), _distribution(report), _scanned(report))
    return [one for one in found if one is not None]


@contextlib.contextmanager
def _matplotlib() -> Iterator[None]:
    """Make matplotlib read and write in an empty directory.

    By default, matplotlib reads ``matplotlibrc`` in the working directory, which a customer may
    own, and writes a cache of fonts into the home directory. In an empty directory, matplotlib
    builds its cache of fonts each time, and warns that this takes long. The function drops the
    warning, because cron would mail it.
    """
    logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)
    before = os.environ.get(_DIRECTORY)
    with tempfile.TemporaryDirectory(prefix="hashscan-") as empty, contextlib.chdir(empty):
        os.environ[_DIRECTORY] = empty
        try:
            import matplotlib as mpl  # noqa: PLC0415 - an extra

            with mpl.rc_context({**mpl.rcParamsDefault, **_STYLE}):
                yield
        finally:
            del os.environ[_DIRECTORY]
            if before is not None:
                os.environ[_DIRECTORY] = before


_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "hashscan",
    "font.family": "sans-serif",
    "font.size": 11,
    "text.parse_math": False,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": _LINE,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "hatch.linewidth": 0.8,
}


def _axes(*, height: float = _SIZE[1], grid: str = "y") -> tuple[Any, Any]:
    from matplotlib.figure import Figure  # noqa: PLC0415 - an extra

    figure = Figure(figsize=(_SIZE[0], height), layout="constrained", facecolor="none")
    axes = figure.add_subplot(facecolor="none")
    axes.grid(visible=False, axis="x" if grid == "y" else "y")
    return figure, axes


def _months(report: Report) -> Plot | None:
    months = report.notices.months[-_MONTHS:]
    shares = [one.from_sent.within_24h for one in months]
    if all(one is None for one in shares):
        return None
    figure, axes = _axes()
    names = [one.month for one in months]
    places = range(len(names))
    axes.bar(places, [100 * (one or 0) for one in shares], color=_BAR, width=0.7)
    # With more months the labels of the bars would overlap; the table has the figures of all
    # months.
    for place, one in zip(places, shares, strict=True) if len(names) <= _LABELS else ():
        label = "n/a" if one is None else Cell(CellKind.SHARE, one).human().replace(" %", "")
        at = (place, 100 * (one or 0))
        axes.annotate(label, at, (0, 2), textcoords="offset points", ha="center", fontsize=10)
    axes.set_xticks(places, names, rotation=90 if len(names) > 6 else 0)
    axes.set_ylim(0, 108)
    axes.set_yticks(range(0, 101, 20))
    axes.set_xlim(-0.6, max(len(names), 3) - 0.4)
    axes.set_ylabel("% within 24 h")
    cells = [Cell(CellKind.SHARE, one).human() for one in shares]
    said = _sentence(f"{name} {cell}" for name, cell in zip(names, cells, strict=True))
    return _plot("months", "Share of items removed within 24 hours, by month", said, figure)


def _distribution(report: Report) -> Plot | None:
    removal = report.notices.from_sent
    if not removal.removed:
        return None
    figure, axes = _axes()
    begins = ("0", *(str(end) for end in CLASSES))
    names = [f"{begin}-{end}" for begin, end in zip(begins, CLASSES, strict=False)]
    names.append(f">{CLASSES[-1]}")
    in_time = CLASSES.index(24) + 1
    bars = axes.bar(range(len(names)), removal.classes, width=0.8, color=_BAR)
    for bar in bars[in_time:]:
        bar.set(facecolor=_LATE, edgecolor=_INK, hatch="///")
    axes.bar_label(bars, [f"{one:,}" for one in removal.classes], fontsize=10, padding=2)
    axes.axvline(in_time - 0.5, color=_INK, linestyle="--", linewidth=1)
    top = max(removal.classes) * 1.25
    axes.set_ylim(0, top)
    axes.text(in_time - 0.4, top, "after 24 h", va="top", fontsize=10)
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_xlabel("hours from sending to removal")
    axes.set_ylabel("removed items")
    axes.yaxis.get_major_locator().set_params(integer=True)
    said = _sentence(
        f"{name} hours {number:,}" for name, number in zip(names, removal.classes, strict=True)
    )
    return _plot("hours", "Hours from sending to removal", said, figure)


def _scanned(report: Report) -> Plot | None:
    found = {name: number for name, number in scanned(report.scans.last).items() if number}
    if not found:
        return None
    figure, axes = _axes(height=0.8 + 0.4 * len(found), grid="x")
    names, numbers = list(found), list(found.values())
    bars = axes.barh(range(len(names)), numbers, color=_BAR, height=0.65)
    if "problems" in found:
        bars[names.index("problems")].set(facecolor=_LATE, edgecolor=_INK, hatch="///")
    axes.bar_label(bars, [f"{one:,}" for one in numbers], fontsize=10, padding=3)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlim(0, max(numbers) * 1.3)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    axes.set_xlabel("files of the last scan")
    said = _sentence(f"{number:,} {name}" for name, number in found.items())
    return _plot("scanned", "Files of the last scan, by outcome", said, figure)


def _sentence(parts: Iterator[str]) -> str:
    return ", ".join(parts) + "."


def _plot(key: str, title: str, description: str, figure: Any) -> Plot:
    """Return a matplotlib figure as an ``svg`` element for the page, with text alternatives."""
    file = io.StringIO()
    nothing: Sequence[str] = ("Creator", "Date", "Format", "Type")
    figure.savefig(file, format="svg", metadata=dict.fromkeys(nothing))
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    # matplotlib makes the ids of one SVG file unique, but the page has several plots.
    text = re.sub(r'\bid="', f'id="{key}-', text)
    text = re.sub(r'(href="#|url\(#)', rf"\g<1>{key}-", text)
    for colour, name in _COLOURS.items():
        text = text.replace(colour, f"var(--{name})")
    head, _, rest = text.partition(">")
    head = re.sub(r' (width|height)="[^"]*"', "", head)
    return Plot(
        key,
        title,
        f'{head} role="img" aria-labelledby="{key}-title {key}-text">'
        f'<title id="{key}-title">{title}</title>'
        f'<desc id="{key}-text">{description}</desc>{rest}',
    )
