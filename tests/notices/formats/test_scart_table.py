"""Notices of SCART as a table in HTML."""

import notice_samples as samples
from read_notice import HOUR, ONE, TEN, TWO, read, urls


def test_scart_reference():
    assert read(samples.every()["scart-csv"]).reference == "A0000001234"
    assert read(samples.every()["scart-html"]).reference == "A0000001234"


def test_scart_table():
    notice = read(samples.every()["scart-html"])
    assert urls(notice) == [f"{ONE}?x=1&y=2", TWO]
    first, second = notice.items
    assert (first.ip, first.first_seen, first.last_seen, first.note) == (
        "192.0.2.7",
        TEN - HOUR,
        TEN,
        "né",
    )
    assert (second.ip, second.last_seen, second.note) == ("192.0.2.8", None, None)
    without_class = samples.SCART_TABLE.replace(' class="urls"', "")
    assert urls(read(without_class)) == urls(notice)
    without_headings = samples.SCART_TABLE.replace("<th>", "<i>").replace("</th>", "</i>")
    assert urls(read(without_headings)) == urls(notice)
