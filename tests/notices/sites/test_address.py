"""URLs as clients send them and as servers read them."""

import pytest

from hashscan.notices.sites.address import (
    decoded,
    follow,
    is_own_ip,
    parse,
    unreserved_decoded,
    without_dots,
)


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("http://a.example", "http://a.example/"),
        ("HTTPS://WWW.A.Example.:443/x", "https://www.a.example/x"),
        ("a.example/x", "http://a.example/x"),
        ("http://user:pass@a.example:8080/x#frag", "http://a.example:8080/x"),
        ("http://bücher.example/é?ü", "http://xn--bcher-kva.example/%C3%A9?%C3%BC"),
        ("http://%61.example/ a%20b", "http://a.example/%20a%20b"),
        ("http://[2001:DB8::1]:8080/", "http://[2001:db8::1]:8080/"),
        ("http://a.example/x;y?z??", "http://a.example/x;y?z??"),
        ("http://a_b.example/%zz%", "http://a_b.example/%zz%"),
        ("http://a.example?x", "http://a.example/?x"),
        ("  http://a.example/a\tb\n", "http://a.example/ab"),
        ("http://a.example/\udce9", "http://a.example/%E9"),
    ],
)
def test_what_a_client_sends(url, sent):
    assert parse(url).url == sent


@pytest.mark.parametrize(
    "url",
    [
        "", "http://", "http:///x", "ftp://a.example/", "mailto:a@b.example", "http://a b/",
        "http://a..b/", "http://../", "http://a.example:x/", "http://a/" + "x" * 9000, "http://a%2fb/",
        "http://[::1/", "http://\u2024/", "http://a\\b/",
        "http://[fe80::1%a]/", "http://[fe80::1%a b]/", "http://[fe80::1%252f]/",
    ],
)  # fmt: skip
def test_what_no_client_sends(url):
    with pytest.raises(ValueError, match=r"."):
        parse(url)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://a.example:x/", "the port of the URL is no number from 1 to 65535"),
        # The customer of the first host must not have a file of the second host's customer moved.
        ("http://a.example\\@b.example/1", "browsers and other programs read the host"),
        ("http://a.example:80\\\\@b.example/1", "browsers and other programs read the host"),
        ("http://[.]/", "the URL has no host name that a web server takes"),
    ],
)
def test_the_reason_is_in_words(url, words):
    with pytest.raises(ValueError, match=words):
        parse(url)


def test_redirects_are_relative_to_the_url():
    address = parse("http://a.example/x/y?z")
    assert follow(address, "../b").url == "http://a.example/b"
    assert follow(address, "//c.example").url == "http://c.example/"


def test_paths_as_servers_read_them():
    assert decoded(b"/%61%2F%25%ff") == b"/a/%\xff"
    assert decoded(b"/%0") is None
    assert decoded(b"/%00") is None
    for path, plain in (
        (b"/a/../b", b"/b"), (b"/a/.", b"/a/"), (b"/a/b/..", b"/a/"), (b"//a///b//", b"/a/b/"),
        (b"/..", None), (b"/a/../..", None), (b"/...", b"/..."), (b"/", b"/"), (b"/.", b"/"),
    ):  # fmt: skip
        assert without_dots(path) == plain
    assert without_dots(b"//a//b/", merge=False) == b"//a//b/"
    assert without_dots(b"/../a/../../b", clamp=True) == b"/b"
    assert without_dots(b"/a//../b", merge=False) == b"/a/b"
    assert without_dots(b"/a//../b", merge=False, deep=True) == b"/b"
    assert without_dots(b"/a///../b", merge=False, deep=True) == b"/b"
    assert without_dots(b"//../b", merge=False, deep=True) is None
    assert without_dots(b"///../b", merge=False, deep=True) is None
    assert unreserved_decoded(b"/%2E%7e%41%2F%25%zz%00") == b"/.~A%2F%25%zz%00"


def test_own_addresses():
    assert is_own_ip("127.0.0.1")
    assert not is_own_ip("192.0.2.1")
