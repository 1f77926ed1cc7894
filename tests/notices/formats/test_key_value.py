"""Lines of keys and values without a hotline's name."""

import notice_samples as samples
from notice_samples import SHA256
from read_notice import ONE, THREE, TWO, read, refusal, urls


def test_key_value():
    notice = read(samples.KEY_VALUE)
    (item,) = notice.items
    assert (item.value, item.digests, item.ip) == (ONE, (("sha256", SHA256),), "192.0.2.7")
    text = f"URL: {ONE}\nSee {TWO} and\nsee {THREE}\n"
    assert "more URLs outside of lines" in refusal(text)
    assert urls(read(text, "key-value")) == [ONE]
