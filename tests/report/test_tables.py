"""Numbers in the report's tables, as people read them."""

import pytest

from hashscan.report.tables import NO_DATA, age, count, hours, share


@pytest.mark.parametrize(
    ("one", "text"),
    [
        (share(1.0), "100 %"),
        (share(0.99999), "over 99.9 %"),
        (share(0.00001), "under 0.1 %"),
        (share(0.0), "0 %"),
        (share(0.8437), "84.4 %"),
        (share(None), NO_DATA),
        (hours(1234.56), "1,234.6 h"),
        (age(0.25), "0.2 s"),
        (age(90.0), "90 s"),
        (count(1234), "1,234"),
    ],
)
def test_numbers_for_people(one, text):
    assert one.human() == text
