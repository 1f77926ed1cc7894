"""Notices in sentences: the URLs and addresses in them."""

import notice_samples as samples
import pytest
from read_notice import ONE, TWO, read, urls


@pytest.mark.parametrize("name", ["ncmec", "pharos"])
def test_sentences(name):
    notice = read(samples.every()[name])
    assert urls(notice) == [ONE, TWO]
    assert {one.ip for one in notice.items} == {"192.0.2.7"}


def test_jugendschutz():
    (item,) = read(samples.JUGENDSCHUTZ).items
    assert (item.value, item.ip) == (ONE, "192.0.2.7")
