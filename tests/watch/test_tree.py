"""hashscan.watch.tree: where a watched directory is, also while events and walks disagree."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashscan.watch.tree import MOST_LEVELS, ROOT, NoPlaceError, Tree


def test_a_rename_moves_all_that_lies_below():
    tree = Tree()
    assert tree.put(1, 0, ROOT, b"") is None
    assert [tree.put(n, 0, n - 1, b"%d" % n) for n in (2, 3, 4)] == [None] * 3
    assert tree.place(4) == (0, b"2/3/4")
    assert tree.put(3, 0, 1, b"moved") == 0
    assert tree.place(4) == (0, b"moved/4")
    assert (tree.child(2, b"3"), tree.child(1, b"moved")) == (None, 3)
    tree.move_away(3)
    assert tree.place(4) is None
    assert [watch for watch, _ in tree.take_out(3)] == [3, 4]
    assert 4 not in tree
    assert tree.watches_of(0) == [1, 2]


def test_directories_that_lie_in_each_other_have_no_place():
    tree = Tree()
    tree.put(1, 0, ROOT, b"")
    tree.put(2, 0, 1, b"x")
    tree.put(3, 0, 2, b"y")
    tree.put(2, 0, 3, b"x")
    for watch in (2, 3):
        with pytest.raises(NoPlaceError):
            tree.place(watch)
    tree.put(3, 0, 1, b"y")
    assert tree.place(2) == (0, b"y/x")


def test_the_removal_of_exchanged_directories_costs_no_look_at_all_others():
    """A customer exchanges 30,000 directories, and removes those that lost their names."""
    count = 30_000
    tree = Tree()
    tree.put(0, 0, ROOT, b"")
    for number in range(1, count + 1):
        tree.put(number, 0, 0, b"%d" % number)
        tree.put(count + number, 0, 0, b"%d" % number)
    assert tree.child(0, b"7") == 7, "an event of the past is for the one that had the name"
    began = time.process_time()
    for number in range(1, count + 1):
        assert [watch for watch, _ in tree.take_out(number)] == [number]
    assert time.process_time() - began < 5, "a loop over pairs takes half a minute"
    assert tree.child(0, b"8") == count + 8


def test_what_is_too_deep_has_none():
    tree = Tree()
    tree.put(1, 0, ROOT, b"")
    for number in range(MOST_LEVELS + 1):
        tree.put(number + 2, 0, number + 1, b"d")
    assert tree.place(MOST_LEVELS + 1)[1].count(b"d") == MOST_LEVELS
    with pytest.raises(NoPlaceError):
        tree.place(MOST_LEVELS + 2)


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(1, 6), st.integers(-2, 6), st.binary(max_size=1))
    )
)
def test_whatever_happens_it_ends_and_agrees_with_itself(steps):
    tree = Tree()
    for what, watch, parent, name in steps:
        if what < 2:
            tree.put(watch, watch % 2, parent, name)
        elif what == 2 and watch in tree:
            tree.move_away(watch)
        elif what == 3:
            list(tree.take_out(watch))
            assert watch not in tree
    for watch in [*tree.watches_of(0), *tree.watches_of(1)]:
        node = tree.get(watch)
        for name, child in (node.children or {}).items():
            below = tree.get(child)
            assert below is None or (below.parent, below.name) == (watch, name)
        try:
            place = tree.place(watch)
        except NoPlaceError:
            continue
        assert place is None or place[0] in {0, 1}
