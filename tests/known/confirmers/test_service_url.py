"""URLs of a service: a plain one only, and credentials never in the clear."""

import pytest

from hashscan.errors import (
    UsageError,
)
from hashscan.known.confirmers.service_url import check_url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hcs.example",
        "ftp://hcs.example",
        "https://",
        "https://agent:hunter2@hcs.example",
        "https://agent:hunter2/x@hcs.example",
        "https://hcs.example:hunter2",
        "https://hcs.example:0",
        "https://hcs.example:65536",
        "https://hcs.example?key=hunter2",
        "https://hcs.example/#hunter2",
        "https://hcs.example\\@evil.example",
        "https://hcs.example/hunter 2",
        "https://hcs.example\r\nX: y",
        "https://hcs.example\n",
        "https://[::1",
        "https://[:::::]",
        "https://ex%61mple",
        "http://hcs.example",
        "http://10.0.0.1",
        "http://0.0.0.0",
        "http://127.0.0.1.evil.example",
        "http://localhost.evil.example",
        "http://[fe80::1]",
        "HTTPS://hcs.example",
    ],
)
def test_urls_that_cannot_be_trusted_are_refused_at_the_start(url):
    with pytest.raises(UsageError, match=r"service\.url") as caught:
        check_url(url)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "https://hcs.example",
        "https://hcs.example:8443/a/b/",
        "https://[2001:db8::1]:1",
        "https://hcs.example:65535",
        "http://127.9.9.9",
        "http://[::1]:80",
        "http://localhost:8000",
        "https://hcs.example.",
        "https://h///",
    ],
)
def test_urls_that_are_fine(url):
    assert check_url(url) == url.rstrip("/")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://hcs.example/?x", "no URL that can be used (not shown here); write https://host"),
        ("https://a:b@hcs.example", "set service.username and the password"),
        ("https://[:::::]", "[:::::] is no IPv6 address"),
        ("http://10.0.0.1:80/x", "http://10.0.0.1 would send the credentials in the clear"),
    ],
)
def test_the_message_says_what_to_write(url, words):
    with pytest.raises(UsageError) as caught:
        check_url(url)
    assert words in str(caught.value)
