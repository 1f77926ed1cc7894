"""Notices of the IWF: its keys and values."""

import notice_samples as samples
from read_notice import ONE, TEN, THREE, TWO, read, urls


def test_iwf():
    notice = read(samples.IWF)
    assert urls(notice) == [ONE, TWO, THREE, "https://img.example/b/1.jpg"]
    first, second, _, other = notice.items
    assert (first.note, first.classification, first.ip, first.first_seen) == (
        "a zip file",
        "A",
        "192.0.2.7",
        TEN,
    )
    assert (second.classification, other.ip) == ("A", "192.0.2.8")
    assert (notice.reference, notice.password) == ("123456, 123457", "secret 1")
    assert notice.remarks == (
        "1 URL in the text not taken as items, first: https://hotline.example/",
    )
    assert read(samples.IWF.replace("\n", "\r\n> ")).items == notice.items
