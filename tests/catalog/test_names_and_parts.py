"""hashscan.catalog: other names of an inode, inode numbers, and scans that saw only some volumes."""

import pytest

from hashscan.catalog.rows import FileRow, signed, unsigned
from hashscan.catalog.status_overview import overview
from hashscan.catalog.store import Catalog
from hashscan.model import Identity

LARGE = (1 << 64) - 5


@pytest.fixture
def catalog(tmp_path):
    one = Catalog(str(tmp_path / "c.sqlite3"))
    yield one
    one.close()


@pytest.mark.parametrize(
    ("inode", "kept"),
    [(0, 0), (1, 1), ((1 << 63) - 1, (1 << 63) - 1), (1 << 63, -(1 << 63)), (LARGE, -5)],
)
def test_an_inode_number_comes_back_as_it_was(inode, kept):
    assert (signed(inode), unsigned(kept)) == (kept, inode)


def row(name, *, inode=-5, device=3, linked=True):
    return FileRow(
        *(name, device, inode, 10, 20, 30, None, b"s" * 20, None),
        linked=linked, hit=False, racy=False, judged=1, scan=7,
    )  # fmt: skip


def test_the_other_names_of_an_inode_with_their_directories(catalog):
    (root,) = catalog.queue_directories(7, 0, b"", [(b"/srv", 0)])
    first, second = catalog.queue_directories(7, root.number, b"", [(b"d", 0), (b"e", 0)])
    catalog.put_files(
        first.number, [row(b"a"), row(b"b", inode=4), row(b"c", linked=False), row(b"z", device=9)]
    )
    catalog.put_files(second.number, [row(b"a", device=4)])
    found = catalog.other_names(Identity(3, LARGE), [3, 4])
    assert sorted((number, one.name) for number, one in found) == [
        (first.number, b"a"), (second.number, b"a"),
    ]  # fmt: skip
    catalog._connection.execute("UPDATE file SET size = 11 WHERE dir = ?", (second.number,))
    ((number, _),) = catalog.other_names(Identity(3, LARGE), [3, 4])
    assert number == first.number, "a damaged row names nothing"


@pytest.mark.parametrize(
    ("unseen", "whole"),
    [((), {b"/a", b"/b"}), ((b"/b",), {b"/a"}), ((b"/a", b"/b"), set())],
)
def test_a_scan_is_whole_for_the_volumes_that_it_saw(catalog, unseen, whole):
    scan, _ = catalog.begin_scan([b"/a", b"/b"], complete=True)
    catalog.end_scan(scan, files=3, interrupted=False, unseen=unseen)
    catalog.commit()
    found = overview(catalog.path)
    assert set(found.by_volume) == whole
    assert found.scan.volumes == (b"/a", b"/b"), "the last one is the scan of all"
    (count,) = catalog._connection.execute("SELECT count(*) FROM scan").fetchone()
    assert count == (2 if len(whole) == 1 else 1)
