"""Which changed files a worker process hands back because they are large."""

from __future__ import annotations

import mmap
import os

import pytest
from scanning import Scanner, settle

from hashscan.catalog.store import Catalog
from hashscan.fs.volume import Volume
from hashscan.known.filters.bloom import load
from hashscan.model import filterset_of
from hashscan.scan.links import LinkTable
from hashscan.scan.work import Task, WorkerSettings
from hashscan.scan.worker import Worker

KIB = 1 << 10


@pytest.fixture
def check(tmp_path, state):
    """A function that lets a worker check files of a directory; returns hashed and handed back."""
    volume = tmp_path / "volume"
    volume.mkdir()

    def check(sizes, *, bound, holes=(), large=False, look=True):
        for name, size in sizes.items():
            with open(volume / name, "wb") as file:
                if name in holes:
                    file.truncate(size)
                else:
                    file.write(os.urandom(size))
        settle(volume)
        one = load(Scanner(state).filter)
        catalog = Catalog(str(state / "catalog.sqlite3"))
        scan = catalog.begin_watch()
        (root,) = catalog.queue_directories(scan, 0, b"", [(os.fsencode(volume), 0)])
        judged = catalog.filterset(filterset_of([one]))
        catalog.commit()
        sent = []
        settings = WorkerSettings(
            (Volume(os.fsencode(volume)),), (root.number,), catalog.path, (one,),
            frozenset({"sha1"}), judged, scan, large_apart=bound,
        )  # fmt: skip
        links = LinkTable()
        worker = Worker(settings, links, None, mmap.mmap(-1, 4096), sent.append)
        names = tuple((name.encode(), 0) for name in sizes) if look else None
        worker.do(
            Task(1, 0, root.number, b"", False, names=names, look=look, final=look, large=large)
        )
        worker.flush()
        worker.rest()
        links.close()
        catalog.close()
        parts = [part for message in sent if isinstance(message, list) for part in message]
        hashed = {os.fsdecode(row[0]) for part in parts for row in part.rows}
        return hashed, {os.fsdecode(name) for part in parts for name in part.large}

    return check


def test_a_file_above_the_bound_is_handed_back(check):
    sizes = {"at": 64 * KIB, "above": 64 * KIB + 1}
    assert check({"above": sizes["above"]}, bound=64 * KIB) == (set(), {"above"})
    assert check({"at": sizes["at"]}, bound=64 * KIB) == ({"at"}, set())


def test_files_that_are_together_above_the_bound_are_handed_back(check):
    sizes = dict.fromkeys(("a", "b", "c", "d"), 30 * KIB)
    hashed, large = check(sizes, bound=64 * KIB)
    assert (len(hashed), len(large)) == (2, 2), "many changes at once are as long as a large one"
    assert hashed | large == set(sizes)


def test_a_large_file_does_not_count_for_those_after_it(check):
    sizes = {"large": 200 * KIB, "a": 30 * KIB, "b": 30 * KIB}
    assert check(sizes, bound=64 * KIB) == ({"a", "b"}, {"large"})


def test_in_a_listing_only_each_file_counts(check):
    sizes = {"large": 200 * KIB, "a": 30 * KIB, "b": 30 * KIB, "c": 30 * KIB}
    hashed, large = check(sizes, bound=64 * KIB, look=False)
    assert (hashed, large) == ({"a", "b", "c"}, {"large"})


def test_what_is_not_read_or_has_its_turn_is_not_handed_back(check):
    sizes = {"a": 200 * KIB}
    assert check(sizes, bound=64 * KIB, large=True) == ({"a"}, set())
    assert check(sizes, bound=None) == ({"a"}, set())
    _, large = check({"holes": 4 << 20}, bound=64 * KIB, holes={"holes"})
    assert large == set(), "a file of holes is not read"
