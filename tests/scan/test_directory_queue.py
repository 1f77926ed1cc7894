"""hashscan.scan.directory_queue: what waits is bounded in memory, and none of it is lost."""

import os
import random

import pytest

from hashscan.catalog.store import Catalog
from hashscan.scan import directory_queue as module
from hashscan.scan.directory_queue import Frontier, WaitingDirectories


@pytest.fixture
def catalog(tmp_path):
    one = Catalog(str(tmp_path / "catalog"))
    yield one
    one.close()


@pytest.mark.parametrize(("most", "most_bytes"), [(10, 1 << 20), (1 << 20, 300)])
def test_what_waits_is_bounded_and_each_directory_comes_back_once(
    catalog, monkeypatch, most, most_bytes
):
    for name, value in (("_MOST", most), ("_MOST_BYTES", most_bytes), ("_BACK", 7), ("_STEP", 2)):
        monkeypatch.setattr(module, name, value)
    scan, _ = catalog.begin_scan([b"/v"], complete=False)
    (root,) = catalog.queue_directories(scan, 0, b"", [(b"/v", 0)])
    names = [(b"d%03d" % number * 5, number) for number in range(1, 61)]
    directories = catalog.queue_directories(scan, root.number, b"", names)
    frontier, popped, rng = Frontier(catalog), [], random.Random(5)
    for number, directory in enumerate(directories, 1):
        frontier.push(WaitingDirectories(0, directory, 1.0))
        if rng.random() < 0.3:
            popped.append(frontier.pop())
        held = sum(len(directory.path) for directory in directories if directory.number in set(
            frontier.held()
        ))  # fmt: skip
        assert held == frontier._bytes <= most_bytes
        assert len(list(frontier.held())) <= most
        assert len(frontier) == number - len(popped)
    while frontier:
        popped.append(frontier.pop())
        assert len(list(frontier.held())) <= 7 + 2
        assert frontier._bytes <= most_bytes
    assert {one.directory for one in popped} == set(directories)
    assert len(popped) == len(directories)


def test_the_last_directory_is_the_first_to_be_listed(catalog):
    scan, _ = catalog.begin_scan([b"/v"], complete=False)
    one, other = catalog.queue_directories(scan, 0, b"", [(b"/v", 0), (os.fsencode("/w"), 0)])
    frontier = Frontier(catalog)
    for directory in (one, other):
        frontier.push(WaitingDirectories(0, directory, 1.0))
    assert [frontier.pop().directory, frontier.pop().directory] == [other, one]


def test_directories_of_a_forgotten_volume_take_no_memory(catalog, monkeypatch):
    monkeypatch.setattr(module, "_MOST_BYTES", 10)
    scan, _ = catalog.begin_scan([b"/v"], complete=False)
    (root,) = catalog.queue_directories(scan, 0, b"", [(b"/v", 0)])
    names = [(b"12345678", 1), (b"1234", 2), (b"1", 3)]
    long, middle, short = catalog.queue_directories(scan, root.number, b"", names)
    frontier = Frontier(catalog)
    frontier.push(WaitingDirectories(0, long, 1.0))
    frontier.forget_volume(0)
    assert len(frontier) == 0
    for directory in (middle, short):
        frontier.push(WaitingDirectories(1, directory, 1.0))
    assert list(frontier.held()) == [middle.number, short.number], "none is spilled"
