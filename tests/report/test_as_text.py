"""The report as text: no data is said in words."""

from sample_report import empty, report

from hashscan.report.as_text import as_text
from hashscan.report.tables import NO_DATA


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
