"""Arranges the report in tables; text, CSV and HTML print the same tables.

A ``Cell`` has a value and the value's kind, so that people read ``84 %`` and programs ``0.84``. The
value ``None`` means that the report has no data for the figure.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from hashscan.notices.notice import ItemState
from hashscan.report.removal import CLASSES
from hashscan.text import human_age, human_size, rfc3339, shown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hashscan.report.figures import Report
    from hashscan.report.notices import NoticeFigures, Sender
    from hashscan.report.removal import Removal

#: The text that people read in a cell without data.
NO_DATA = "no data"
ANONYMOUS = "(anonymous)"


class CellKind(Enum):
    """The kinds of values, which are printed in different ways."""

    TEXT = "text"
    COUNT = "count"
    SHARE = "share"
    HOURS = "hours"
    AGE = "age"
    SIZE = "size"
    TIME = "time"


class Cell(NamedTuple):
    """One value of a table, and the value's kind; the value ``None``: no data."""

    kind: CellKind
    value: str | float | None

    @property
    def is_number(self) -> bool:
        """Return True if the tables align the cell to the right."""
        return self.kind not in {CellKind.TEXT, CellKind.TIME}

    def human(self) -> str:
        """Return the cell's value for people; a share is not rounded up to 100 % or down to 0 %."""
        value = self.value
        if value is None:
            return NO_DATA
        if isinstance(value, str):
            return shown(value)
        match self.kind:
            case CellKind.SHARE:
                return _percent(value)
            case CellKind.HOURS:
                return f"{value:,.1f} h"
            case CellKind.AGE:
                return f"{value:.1f} s" if value < 10 else human_age(value)
            case CellKind.SIZE:
                return human_size(value)
            case CellKind.TIME:
                return rfc3339(value)[:16].replace("T", " ") + " UTC"
            case _:
                return f"{value:,.0f}"

    def plain(self) -> str:
        """Return the cell's value for programs: a share from 0 to 1, hours, seconds, bytes, ""."""
        value = self.value
        if value is None:
            return ""
        if isinstance(value, str):
            return value
        if self.kind is CellKind.TIME:
            return rfc3339(value)
        return (
            f"{value:.6g}"
            if self.kind in {CellKind.SHARE, CellKind.HOURS, CellKind.AGE}
            else f"{value:.0f}"
        )


def _percent(share: float) -> str:
    text = f"{share:.1%}"
    if (text == "100.0%" and share < 1) or (text == "0.0%" and share > 0):
        return "over 99.9 %" if share > 0.5 else "under 0.1 %"
    return text.replace("%", " %").replace(".0 %", " %")


def text(value: str) -> Cell:
    """Return a cell with a text."""
    return Cell(CellKind.TEXT, value)


def count(value: float | None) -> Cell:
    """Return a cell with a number, e.g. of files."""
    return Cell(CellKind.COUNT, value)


def share(value: float | None) -> Cell:
    """Return a cell with a share from 0 to 1; people read the share as a percentage."""
    return Cell(CellKind.SHARE, value)


def hours(value: float | None) -> Cell:
    """Return a cell with a number of hours."""
    return Cell(CellKind.HOURS, value)


