"""The states of an item, and the time from which the norm counts."""

import pytest

from hashscan.notices.notice import SETTLED, ItemState, begin, may_become

RECEIVED, LOCATED = ItemState.RECEIVED, ItemState.LOCATED


@pytest.mark.parametrize("state", ItemState)
def test_no_state_follows_itself(state):
    assert not may_become(state, state)


@pytest.mark.parametrize("state", sorted(SETTLED))
def test_a_settled_item_can_only_be_reopened(state):
    assert [one for one in ItemState if may_become(state, one)] == [RECEIVED]


def test_an_open_item_goes_forward():
    assert {one for one in ItemState if may_become(RECEIVED, one)} == {LOCATED, *SETTLED}
    assert {one for one in ItemState if may_become(LOCATED, one)} == {
        ItemState.REMOVED,
        ItemState.GONE,
        ItemState.REFUSED,
    }, "a file that was found was here"


@pytest.mark.parametrize(
    ("sent", "received", "found"),
    [(None, 7.0, 7.0), (5.0, 7.0, 5.0), (9.0, 7.0, 7.0), (0.0, 7.0, 0.0)],
)
def test_the_norm_counts_from_the_sending_unless_that_is_in_the_future(sent, received, found):
    assert begin(sent, received) == found
