"""How fast items were removed: percentiles, shares within limits, classes."""

from array import array

import pytest
from sample_report import HOUR

from hashscan.report.removal import CLASSES, RemovalTally, nearest_rank, share


def test_percentiles_are_of_the_values_themselves():
    tally = RemovalTally()
    for hours in range(1, 11):
        tally.add_removed(hours * HOUR)
    found = tally.result()
    assert (found.median, found.p90, found.p95) == (5.0, 9.0, 10.0)
    assert found.within_1h == 0.1
    assert dict(zip(CLASSES, found.classes, strict=False))[8] == 4
    one = RemovalTally()
    one.add_removed(HOUR)
    assert (one.result().median, one.result().p95) == (1.0, 1.0)


@pytest.mark.parametrize(
    ("values", "percent", "rank"),
    [
        ([], 50, None), ([3], 1, 3), ([3], 100, 3), ([1, 2], 50, 1), ([1, 2], 51, 2),
        ([1, 2, 3], 90, 3), ([1, 2, 3], 34, 2), ([1, 2, 3], 33, 1), (list(range(100)), 95, 94),
    ],
)  # fmt: skip
def test_the_nearest_rank(values, percent, rank):
    assert nearest_rank(array("d", values), percent) == rank


def test_a_share_of_nothing_is_no_number():
    assert share(1, 4) == 0.25
    assert share(0, 4) == 0.0
    assert share(0, 0) is None


def tally(removed=(), still_open=()):
    one = RemovalTally()
    for seconds in removed:
        one.add_removed(seconds)
    for seconds in still_open:
        one.add_open(seconds)
    return one.result()


def test_a_removal_at_the_limit_is_within_it():
    found = tally([HOUR, HOUR + 1, 12 * HOUR, 12 * HOUR + 1, 24 * HOUR, 24 * HOUR + 1])
    assert (found.within_1h, found.within_12h, found.within_24h) == (1 / 6, 3 / 6, 5 / 6)


def test_open_items_count_once_they_are_older_than_the_limit():
    found = tally([0.0], [HOUR, HOUR + 1, 12 * HOUR + 1, 24 * HOUR + 1])
    assert (found.removed, found.median) == (1, 0.0)
    assert (found.within_1h, found.within_12h, found.within_24h) == (1 / 4, 1 / 3, 1 / 2)
    assert tally([], [HOUR]).within_1h is None
    assert tally([], [HOUR + 1]).within_1h == 0.0


def test_each_removed_item_is_in_one_class():
    ends = [end * HOUR for end in CLASSES]
    found = tally([-5.0, 0.0, *ends, *(end + 1 for end in ends)])
    assert found.classes == (3, 2, 2, 2, 2, 2, 2, 2, 1)
    assert sum(found.classes) == found.removed == 18
    assert found.classes[0] == tally([0.0, -1.0, HOUR]).classes[0]
