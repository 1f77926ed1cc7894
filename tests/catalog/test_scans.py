"""hashscan.catalog.scans: interrupted scans, and directories that are spilled."""

import pytest

from hashscan.catalog.status_overview import overview
from hashscan.catalog.store import Catalog


@pytest.fixture
def catalog(tmp_path):
    one = Catalog(str(tmp_path / "c.sqlite3"))
    one.service = ("s", True)
    yield one
    one.close()


@pytest.mark.parametrize("interrupted", [1, 0])
def test_a_complete_scan_resumes_the_first_of_those_that_were_interrupted(catalog, interrupted):
    volumes = [b"/b", b"/a"]
    numbers = []
    for _ in range(3):
        number, resumed = catalog.begin_scan(volumes, complete=True)
        assert resumed == (numbers[0] if numbers else None)
        numbers.append(number)
        if interrupted:
            catalog.end_scan(number, files=1, interrupted=True)
    assert catalog.begin_scan([b"/a"], complete=True)[1] is None, "other volumes"
    assert catalog.begin_scan(volumes, complete=False)[1] is None
    number, resumed = catalog.begin_scan(volumes, complete=True)
    assert resumed is None, "a scan that was not complete came between"
    catalog.end_scan(number, files=1, interrupted=False)
    assert catalog.begin_scan(volumes, complete=True)[1] is None


def test_spilled_directories_come_back_the_latest_first(catalog):
    directories = [(1, number, False, 0.5) for number in range(5)]
    catalog.spill(3, directories)
    catalog.spill(4, [(1, 9, True, 0.0)])
    assert sorted(catalog.unspill(3, 2)) == [(1, 3, 0, 0.5), (1, 4, 0, 0.5)]
    assert catalog.forget_spilled(3, 2) == 0
    assert catalog.forget_spilled(3, 1) == 3
    assert catalog.unspill(3, 10) == []
    assert catalog.unspill(4, 10) == [(1, 9, 1, 0.0)]


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
