"""The room for temporary files, and the size of all lists."""

import sqlite3

import pytest

from hashscan.errors import StateError
from hashscan.known.lists import staging
from hashscan.known.lists.reader import STDIN


def test_without_room_for_temporary_files_the_way_out_is_named():
    with (
        pytest.raises(StateError, match="the filter cannot be made: disk full") as caught,
        staging.staging("the filter"),
    ):
        raise sqlite3.OperationalError("disk full")
    assert "SQLITE_TMPDIR" in str(caught.value)


def test_the_size_of_all_lists_is_known_if_all_are_files(tmp_path):
    (tmp_path / "a").write_bytes(b"12345")
    path = str(tmp_path / "a")
    assert staging._total([path, path]) == 10
    assert staging._total([path, STDIN]) is None
    assert staging._total([path, str(tmp_path / "none")]) is None
