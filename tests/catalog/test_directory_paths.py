"""hashscan.catalog.directory_paths: the path and the volume of a directory of the catalog."""

from contextlib import closing

import pytest

from hashscan.catalog.directory_paths import directory_path, volume_of
from hashscan.catalog.store import Catalog
from hashscan.errors import StateError


@pytest.fixture
def catalog(tmp_path):
    with closing(Catalog(str(tmp_path / "c.sqlite3"))) as one:
        yield one


@pytest.fixture
def numbers(catalog):
    """The ids of a root, of ``a`` below it, and of ``b`` below ``a``."""
    (root,) = catalog.queue_directories(7, 0, b"", [(b"/srv", 0)])
    (above,) = catalog.queue_directories(7, root.number, b"", [(b"a\xff", 5)])
    (below,) = catalog.queue_directories(7, above.number, above.path, [(b"b", 6)])
    return root.number, above.number, below.number


def test_a_path_has_every_name_below_the_root(catalog, numbers):
    found = [directory_path(catalog._connection, "c", number) for number in numbers]
    assert found == [b"", b"a\xff", b"a\xff/b"]


def test_the_volume_is_that_of_the_root_above(catalog, numbers):
    found = {volume_of(catalog._connection, "c", number) for number in numbers}
    assert found == {b"/srv"}
    assert volume_of(catalog._connection, "c", 99) is None


def test_a_damaged_row_on_the_way_is_an_error_and_a_circle_of_parents_ends(catalog, numbers):
    _, above, below = numbers
    catalog._connection.execute("UPDATE dir SET parent = ? WHERE id = ?", (below, above))
    with pytest.raises(StateError, match="a directory's name or place"):
        directory_path(catalog._connection, "c", below)
    assert volume_of(catalog._connection, "c", below) is None
