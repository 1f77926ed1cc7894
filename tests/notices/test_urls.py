"""Which URLs are the same for a repeat."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hashscan.notices.urls import ascii_host, same_url_key


@pytest.mark.parametrize(
    "same",
    [
        [
            "http://x.example",
            "https://X.Example./",
            "http://x.example:80/#top",
            "HTTP://x.example//",
        ],
        ["http://x.example/a%20b", "http://x.example/a b", "http://x.example/./c/../a%20b "],
        ["http://x.example/%7euser/%61", "http://x.example/~user/a"],
        ["http://bücher.example/ü", "http://xn--bcher-kva.example/%C3%BC"],
        ["http://[2001:DB8::1]/a", "http://[2001:db8::1]:80/a"],
        ["http://x.example/?a=b c", "http://x.example/?a=b%20c"],
    ],
)
def test_spellings_of_one_url_have_one_key(same):
    assert len({same_url_key(url) for url in same}) == 1, [same_url_key(url) for url in same]


def test_urls_of_different_files_have_different_keys():
    urls = [
        "http://x.example/a", "http://x.example/A", "http://x.example/a/", "http://y.example/a",
        "http://x.example:8080/a", "http://x.example/a?b", "http://x.example/a?B",
        "http://x.example/%25", "http://x.example/a%3Fb",
    ]  # fmt: skip
    assert len({same_url_key(url) for url in urls}) == len(urls)


@given(st.text() | st.text(alphabet="htp:/[].%@?#a0\\ \x00\udcff", max_size=40))
@example("0?\udcff")
@example("0/\ud800")
def test_any_text_has_a_key(text):
    same_url_key(text)
    same_url_key(f"http://{text}")


@given(st.text(alphabet="/.%20aé?#&= ", max_size=30))
def test_the_key_of_a_key_is_the_key(path):
    once = same_url_key(f"http://x.example/{path}")
    assert same_url_key(f"https://{once}") == once


def test_hosts_are_lower_case_ascii():
    assert ascii_host("A_b.Example.") == "a_b.example"
    assert ascii_host("xn--\xe4") == "xn--\xe4"


def test_a_host_that_programs_read_differently_is_nobody_s_repeat():
    for url in ("http://a.example\\@b.example/1", "http://a.example:80\\@b.example/1"):
        assert same_url_key(url) not in {
            same_url_key("http://a.example/1"), same_url_key("http://b.example/1")
        }  # fmt: skip
