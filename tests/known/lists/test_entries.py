"""Why a text is no digest."""

import pytest

from hashscan.known.lists import entries


@pytest.mark.parametrize(
    ("algorithm", "text", "words"),
    [
        (None, "xyz", "the digest is not hexadecimal"),
        ("md5", "xyz", "md5 is not hexadecimal"),
        (None, "ab", "2 hexadecimal digits are no md5 (32), sha1 (40) or sha256 (64)"),
        ("sha1", "ab", "sha1 has 2 hexadecimal digits instead of 40"),
    ],
)
def test_why_a_text_is_no_digest(algorithm, text, words):
    assert entries._no_digest(algorithm, text) == words
