"""hashscan.scan.directory_group: the work of one directory, and what a dead worker leaves of it."""

import pytest

from hashscan.catalog.rows import QueuedDirectory
from hashscan.scan.directory_group import DirectoryGroup, group_of
from hashscan.scan.directory_queue import WaitingDirectories
from hashscan.scan.lost_directories import Search

WAITING = WaitingDirectories(0, QueuedDirectory(1, b"d", fresh=False), 0.5)
NAMES = ((b"f", 7),)


def test_the_file_over_which_a_worker_died_is_avoided_from_then_on():
    group = DirectoryGroup(WAITING, deaths=2, avoid=frozenset({b"a"}), names=NAMES, final=True)
    again = group.again()
    assert (again.deaths, again.avoid, again.names, again.final) == (2, {b"a"}, NAMES, True)
    group.at = b"f"
    assert group.again().avoid == {b"a", b"f"}


@pytest.mark.parametrize(
    ("group", "is_bulk"),
    [
        (DirectoryGroup(WAITING), True),
        (DirectoryGroup(WAITING, names=NAMES), False),
        (DirectoryGroup(WAITING, names=NAMES, large=True), True),
        (group_of(Search(0, 1, b"d", 0, ((b"f", 7, 0),), {})), False),
    ],
)
def test_what_may_take_long(group, is_bulk):
    assert group.is_bulk is is_bulk
