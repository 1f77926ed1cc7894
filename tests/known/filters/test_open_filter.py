"""Which kind of filter a file is."""

import errno

import pytest
from faulty import break_os, raising

from hashscan.errors import FilterError
from hashscan.known.filters import (
    open_filter,
)


def test_the_kind_of_a_file_that_cannot_be_read(tmp_path, monkeypatch):
    (tmp_path / "f").write_bytes(b"md5\n")
    assert open_filter.kind_of_filter(str(tmp_path / "f")) == "other"
    break_os(monkeypatch, open_filter, pread=raising(errno.EIO))
    with pytest.raises(FilterError, match="cannot be read: Input/output error; see the path"):
        open_filter.kind_of_filter(str(tmp_path / "f"))
