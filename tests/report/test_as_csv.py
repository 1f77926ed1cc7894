"""The report as CSV: each figure once, no number without data, nothing that a spreadsheet runs."""

import csv
import io

from hypothesis import example, given
from hypothesis import strategies as st
from sample_report import HOUR, outcome, report

from hashscan.notices.notice import ItemState
from hashscan.report.as_csv import INTAKE_COLUMNS, as_csv, cell, intake_log
from hashscan.report.notices import notice_figures
from hashscan.report.tables import tables


def rows_of(content):
    return list(csv.reader(io.StringIO(content.decode(), newline="")))


def figures_of(found):
    return {tuple(row[:3]): row[3] for row in rows_of(as_csv(found))[1:]}


def test_csv_has_every_cell_of_the_tables():
    found = report(names=True)
    figures = figures_of(found)
    for table in tables(found):
        for row in table.rows:
            for (key, _), value in zip(table.columns[1:], row[1:], strict=True):
                assert figures[table.key, row[0].plain(), key] in {
                    value.plain(),
                    cell(value.plain()),
                }
    assert figures["report", "", "since"] == "2026-02-01T00:00:00.000Z"
    assert figures["removal", "sent", "removed"] == "39"
    assert figures["coverage", "volumes watched", "value"] == "0.5"


def test_no_two_lines_of_the_csv_are_the_same_figure():
    items = [
        outcome(7, value=f"https://a.example/{name}", state=ItemState.RECEIVED, is_open=True)
        for name in "ab"
    ]
    found = report(notices=notice_figures(items, 90 * HOUR, names=True))
    keys = [tuple(row[:3]) for row in rows_of(as_csv(found))]
    assert len(set(keys)) == len(keys)
    assert figures_of(found)["open_items", "2", "item"] == "https://a.example/b"


_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")


@given(st.text(max_size=20) | st.text(";= \"'x\uff1d", max_size=8))
@example("https://a.example/;=cmd|'/c calc'!A0")
def test_no_cell_is_run_by_a_spreadsheet(text):
    kept = cell(text)
    assert not kept.lstrip().startswith(_FORMULA)
    for part in kept.split(";")[1:]:  # the cells of a spreadsheet in the Netherlands
        assert not part.lstrip(' "').startswith(_FORMULA)
    assert kept.isprintable()
    if text.isprintable() and ";" not in text and not text.lstrip().startswith(_FORMULA):
        assert kept == text
    ((found,), (again,)) = rows_of(b"".join(_one_column(text)))
    assert found == again == kept


def _one_column(text):
    for one in intake_log([outcome(value=text, reference=text)]):
        both = rows_of(one)[1]
        out = io.StringIO()
        csv.writer(out).writerows([[both[0]], [both[-1]]])
        yield out.getvalue().encode("utf-8", "backslashreplace")


def test_the_intake_log():
    items = [
        outcome(reference="R-1", sent=None),
        outcome(state=ItemState.RECEIVED, reference="=1+1", value="https://a.example/2"),
    ]
    head, one, two = rows_of(b"".join(intake_log(items)))
    assert tuple(head) == INTAKE_COLUMNS
    assert one == [
        "u",
        "command",
        "",
        "1970-01-01T01:00:00.000Z",
        "1970-01-01T02:00:00.000Z",
        "R-1",
    ]
    assert two[4] == "", "it was removed once, and is back"
    assert two[5] == "'=1+1"


def test_the_intake_log_comes_in_parts():
    parts = list(intake_log(outcome(number, removed=HOUR) for number in range(2500)))
    assert len(parts) == 3
    assert len(rows_of(b"".join(parts))) == 2501
