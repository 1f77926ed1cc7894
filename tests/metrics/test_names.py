"""Names, labels and words of all metrics."""

import os
import re

from hashscan.jobs.complaint_reasons import Reason
from hashscan.metrics.names import METRICS, PREFIX


def test_names_follow_the_conventions():
    for name, described in METRICS.items():
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", name), name
        assert described.words.endswith("."), name
        for unit in ("seconds", "bytes", "ratio"):
            assert unit not in name.split("_") or re.search(f"_{unit}(_total)?$", name), name
        assert PREFIX not in name


def test_each_metric_and_each_reason_is_documented():
    docs = os.path.join(os.path.dirname(__file__), "..", "..", "docs", "metrics.md")
    with open(docs, encoding="utf-8") as file:
        rows = [line.split(" | ") for line in file if line.startswith("| `")]
    told = {row[0].removeprefix("| ").strip("`"): row for row in rows}
    expected = {PREFIX + name for name in METRICS} | {str(one) for one in Reason}
    assert told.keys() == expected
    for name, described in METRICS.items():
        _, labels, words = told[PREFIX + name]
        assert labels == ", ".join(f"`{one}`" for one in described.labels)
        assert words.strip(" |\n") == described.words
