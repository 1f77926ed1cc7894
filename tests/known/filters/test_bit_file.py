"""A filter's file that cannot be read, or does not fit into the memory."""

import errno

import pytest
from faulty import break_os, open_descriptors, raising
from filter_faults import make, thrown

from hashscan.errors import FilterError
from hashscan.known.filters import (
    bit_file,
)
from hashscan.known.filters.filter_file import load


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.EIO, "Input/output error"), "cannot be read: Input/output error"),
        (ValueError("it became shorter"), "cannot be read: it became shorter"),
        (MemoryError(), "do not fit into the memory"),
    ],
)
def test_a_filter_that_cannot_be_taken_into_memory_is_refused(tmp_path, monkeypatch, error, words):
    path = str(tmp_path / "f.filter")
    make(path)
    monkeypatch.setattr(bit_file, "content_of", thrown(error))
    before = open_descriptors()
    with pytest.raises(FilterError, match=words) as caught:
        load(path)
    assert path in str(caught.value)
    assert open_descriptors() == before


def test_metadata_that_cannot_be_read_is_refused(tmp_path, monkeypatch):
    path = str(tmp_path / "f.filter")
    make(path)
    break_os(monkeypatch, bit_file, read=raising(errno.EIO))
    with pytest.raises(FilterError, match="cannot be read: Input/output error"):
        load(path)
