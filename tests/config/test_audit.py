"""``audit`` in the configuration: what is taken or refused."""

import re

import pytest
from pydantic import ValidationError

from hashscan.config.settings import Settings


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"file_size": "1023KiB"}, "must be from 1MiB to 1GiB"),
        ({"file_size": (1 << 30) + 1}, "must be from 1MiB to 1GiB"),
        ({"files": 3}, "must be from 4 to 100,000"),
        ({"files": 100_001}, "must be from 4 to 100,000"),
        ({"files": True}, "must be a number of files or none"),
        ({"files": "5"}, "must be a number of files or none"),
    ],
)
def test_a_value_that_is_refused(given, words):
    with pytest.raises(ValidationError, match=re.escape(words)):
        Settings.of(audit=given)


@pytest.mark.parametrize(
    ("name", "given", "taken"),
    [
        ("file_size", "1MiB", 1 << 20),
        ("file_size", "1GiB", 1 << 30),
        ("files", 4, 4),
        ("files", 100_000, 100_000),
        ("files", "none", None),
    ],
)
def test_a_value_that_is_taken(name, given, taken):
    assert getattr(Settings.of(audit={name: given}).audit, name) == taken


def test_what_the_section_is_without_values():
    audit = Settings.of().audit
    assert (audit.file_size, audit.files) == (16 << 20, 64)
