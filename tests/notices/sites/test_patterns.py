"""Regular expressions of web servers: as the servers read them, and with a bound of time."""

import time

import pytest

from hashscan.notices.sites.location import UndecidedError
from hashscan.notices.sites.patterns import apache_search, filled, groups, search


def test_expressions_of_apache():
    assert apache_search("^/.$", b"/\n")
    assert not apache_search("^/a$", b"/a\n")
    assert apache_search(r"^/\$[$][^]$]x$", b"/$$ax")
    assert not apache_search(r"^/x$", b"/X")
    assert apache_search(r"^/x$", b"/X", ignore_case=True)
    assert search("^/a$", b"/a\n")
    assert not search("^/.$", b"/\n")


def test_a_dollar_in_a_class_is_no_end():
    assert apache_search(r"a[[:alpha:]$]$", b"a$")
    assert apache_search(r"a[\]$]$", b"a$")
    assert not apache_search(r"a[$]$", b"a$b")


def test_bytes_that_are_no_text():
    assert search("\udcff$", b"\xff")
    assert search("é", "é".encode())
    assert not search("^.$", "é".encode())
    assert search("É", "é".encode(), ignore_case=True) is None


@pytest.mark.parametrize("pattern", ["(", "a{2,1}", "(?P<x>a)(?P=y)", "\\"])
def test_an_expression_that_is_not_understood_is_named(pattern):
    for find in (search, apache_search):
        with pytest.raises(UndecidedError, match="is not understood"):
            find(pattern, b"a")


def test_a_search_that_takes_too_long_is_ended():
    began = time.thread_time()
    with pytest.raises(UndecidedError, match="takes too long"):
        search(r"^/(a|a)*\1*c$", b"/" + b"a" * 40)
    assert time.thread_time() - began < 60


def test_captures_by_number_and_name():
    found = search("^(?P<host>[a-z]+)(x)?", b"abc.d")
    assert groups(found) == {"0": b"abc", "1": b"abc", "2": b"", "host": b"abc"}


def test_a_template_is_filled_with_captures():
    found = search("(.)(.)(z)?", b"a\xff")
    assert filled("/$2/$1$1/$3$4/$0", found) == "/\udcff/aa//a\udcff"
    assert filled("$10 $x $$1", found) == "a0 $x $a"
