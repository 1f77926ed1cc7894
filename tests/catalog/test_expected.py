"""What a scan has to do, from real scans of real trees."""

from __future__ import annotations

import os

import pytest
from scanning import Scanner, settle

from hashscan.catalog.store import Catalog
from hashscan.model import Expected


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
        return catalog.expected([os.fsencode(root) for root in roots], **options)
    finally:
        catalog.close()


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
