"""Notices of Meldpunt: URLs, addresses and Dutch times."""

import notice_samples as samples
from read_notice import ONE, TWO, read

from hashscan.notices import values


def test_meldpunt():
    notice = read(samples.every()["meldpunt"])
    assert [(one.value, one.ip) for one in notice.items] == [(ONE, "192.0.2.7"), (TWO, "192.0.2.8")]
    assert notice.items[0].first_seen == values.moment("2025-01-02 10:00", values.dutch())
