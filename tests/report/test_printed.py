"""Text, JSON and CSV: the same figures, no number without data, nothing that a spreadsheet runs."""

import csv
import io
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sample_report import HOUR, empty, outcome, report

from hashscan.notices.notice import ItemState
from hashscan.report.as_csv import INTAKE_COLUMNS, as_csv, cell, intake_log
from hashscan.report.as_json import as_json
from hashscan.report.as_text import as_text
from hashscan.report.notices import notice_figures
from hashscan.report.tables import NO_DATA, age, count, hours, share, tables


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


def test_json_has_the_figures_and_null_for_those_without_data():
    found = json.loads(as_json(report()))
    assert found["event"] == "report"
    assert list(found)[:3] == ["event", "since", "until"]
    assert (found["items"], found["removed"], found["open"], found["overdue"]) == (41, 39, 1, 1)
    assert found["states"] == {
        "received": 0, "located": 1, "removed": 39, "gone": 0, "not-here": 1, "refused": 0
    }  # fmt: skip
    assert found["within_24h"] == 4 / 40
    assert found["hours_median"] == 400.0
    assert [one["month"] for one in found["months"]] == ["2026-02", "2026-03"]
    assert found["senders"] == [
        {"sender": "Hotline", "notices": 41, "items": 41, "states": found["states"]}
    ]
    assert (found["matches"], found["held"], found["watched"]) == (2, 1, 0.5)
    assert "costs" not in found["scans"]["last"]
    assert found["wholly_scanned"] == 0.5, "the first instant belongs to the period"
    assert found["volumes"] == [
        {"volume": "volume 1", "watched": True, "whole_scan": "2026-02-01T00:00:00.000Z"},
        {"volume": "volume 2", "watched": False, "whole_scan": None},
    ]
    assert list(found["hours"].items())[:2] == [("0 to 1 h", 1), ("1 to 2 h", 0)]
    assert list(found["hours"])[-1] == "over 168 h"
    nothing = json.loads(as_json(empty()))
    assert list(nothing) == list(found), "the keys do not depend on the data"
    assert list(nothing["scans"]) == list(found["scans"])
    assert nothing["scans"]["bytes_hashed"] is None
    for name in ("within_1h", "within_24h", "within_deadline", "hours_median", "hours_p95", "held",
                 "false_positives", "watched", "wholly_scanned"):  # fmt: skip
        assert nothing[name] is None, name
    assert nothing["items"] == 0


def test_text_says_no_data_and_never_none_or_nan():
    text = as_text(empty())
    assert NO_DATA in text
    for word in ("None", "nan", "100 %", " 0 %"):
        assert word not in text
    full = as_text(report())
    assert "Time to removal" in full
    assert "2026-02-01 00:00 to 2026-04-02 00:00 UTC" in full
    assert "a.example" not in full
    assert "https://a.example/1" in as_text(report(names=True))


def test_text_escapes_a_sender():
    text = as_text(report(sender="\x1b[2J\u202eevil\nItems"))
    assert "\x1b" not in text
    assert "\\x1b[2J\\u202eevil\\nItems" in text


@pytest.mark.parametrize(
    ("one", "text"),
    [
        (share(1.0), "100 %"),
        (share(0.99999), "over 99.9 %"),
        (share(0.00001), "under 0.1 %"),
        (share(0.0), "0 %"),
        (share(0.8437), "84.4 %"),
        (share(None), NO_DATA),
        (hours(1234.56), "1,234.6 h"),
        (age(0.25), "0.2 s"),
        (age(90.0), "90 s"),
        (count(1234), "1,234"),
    ],
)
def test_numbers_for_people(one, text):
    assert one.human() == text


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
