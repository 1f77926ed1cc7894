"""Keys and values that several formats share."""

from notice_samples import MD5, SHA1
from read_notice import read


def test_a_digest_without_a_url_is_an_item():
    (item,) = read(f"Report ID: 7\nMD5: {MD5}\nSHA1: {SHA1}\n").items
    assert (item.kind, item.value, item.digests) == ("digest", SHA1, (("md5", MD5), ("sha1", SHA1)))
