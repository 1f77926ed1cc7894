"""hashscan.quarantine.hold_types: the ids of holds."""

import pytest

from hashscan.errors import UsageError
from hashscan.quarantine.hold_types import number_of


@pytest.mark.parametrize("identifier", ["H", "", "H1234567890", "X7", "H7a", "H\u0667"])
def test_what_is_no_id_of_a_hold(identifier):
    with pytest.raises(UsageError, match="is not an id of a hold"):
        number_of(identifier)


@pytest.mark.parametrize(
    ("identifier", "number"), [("H7", 7), ("h12", 12), ("7", 7), ("H123456789", 123_456_789)]
)
def test_the_number_of_an_id(identifier, number):
    assert number_of(identifier) == number
