"""hashscan.text: names cannot forge lines; sizes and durations say what they mean."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashscan.text import (
    human_age,
    human_size,
    parse_duration,
    parse_size,
    rfc3339,
    said_by,
    shown,
)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(13, "Permission denied", "x"), "Permission denied"),
        (OSError("no number"), "no number"),
        (ValueError("embedded null byte"), "embedded null byte"),
        (ValueError(), "ValueError"),
    ],
)
def test_what_an_error_says(error, words):
    assert said_by(error) == words


@given(st.binary())
def test_a_shown_path_is_one_printable_line_and_unambiguous(raw):
    text = shown(raw)
    assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 for c in text)
    assert text.splitlines() in ([text], [])
    text.encode("utf-8")  # no surrogates


@given(st.binary(max_size=6), st.binary(max_size=6))
def test_different_paths_are_shown_differently(one, other):
    assert (shown(one) == shown(other)) == (one == other)


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"plain", "plain"),
        (b"a\nb\tc", "a\\nb\\tc"),
        (b"\xff", "\\xff"),
        (b"back\\slash", "back\\\\slash"),
        ("caf\u00e9".encode(), "caf\u00e9"),
        ("\u202egpj.exe".encode(), "\\u202egpj.exe"),
        ("\U000e0041".encode(), "\\U000e0041"),
        (b"\x1b[2J", "\\x1b[2J"),
        (b"\x9b", "\\x9b"),
        (b"\xc2\x9b", "\\u009b"),
    ],
)
def test_shown(raw, text):
    assert shown(raw) == text


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1000", 1000),
        ("50MiB", 50 << 20),
        ("1.5K", 1536),
        ("2KB", 2000),
        ("1 GiB", 1 << 30),
        ("7B", 7),
    ],
)
def test_sizes(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("text", "seconds"), [("10s", 10), ("7d", 604800), ("1.5h", 5400), ("250ms", 0.25), ("3", 3)]
)
def test_durations(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "x", "-1", "1 parsec", "1e3", "\u0663"])
def test_nonsense_is_refused(text):
    with pytest.raises(ValueError):
        parse_size(text)
    with pytest.raises(ValueError):
        parse_duration(text)


def test_times_and_sizes_for_people():
    assert rfc3339(0) == "1970-01-01T00:00:00.000Z"
    assert human_size(1536) == "1.5 KiB"
    assert human_size(999) == "999 B"
    assert human_size(1 << 50) == "1.0 PiB"


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (-1, "0 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7200, "2 h"),
        (172799, "48 h"),
        (172800, "2 days"),
        (1e9, "11574 days"),
    ],
)
def test_human_age(seconds, told):
    assert human_age(seconds) == told
