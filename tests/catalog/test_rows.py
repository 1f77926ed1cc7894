"""hashscan.catalog.rows: inode numbers as the catalog stores them."""

import pytest

from hashscan.catalog.rows import signed, unsigned

LARGE = (1 << 64) - 5


@pytest.mark.parametrize(
    ("inode", "kept"),
    [(0, 0), (1, 1), ((1 << 63) - 1, (1 << 63) - 1), (1 << 63, -(1 << 63)), (LARGE, -5)],
)
def test_an_inode_number_comes_back_as_it_was(inode, kept):
    assert (signed(inode), unsigned(kept)) == (kept, inode)
