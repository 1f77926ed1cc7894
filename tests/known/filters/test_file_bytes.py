"""The bytes of a file that changes while it is read."""

import os
from types import SimpleNamespace

import pytest
from faulty import open_descriptors

from hashscan.errors import FilterError
from hashscan.known.filters import (
    file_bytes,
)


def test_the_content_of_a_file_that_changes_while_it_is_read(tmp_path):
    (tmp_path / "f").write_bytes(content := os.urandom(10_000))
    with open(tmp_path / "f", "rb", buffering=0) as file:
        assert bytes(file_bytes.content_of(file.fileno(), os.stat(tmp_path / "f"))) == content
        for size, what in ((10_001, "it became shorter"), (0, "it is empty")):
            file.seek(0)
            with pytest.raises(ValueError, match=what):
                file_bytes.content_of(file.fileno(), SimpleNamespace(st_size=size))


def test_an_opened_file_is_closed_again(tmp_path):
    (tmp_path / "f").touch()
    before = open_descriptors()
    with file_bytes.open_regular(str(tmp_path / "f"), "mend it"):
        pass
    with pytest.raises(FilterError, match="is no regular file; mend it"):
        file_bytes.open_regular(str(tmp_path), "mend it").__enter__()
    assert open_descriptors() == before
