"""Addresses, digests and times as senders write them."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashscan.model import EMPTY_DIGESTS
from hashscan.notices import values

MD5, SHA1, SHA256 = "0a" * 16, "0b" * 20, "0c" * 32


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("https://x.example/a", "https://x.example/a"),
        ("  <https://x.example/a> ", "https://x.example/a"),
        ("HTTPS://X.example/A", "https://X.example/A"),
        ("hxxps://x.example/a", "https://x.example/a"),
        ("hXXp://x[.]example[:]8080/a[.]jpg", "http://x.example:8080/a.jpg"),
        ("h**p[:]//x(dot)example/a(dot)jpg", "http://x.example/a.jpg"),
        ("hxxp[://]x{.}example/", "http://x.example/"),
        ("https://x [dot] example/a", "https://x.example/a"),
        ("hxtp://x.\u200bexample/\u200ba", "http://x.example/a"),
        ("fxp://x.example/a", "ftp://x.example/a"),
        ("https://x.example/a(dot).jpg", "https://x.example/a(dot).jpg"),  # legal, not defanged
        ("https://x.example/a(1).jpg", "https://x.example/a(1).jpg"),
        ("http://[2001:db8::1]:80/a", "http://[2001:db8::1]:80/a"),
        ("hxxp://192.0.2[.]7/a", "http://192.0.2.7/a"),
        ("https://x.example/a b.jpg", "https://x.example/a b.jpg"),
        ("https://bücher.example/ü", "https://bücher.example/ü"),
        ("https://x.example/?h=" + MD5, "https://x.example/?h=" + MD5),
    ],
)
def test_urls_are_recognised_and_refanged(written, meant):
    assert values.url(written) == meant


@pytest.mark.parametrize(
    "text",
    ["", "x", "http://", "http:///a", "http://...", "http://x y/", "http://[::1", "http://x:99999/",
     "javascript://x/%0a", "mailto:a@b.example", "file:///etc/passwd", "http://x/\x00", "http://x/\ud800",
     "http://x/\u2028b", "http://" + "a" * 9000, "http://x.example/a http://x.example/b", MD5, "2001:db8::1", "img.example/a.jpg"],
)  # fmt: skip
def test_what_is_no_url(text):
    assert values.url(text) is None


def test_addresses_without_a_scheme_count_if_an_address_is_expected():
    assert values.url("img[.]example/a.jpg", guess=True) == "http://img.example/a.jpg"
    assert values.url("192.0.2.7/a", guess=True) == "http://192.0.2.7/a"
    for text in ("a", "note", "/srv/www", "2025-01-02", "e.g.", MD5, "10:00:00"):
        assert values.url(text, guess=True) is None, text


def test_trimmed():
    assert values.trimmed("(https://x.example/a).") == "https://x.example/a"
    assert values.trimmed("https://x.example/a_(b)") == "https://x.example/a_(b)"


def test_digests_are_recognised():
    assert values.digest(MD5.upper()) == ("md5", MD5)
    assert values.digest(f"SHA-1: {SHA1}") == ("sha1", SHA1)
    assert values.digest(f"sha256={SHA256}", "sha256") == ("sha256", SHA256)
    # Base32 only under the name.
    base32 = "BMFQWCYLBMFQWCYLBMFQWCYLBMFQWCYL"
    assert values.digest(base32, "sha1") == ("sha1", SHA1)
    assert values.digest(base32) is None


@pytest.mark.parametrize(
    "text",
    ["", "ab", MD5[:-1], MD5 + "a", "g" * 32, f"http://x.example/{MD5}", f"{MD5}.jpg", f"md5:{SHA1}",
     "2001:0db8:0000:0000:0000:0000:0000:0001", "2025-01-02 10:00:00", "20250102100000"],
)  # fmt: skip
def test_what_is_no_digest(text):
    assert values.digest(text) is None


def test_empty_content_has_no_digest():
    for one in EMPTY_DIGESTS:
        assert values.digest(one.hex) is None
        assert values.is_empty_digest(one.hex.upper())
    assert values.digest(SHA1, "md5") is None


def utc(*numbers):
    return datetime(*numbers, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2025-01-02 10:00:00", utc(2025, 1, 2, 10)),
        ("2025-01-02T10:00:00Z", utc(2025, 1, 2, 10)),
        ("2025-01-02T10:00:00.123+01:00", utc(2025, 1, 2, 9)),
        ("2025/1/2", utc(2025, 1, 2)),
        ("02-01-2025 10:00", utc(2025, 1, 2, 10)),
        ("02.01.2025 10:00:05 CET", utc(2025, 1, 2, 9, 0, 5)),
        ("Thu, 2 Jan 2025 10:00:00 -0500", utc(2025, 1, 2, 15)),
        ("2 Jan 2025 10:00", utc(2025, 1, 2, 10)),
    ],
)
def test_times_are_recognised(text, seconds):
    assert values.moment(text) == seconds


def test_dutch_time():
    assert values.moment("2025-01-02 10:00:00", values.dutch()) == utc(2025, 1, 2, 9)
    assert values.moment("2025-07-02 10:00:00", values.dutch()) == utc(2025, 7, 2, 8)
    assert values.moment("2025-07-02 10:00:00Z", values.dutch()) == utc(2025, 7, 2, 10)


@pytest.mark.parametrize(
    "text", ["", "x", "2025-13-01", "99-99-9999", "0001-01-01", "9999-12-31", "2025-01-02 25:00"]
)
def test_what_is_no_time(text):
    assert values.moment(text) is None


HOSTILE = st.text(max_size=60) | st.text(
    alphabet="htxps:/[].(dot){} @<>\"'%01af-TZ+,;\\", max_size=60
)


@settings(max_examples=50)
@given(HOSTILE)
def test_any_text_is_a_value_or_none(text):
    for prefix in ("", "hxxp://", "http://x.example/", "2025-01-02 ", "md5: "):
        values.url(prefix + text, guess=True)
        values.trimmed(prefix + text)
        values.digest(prefix + text, "sha1")
        values.moment(prefix + text)
        values.ip(prefix + text)
        assert len(values.words(prefix + text, 20)) <= 20


@settings(max_examples=50)
@given(HOSTILE)
def test_a_url_is_its_own_url(text):
    found = values.url(f"http://x.example/{text}")
    assert found is None or values.url(found) == found
