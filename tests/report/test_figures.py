"""The figures of the volumes in a report."""

import pytest
from sample_report import BEGIN, DAY, empty

from hashscan.report.figures import Watched


def volumes(*wholes):
    return empty(volumes=tuple(Watched(str(one), one is None, one) for one in wholes))


def test_the_share_of_watched_volumes():
    assert volumes(None, BEGIN, None, BEGIN).watched == 0.5
    assert volumes(BEGIN).watched == 0.0
    assert volumes().watched is None


@pytest.mark.parametrize(
    ("wholes", "scanned"),
    [
        ([BEGIN], 1.0),
        ([BEGIN - 1], 0.0),
        ([None], 0.0),
        ([BEGIN + 90 * DAY, BEGIN - 1, None, BEGIN], 0.5),
        ([], None),
    ],
)
def test_the_share_of_wholly_scanned_volumes(wholes, scanned):
    assert volumes(*wholes).wholly_scanned == scanned


@pytest.mark.parametrize(
    ("wholes", "age"),
    [
        ([BEGIN], 60 * DAY),
        ([BEGIN + DAY, BEGIN + 2 * DAY], 59 * DAY),
        ([BEGIN, None], None),
        ([0.0], BEGIN + 60 * DAY),
        ([], None),
    ],
)
def test_the_age_of_the_oldest_whole_scan(wholes, age):
    assert volumes(*wholes).oldest_whole == age
