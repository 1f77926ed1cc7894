"""The expected work of a scan, from real scans of real trees."""

from __future__ import annotations

import os

import pytest
from scanning import Scanner, settle

from hashscan.catalog.store import Catalog
from hashscan.model import Summary
from hashscan.reporter import Expected
from hashscan.scan import engine, time_left


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "tree"
    for number in range(40):
        place = root / f"d{number % 4}" / "e"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"f{number}").write_bytes(os.urandom(1000))
    settle(root)
    return root


def expected(scanner, *roots, **options):
    catalog = Catalog(scanner.catalog)
    try:
        found = catalog.expected([os.fsencode(root) for root in roots], **options)
    finally:
        catalog.close()
    return found and found._replace(costs=None)


def test_totals_are_those_of_earlier_whole_scans(tree, tmp_path):
    scanner = Scanner(tmp_path / "state")
    scanner.scan(tree)
    assert expected(scanner, tree) == Expected(40, None, 40_000)
    scanner.scan(tree)
    assert expected(scanner, tree) == Expected(40, None, 40_000), "that scan hashed nothing"
    assert expected(scanner, tree / "d1") is None, "other volumes have totals of their own"
    assert expected(scanner, tree, hash_before=99) == Expected(40, 40, 40_000)


def test_a_full_scan_counts_its_own_volumes_only(tree, tmp_path):
    scanner = Scanner(tmp_path / "state")
    scanner.scan(tree / "d0")
    scanner.scan(tree / "d1", tree / "d2")
    assert expected(scanner, tree / "d0", hash_before=99) == Expected(10, 10, 10_000)
    both = expected(scanner, tree / "d2", tree / "d1", hash_before=99)
    assert both == Expected(20, 20, 20_000)


def test_what_a_full_scan_hashed_is_left_out_if_it_goes_on(tree, tmp_path):
    scanner = Scanner(tmp_path / "state")
    scanner.scan(tree)
    scanner.scan(tree, full=True)
    assert expected(scanner, tree, hash_before=2) == Expected(40, 0, 0)
    assert expected(scanner, tree, hash_before=3) == Expected(40, 40, 40_000)


def test_costs_are_those_that_the_last_scan_learnt(tmp_path):
    catalog = Catalog(str(tmp_path / "catalog.sqlite"))
    for learnt in ([1.0, 2.0, 3.0], [4.0, 5.0, 6.0], None):
        number, _ = catalog.begin_scan([b"/srv"], complete=False)
        catalog.end_scan(number, files=9, interrupted=False, summary=Summary(), costs=learnt)
    assert catalog.expected([b"/srv"]).costs == [4.0, 5.0, 6.0]
    assert catalog.expected([b"/srv"], hash_before=9).costs == [4.0, 5.0, 6.0]
    catalog.close()


def test_a_scan_stores_what_it_learnt_and_estimates_from_it(tree, tmp_path, monkeypatch):
    monkeypatch.setattr(time_left, "_AFTER", 0.0)
    monkeypatch.setattr(engine, "_PROGRESS_AFTER", 0.0)
    scanner = Scanner(tmp_path / "state")
    scanner.scan(tree)
    catalog = Catalog(scanner.catalog)
    costs = catalog.expected([os.fsencode(tree)]).costs
    catalog.close()
    assert len(costs) == 3
    assert all(cost > 0 for cost in costs)
    begun = []
    monkeypatch.setattr(
        engine, "Remaining", lambda *given: begun.append(given) or time_left.Remaining(*given)
    )
    scanner.scan(tree, full=True, max_rate=10 << 20)
    shown = scanner.told.progresses
    assert begun == [(costs, 10 << 20, None)]
    assert any(state.remaining is not None for state in shown)
    assert all(state.seconds > 0 for state in shown[1:])
