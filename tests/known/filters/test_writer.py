"""A filter that cannot be written leaves nothing."""

import errno
import os

import pytest
from faulty import raising
from filter_faults import make

from hashscan.errors import StateError
from hashscan.known.filters import (
    writer,
)


def test_a_filter_that_cannot_get_its_name_leaves_nothing(tmp_path, monkeypatch):
    path = tmp_path / "f.filter"
    monkeypatch.setattr(writer, "rename", raising(errno.ENOSPC))
    with pytest.raises(StateError) as caught:
        make(str(path))
    assert str(caught.value).startswith(
        f"{path}: the filter cannot be written: No space left on device; make room"
    )
    assert os.listdir(tmp_path) == []
