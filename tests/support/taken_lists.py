"""A list with two digests, one of which is known for certain."""

import random

import pytest

from hashscan.known.lists.reader import Lists

_random = random.Random(6)
BAD, OTHER = (_random.randbytes(20).hex() for _ in range(2))


@pytest.fixture
def taken(tmp_path):
    """Whether the digest ``OTHER`` of a list is taken, and the list's report."""

    def read(content: str, **options):
        path = tmp_path / "list"
        path.write_text(content)
        source = Lists([str(path)], **options)
        found = [entry.hex for entry in source]
        assert BAD in found
        return OTHER in found, source.reports[0]

    return read
