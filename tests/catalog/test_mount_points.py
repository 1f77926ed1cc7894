"""hashscan.catalog.mount_points: volumes that were mount points, also if a bit flips."""

import sqlite3
from contextlib import closing

import pytest

from hashscan.catalog.store import Catalog


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "c.sqlite3")


def test_a_mount_point_is_known_to_the_next_process_until_it_is_forgotten(path):
    with closing(Catalog(path)) as catalog:
        assert not catalog.was_mounted(b"/v")
        catalog.set_mounted(b"/v")
        catalog.set_mounted(b"/w")
    with closing(Catalog(path)) as catalog:
        assert catalog.was_mounted(b"/v")
        catalog.forget_mounted(b"/v")
        assert (catalog.was_mounted(b"/v"), catalog.was_mounted(b"/w")) == (False, True)


@pytest.mark.parametrize("column", ["volume", "again"])
def test_a_flipped_bit_in_one_of_both_paths_hides_no_mount_point(path, column):
    with closing(Catalog(path)) as catalog:
        catalog.set_mounted(b"/v")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"UPDATE mounted SET {column} = ?", (b"/w",))
    with closing(Catalog(path)) as catalog:
        assert catalog.was_mounted(b"/v")
        catalog.forget_mounted(b"/v")
        assert not catalog.was_mounted(b"/v")
