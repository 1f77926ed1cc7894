"""The scans of a period, as the report counts them."""

import time

from catalog_rows import report

from hashscan.catalog.period import InPlace, Period, in_place_of, matches_in_place, period_of
from hashscan.catalog.store import Catalog
from hashscan.model import Summary


def ended(catalog, volumes, *, unseen=(), interrupted=False, **counts):
    number, _ = catalog.begin_scan(volumes, complete=False)
    summary = Summary(**counts)
    catalog.end_scan(
        number, files=summary.files, interrupted=interrupted, unseen=unseen, summary=summary
    )


def test_no_catalog_is_no_scan(tmp_path):
    assert period_of(str(tmp_path / "catalog.sqlite3"), 0, 1e12) == Period(0, 0, 0, {}, {}, {})
    assert list(matches_in_place(str(tmp_path / "catalog.sqlite3"), 0, 1e12)) == []
    assert list(tmp_path.iterdir()) == []


def test_the_scans_of_a_period_are_added_up(tmp_path):
    path = str(tmp_path / "catalog.sqlite3")
    catalog = Catalog(path)
    ended(catalog, [b"/a"], hashed=100, bytes_hashed=7)
    begin = time.time()
    ended(catalog, [b"/a", b"/b"], hashed=3, bytes_hashed=10, skipped={"fifo": 1}, problems=1)
    # It is whole for /a only, and so it has two rows in the catalog.
    ended(catalog, [b"/a", b"/b"], unseen=[b"/b"], hashed=2, bytes_hashed=5, held=1)
    ended(catalog, [b"/a"], interrupted=True, hashed=1, bytes_hashed=1, false_positives=4)
    catalog.begin_watch()
    catalog.begin_scan([b"/a"], complete=False)  # it still runs
    found = period_of(path, begin, time.time() + 1)
    assert (found.scans, found.whole, found.files) == (3, 1, 8)
    assert found.added == {
        "hashed": 6, "bytes_hashed": 16, "candidates": 0, "false_positives": 4, "problems": 1
    }  # fmt: skip
    assert (found.last["hashed"], found.last["held"], found.last["false_positives"]) == (1, 0, 4)
    assert period_of(path, 0, begin).scans == 1
    assert period_of(path, time.time() + 1, 1e12).last == {}
    catalog.close()


def test_matches_in_their_place_are_told_by_how_they_were_found(tmp_path):
    path = str(tmp_path / "catalog.sqlite3")
    catalog = Catalog(path)
    catalog.service = ("s", True)
    before = time.time()
    scan, _ = catalog.begin_scan([b"/srv"], complete=False)
    (root,) = catalog.queue_directories(scan, 0, b"", [(b"/srv", 0)])
    watch = catalog.begin_watch()
    report(catalog, scan, root, b"scanned")
    report(catalog, watch, root, b"watched")
    report(catalog, watch, root, b"watched too")
    catalog.commit()
    assert sorted(in_place_of(path, before, before + 99, {})) == [
        InPlace(b"/srv", "baseline", "scan", False, 1),
        InPlace(b"/srv", "baseline", "watch", False, 2),
    ]
    matches = list(matches_in_place(path, before, before + 99))
    assert [one.path for one in matches] == [b"/srv/scanned", b"/srv/watched", b"/srv/watched too"]
    assert {one.category for one in matches} == {"baseline"}
    assert all(len(one.digests["sha1"]) == 40 for one in matches)
    assert all(before <= one.found <= time.time() for one in matches)
    assert list(matches_in_place(path, time.time() + 1, 1e12)) == []
    later = in_place_of(path, time.time() + 1, 1e12, {})
    assert {one.found_before for one in later} == {True}
    assert list(in_place_of(path, 0, before, {})) == [], "they were found later"
    moved = {b"/srv/scanned": time.time(), b"/srv/watched": before, b"/srv/other": time.time()}
    assert sorted((one.found_by, one.matches) for one in in_place_of(path, 0, 1e12, moved)) == [
        ("watch", 2)
    ], "one was moved after it was found, another one before"
    catalog.close()


def test_a_match_that_each_scan_finds_again_was_found_by_the_first(tmp_path):
    path = str(tmp_path / "catalog.sqlite3")
    catalog = Catalog(path)
    catalog.service = ("s", True)
    before = time.time()
    scan, _ = catalog.begin_scan([b"/srv"], complete=False)
    (root,) = catalog.queue_directories(scan, 0, b"", [(b"/srv", 0)])
    report(catalog, scan, root, b"same")
    report(catalog, scan, root, b"changed", 1)
    second = time.time()
    again, _ = catalog.begin_scan([b"/srv"], complete=False)
    report(catalog, again, root, b"same")
    report(catalog, again, root, b"changed", 2)
    catalog.commit()
    assert [one.path for one in matches_in_place(path, before, second)] == [b"/srv/same"]
    assert [one.path for one in matches_in_place(path, second, 1e12)] == [b"/srv/changed"]
    assert sum(one.matches for one in in_place_of(path, second, 1e12, {}) if one.found_before) == 1
    catalog.close()
