"""Patterns that match nothing are errors with the fix."""

import re
from fnmatch import translate
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import PydanticCustomError

from hashscan.config import globs
from hashscan.config.globs import glob
from hashscan.fs.volume import excluder


@pytest.mark.parametrize(
    ("pattern", "fix"),
    [
        ("./x", 'write "x"'),
        ("a/./b", 'write "a/b"'),
        ("a/.", 'write "a"'),
        ("a//b", 'write "a/b"'),
        ("/abs/x", 'write "abs/x"'),
        ("x/", 'write "x"'),
        ("*/cache/", 'write "*/cache"'),
        (".", "below the volume"),
        ("..", "below the volume"),
        ("a/../b", "below the volume"),
        ("*/..", "below the volume"),
        ("../x", "below the volume"),
        ("{a,b}", "one pattern for each choice"),
        ("*.{jpg,png}", "one pattern for each choice"),
        ("x{1..3}", "one pattern for each choice"),
        ("!keep/*", "write ? instead"),
        (r"a\*b", "write [*]"),
        (r"my\ files/*", "write [*]"),
        (r".*\.jpg$", "a dot is only itself"),
        ("*.jpg|*.png", "one pattern for each choice"),
        ("@(a|b)/*", "one pattern for each choice"),
        ("*.jpg;*.png", "one pattern for each choice"),
        ("*.jpg, *.png", "one pattern for each choice"),
        ("re:.*", "below the volume"),
        ("$HOME/cache", "below the volume"),
        ("${HOME}", "below the volume"),
        ("~/cache", "below the volume"),
        ("[z-a]", "[a-z]"),
        ("a" * 256, "correct the pattern"),
        ("é" * 128, "correct the pattern"),
        ("a/[/]b", "below the volume"),
        ("a[/]/b", "below the volume"),
        ("[/]a", "below the volume"),
        ("a[/]", "below the volume"),
        ("a[//][/-/]b", "below the volume"),
        ("a/[./]/b", "below the volume"),
        ("a/[.]/b", "below the volume"),
        ("*/[.][.]", "below the volume"),
        ("*[/]", "below the volume"),
    ],
)
def test_one_that_matches_nothing(pattern, fix):
    with pytest.raises(PydanticCustomError) as raised:
        glob(pattern)
    assert fix in raised.value.context["fix"]


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("*/cache/*", "a/cache/b"), ("*.bak", "a/b.bak"), ("**/x", "a/x"), ("...", "..."),
        ("[{]a,b[}]", "{a,b}"), ("a[/]b", "a/b"), ("*[/]*", "a/b"), ("[.]a", ".a"),
        ("[/.]a", ".a"), ("[!.]", "a"), ("[.][.].", "..."), ("a/[/b]", "a/b"), ("[é-ü]", "ö"), ("[[]", "["), ("[!a]x", "bx"), ("a b", "a b"), ("[]", "[]"),
        ("é/*", "é/x"), ("{a}", "{a}"), ("a" * 255, "a" * 255), ("*" + "a" * 300, "a" * 200 + "/" + "a" * 300),
        ("[|]", "|"), ("*:2,*", "1.a:2,S"), ("*(1).jpg", "a(1).jpg"), ("Re: *", "Re: x"), ("a$b", "a$b"),
        (".*", ".x"), ("x\\x2d*", "x\\x2d1"), (".hidden/*", ".hidden/x"), ("a..b", "a..b"),
    ],
)  # fmt: skip
def test_one_that_matches_is_taken_as_it_is(pattern, path):
    assert glob(pattern) == pattern
    assert excluder([pattern])(path.encode())


NAMES = st.text("ab.*?[]!-", min_size=1, max_size=4).filter(lambda name: name not in {".", ".."})


@given(st.lists(NAMES, min_size=1, max_size=3))
def test_the_escaped_name_of_any_file_is_a_pattern_that_matches_it(names):
    path = "/".join(names)
    pattern = re.sub(r"([*?[])", r"[\1]", path)
    if not pattern.startswith("!"):
        assert excluder([glob(pattern)])(path.encode())


def test_brackets_are_judged_as_the_matcher_reads_them():
    texts = ["".join(signs) for n in (1, 2, 3, 4) for signs in product("/.a", repeat=n)]
    paths = [one for one in texts if not {"", ".", ".."} & set(one.split("/"))]
    pieces = ("/", ".", "a", "?", "*", "[/]", "[.]", "[./]", "[!/]", "[!.]", "[a/]")
    for signs in (one for n in (1, 2) for one in product(pieces, repeat=n)):
        pattern = "".join(signs)
        matches = any(map(re.compile(translate(pattern)).match, paths))
        assert globs._can_match(pattern) == matches, pattern
