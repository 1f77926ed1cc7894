"""Notices of Cybertip: hosts, paths and digests."""

import notice_samples as samples
from notice_samples import MD5, SHA1
from read_notice import ONE, TWO, read, urls


def test_cybertip():
    notice = read(samples.every()["cybertip"])
    assert urls(notice) == [ONE, "https://img.example/a/page.html", TWO]
    first, page, second = notice.items
    assert first.digests == (("sha1", SHA1), ("md5", MD5))
    assert (first.referrer, first.ip) == ("https://other.example/", "192.0.2.7")
    assert (page.digests, second.digests) == ((), (("sha1", "0d" * 20),))
    assert notice.reference == "123"


def test_cybertip_paths_of_a_host():
    text = "hxxps://img[.]example/\nImage Path: /a/1.jpg\nImage Path: /a/2.jpg\n"
    assert urls(read(text)) == [ONE, TWO]
