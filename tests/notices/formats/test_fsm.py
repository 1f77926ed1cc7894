"""Notices of the FSM."""

import notice_samples as samples
from read_notice import ONE, TEN, TWO, read, urls


def test_fsm():
    notice = read(samples.FSM)
    assert (urls(notice), notice.reference) == ([ONE, TWO], "77")
    assert [(one.ip, one.first_seen) for one in notice.items] == [("192.0.2.7", TEN)] * 2