def age(value: float | None) -> Cell:
    """Return a cell with a number of seconds."""
    return Cell(CellKind.AGE, value)


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the report.

    Attributes:
        key: the table's name for programs; the table's rows of CSV begin with this name.
        columns: key and title of each column of the table.
        note: a text that explains the table's figures to a reader.
    """

    key: str
    title: str
    columns: tuple[tuple[str, str], ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""


_REMOVAL = (
    ("removed", "Removed"),
    ("within_24h", "Within 24 h"),
    ("within_12h", "Within 12 h"),
    ("within_1h", "Within 1 h"),
    ("hours_median", "Median"),
    ("hours_p90", "90 % within"),
    ("hours_p95", "95 % within"),
)


def tables(report: Report) -> tuple[Table, ...]:
    """Return all tables of a report that have rows."""
    found = (
        _items(report.notices),
        _counted("not_here", "Why items are not here", "reason", report.notices.not_here),
        _removal(report.notices),
        *_months(report.notices),
        _distribution(report.notices),
        _senders(report.notices),
        _open_items(report.notices),
        _matches(report),
        *_matches_by(report),
        _coverage(report),
        _scanned(report),
        _volumes(report),
        _filters(report),
        _counted("problems", "Files that cannot be read now", "reason", report.scans.problems),
    )
    return tuple(one for one in found if one.rows)


def _two(key: str, title: str, rows: Sequence[tuple[str, Cell]], note: str = "") -> Table:
    """Return a table with a column of names and a column of values."""
    columns = (("figure", "Figure"), ("value", "Value"))
    return Table(key, title, columns, tuple((text(name), cell) for name, cell in rows), note)


def _counted(key: str, title: str, name: str, counts: Mapping[str, int]) -> Table:
    """Return a table with a column of names and a column of numbers."""
    columns = ((name, name.capitalize()), ("count", "Number"))
    return Table(key, title, columns, tuple((text(one), count(n)) for one, n in counts.items()))


def _items(figures: NoticeFigures) -> Table:
    rows = [
        ("notices", count(figures.notices)),
        ("notices open", count(figures.open_notices)),
        ("items", count(figures.items)),
        *((f"items {state}", count(figures.states.get(state, 0))) for state in ItemState),
        ("items overdue", count(figures.overdue)),
        ("items that an earlier notice named (repeats)", count(figures.repeats)),
        ("items reopened", count(figures.reopened)),
        ("items without a time of sending", count(figures.without_sent)),
        ("older items still open", count(figures.open_before)),
        ("older items overdue", count(figures.overdue_before)),
    ]
    note = (
        "Items of the notices received in the period, in the states that they have now. Older "
        "items are those of notices received before the period."
    )
    return _two("notices", "Notices and items", rows, note)


def _cells(removal: Removal) -> tuple[Cell, ...]:
    return (
        count(removal.removed),
        share(removal.within_24h),
        share(removal.within_12h),
        share(removal.within_1h),
        hours(removal.median),
        hours(removal.p90),
        hours(removal.p95),
    )


def _removal(figures: NoticeFigures) -> Table:
    columns = (("counted_from", "Counted from"), *_REMOVAL, ("within_deadline", "Within deadline"))
    rows = (
        (text("sent"), *_cells(figures.from_sent), share(figures.within_deadline)),
        (text("received"), *_cells(figures.from_received), share(figures.within_deadline)),
    )
    note = (
        "A share is that of the items removed within the limit, among the items that are removed, "
        "or open and older than the limit. Items that are gone, not here or refused are in no "
        "share. If a notice gives no time of sending, its hours count from the receipt. "
        "Percentiles are by nearest rank, of the removed items."
    )
    return Table("removal", "Time to removal", columns, rows if figures.items else (), note)


def _months(figures: NoticeFigures) -> tuple[Table, ...]:
    columns = (("month", "Month"), ("notices", "Notices"), ("items", "Items"), *_REMOVAL)

    def table(key: str, title: str, begin: str, removals: Sequence[Removal]) -> Table:
        rows = tuple(
            (text(one.month), count(one.notices), count(one.items), *_cells(removal))
            for one, removal in zip(figures.months, removals, strict=True)
        )
        return Table(key, title, columns, rows, f"Months are in UTC. Hours count from {begin}.")

    return (
        table(
            "months",
            "By month of receipt, hours from sending",
            "the time of sending, or from the receipt without it",
            [one.from_sent for one in figures.months],
        ),
        table(
            "months_received",
            "By month of receipt, hours from receipt",
            "the receipt",
            [one.from_received for one in figures.months],
        ),
    )


def class_names() -> tuple[str, ...]:
    """Return the names of the classes of the hours to removal, e.g. ``1 to 4 h``."""
    begins = (0, *CLASSES)
    return (
        *(f"{begin} to {end} h" for begin, end in zip(begins, CLASSES, strict=False)),
        f"over {CLASSES[-1]} h",
    )


def _distribution(figures: NoticeFigures) -> Table:
    removal = figures.from_sent
    columns = (("hours", "Hours"), ("items", "Removed items"))
    rows = tuple(
        (text(name), count(number))
        for name, number in zip(class_names(), removal.classes, strict=True)
    )
    note = "From the time of sending. Each class includes its upper end."
    return Table("hours", "Hours to removal", columns, rows if removal.removed else (), note)


def _senders(figures: NoticeFigures) -> Table:
    columns = (
        ("sender", "Sender"),
        ("notices", "Notices"),
        ("items", "Items"),
        *((state.value, state.value.capitalize()) for state in ItemState),
    )

    def row(name: str, sender: Sender) -> tuple[Cell, ...]:
        states = (count(sender.states.get(state, 0)) for state in ItemState)
        return (text(name), count(sender.notices), count(sender.items), *states)

    rows = [row(ANONYMOUS if one.name is None else one.name, one) for one in figures.senders]
    if figures.others is not None:
        rows.append(row(f"{figures.other_senders:,} other senders", figures.others))
    return Table("senders", "Items by sender and state", columns, tuple(rows))


def _open_items(figures: NoticeFigures) -> Table:
    columns = (
        ("number", "No."),  # a notice may have several open items
        ("notice", "Notice"),
        ("item", "Item"),
        ("deadline", "Deadline"),
        ("due", "Due"),
    )
    rows = tuple(
        (
            count(number),
            text(one.notice),
            text(one.value),
            Cell(CellKind.TIME, one.deadline),
            text("overdue" if one.overdue else "open"),
        )
        for number, one in enumerate(figures.open_items, 1)
    )
    return Table("open_items", "Open items", columns, rows)


def _matches(report: Report) -> Table:
    found, last = report.matches, report.scans.last
    rows = [
        ("matches", count(found.matches)),
        ("matches quarantined", count(found.quarantined)),
        ("matches in their place", count(found.in_place)),
        ("older matches in their place", count(found.in_place_before)),
        ("detection to quarantine, median", age(found.seconds_median)),
        ("detection to quarantine, 90 % within", age(found.seconds_p90)),
        ("detection to quarantine, 95 % within", age(found.seconds_p95)),
        ("files restored", count(found.restored)),
        ("files purged", count(found.purged)),
        ("held in the last scan", count(last.get("held"))),
        ("allowed in the last scan", count(last.get("allowed"))),
        ("false positives in the last scan", count(last.get("false_positives"))),
        ("damaged records", count(found.damaged)),
    ]
    note = (
        "Matches detected in the period. A false positive is a file whose digest is in the filter, "
        "but not known to the service."
    )
    return _two("matches", "Matches", rows, note)


def _matches_by(report: Report) -> tuple[Table, ...]:
    found = report.matches
    return (
        _counted("authority", "Matches by authority", "authority", found.by_authority),
        _counted("detection", "Matches by detection", "detection", found.by_detection),
        _counted("category", "Matches by category", "category", found.by_category),
        _counted("match_volumes", "Matches by volume", "volume", found.by_volume),
    )


def _coverage(report: Report) -> Table:
    scans = report.scans
    rows = [
        ("volumes watched", share(report.watched)),
        ("volumes wholly scanned in the period", share(report.wholly_scanned)),
        ("time since every volume had a whole scan", age(report.oldest_whole)),
        ("scans", count(scans.scans)),
        ("whole scans", count(scans.whole)),
        ("files, all scans", count(scans.files)),
        ("files hashed, all scans", count(scans.added.get("hashed"))),
        ("bytes hashed, all scans", Cell(CellKind.SIZE, scans.added.get("bytes_hashed"))),
        ("problems, all scans", count(scans.added.get("problems"))),
    ]
    note = (
        "Scans that ended in the period. A file counts in each scan. Files that only the watch "
        "hashed do not count."
    )
    return _two("coverage", "Coverage", rows, note)


def scanned(last: Mapping[str, object]) -> dict[str, int]:
    """Return the number of a scan's files by outcome, from the scan's summary."""
    found = {name: last.get(name) for name in ("hashed", "unchanged", "problems")}
    skipped = last.get("skipped")
    found["skipped"] = sum(skipped.values()) if isinstance(skipped, dict) else None
    return {name: number for name, number in found.items() if isinstance(number, int)}


def _scanned(report: Report) -> Table:
    return _counted("scanned", "Files of the last scan", "outcome", scanned(report.scans.last))


def _volumes(report: Report) -> Table:
    columns = (("volume", "Volume"), ("watched", "Watched"), ("whole_scan", "Last whole scan"))
    rows = tuple(
        (text(one.name), text("yes" if one.watched else "no"), Cell(CellKind.TIME, one.whole))
        for one in report.volumes
    )
    return Table("volumes", "Volumes", columns, rows)


def _filters(report: Report) -> Table:
    columns = (
        ("filter", "Filter"),
        ("version", "Version"),
        ("digests", "Digests"),
        ("age", "Age"),
        ("usable", "Usable"),
    )
    rows = tuple(
        (
            text(one.name),
            Cell(CellKind.TEXT, one.version),
            count(one.digests),
            age(one.age),
            text("yes" if one.usable else "no"),
        )
        for one in report.filters
    )
    note = "The age counts from the last verification (repository) or from the making (file)."
    return Table("filters", "Filters", columns, rows, note)
