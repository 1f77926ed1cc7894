"""The report as JSON: null for figures without data."""

import json

from sample_report import empty, report

from hashscan.report.as_json import as_json


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
