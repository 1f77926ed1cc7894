"""hashscan.scan.lost_directories: searches for directories that were renamed."""

from types import SimpleNamespace

import pytest

from hashscan.scan import lost_directories
from hashscan.scan.lost_directories import (
    RENAMED,
    REPLACED,
    Fate,
    LostDirectories,
    LostEntry,
    Search,
    Settled,
)


class Places:
    """A catalog of directories: number to parent, name and inode."""

    def __init__(self, **places):
        self.places = {int(key[1:]): value for key, value in places.items()}

    def place_of(self, number):
        parent, name, inode = self.places.get(number, (0, b"", 0))
        return SimpleNamespace(parent=parent, name=name, inode=inode)

    def directory_path(self, number):
        return b"path-%d" % number


@pytest.fixture
def waiting():
    """Directories 5 and 6 in 2, 2 in 1, which is the root of volume 0."""
    return LostDirectories(
        Places(d1=(0, b"/srv", 11), d2=(1, b"b", 12), d5=(2, b"e", 15), d6=(2, b"f", 16))
    )


def test_lost_directories_are_searched_together_in_the_one_that_held_them(waiting):
    assert (len(waiting), waiting.next()) == (0, None)
    one, two = LostEntry(5), LostEntry(6)
    assert waiting.add(0, [one]) == []
    assert waiting.add(0, [two, two]) == []
    assert len(waiting) == 3
    assert set(waiting.ids()) == {5, 6}
    search = waiting.next()
    assert (search.volume, search.directory, search.path, search.inode) == (0, 2, b"path-2", 12)
    assert search.names == ((b"e", 15), (b"e", 0), (b"f", 16), (b"f", 0))
    assert search.lost == {5: [one], 6: [two, two]}
    assert (len(waiting), waiting.next(), list(waiting.ids())) == (0, None, [])
    waiting.put_back(search)
    assert len(waiting) == 3
    assert waiting.next().lost == search.lost
    settled = waiting.found(search, (Fate.GONE, Fate.GONE, Fate.ELSEWHERE, Fate.GONE))
    assert settled == [Settled(0, one, ""), Settled(0, two, RENAMED), Settled(0, two, RENAMED)]


def test_what_nothing_holds_is_told_at_once(waiting):
    entry, other = LostEntry(1), LostEntry(1, instead=9)
    assert waiting.add(0, [entry, other]) == [Settled(0, entry, RENAMED)]
    assert len(waiting) == 0


def test_a_forgotten_volume_has_no_searches(waiting):
    waiting.add(0, [LostEntry(5)])
    waiting.add(1, [LostEntry(6), LostEntry(6)])
    assert len(waiting) == 3
    waiting.forget_volume(1)
    assert len(waiting) == 1
    waiting.forget_volume(0)
    assert (len(waiting), waiting.next()) == (0, None)


def test_a_search_whose_directory_is_lost_too_goes_on_above_it(waiting):
    entry = LostEntry(5)
    waiting.add(0, [entry])
    search = waiting.next()
    assert waiting.found(search, None) == []
    above = waiting.next()
    assert (above.directory, above.lost) == (1, {2: [entry]})
    assert waiting.found(above, (Fate.HERE, Fate.GONE)) == []
    again = waiting.next()
    assert (again.directory, again.inode) == (2, 0), "it is there, with whatever inode"
    assert waiting.found(again, None) == [Settled(0, entry, RENAMED)]


@pytest.mark.parametrize(
    ("fates", "problem"),
    [
        ((Fate.ELSEWHERE, Fate.HERE), REPLACED),
        ((Fate.GONE, Fate.HERE), None),
        ((Fate.ELSEWHERE, Fate.GONE), None),
    ],
)
def test_a_directory_with_another_in_its_place(waiting, fates, problem):
    entry = LostEntry(5, instead=77)
    search = Search(0, 2, b"b", 12, ((b"e", 15), (b"e", 77)), {5: [entry]})
    expected = [] if problem is None else [Settled(0, entry, problem)]
    assert waiting.found(search, fates) == expected
    assert waiting.found(search, None) == []


def test_a_search_that_failed_says_why_for_each(waiting):
    entries = [LostEntry(5), LostEntry(5)]
    search = Search(3, 2, b"b", 12, (), {5: entries})
    found = waiting.failed(search, "Input/output error")
    assert [one.entry for one in found] == entries
    assert all(one.volume == 3 for one in found)
    assert found[0].problem == (
        f"{lost_directories._UNKNOWN}: Input/output error; it is entered in the next scan if it is there"
    )
