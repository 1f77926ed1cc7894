"""``brakes`` in the configuration: what is taken or refused."""

import pytest
from pydantic import ValidationError

from hashscan.config.settings import Settings


@pytest.mark.parametrize(
    "given",
    [
        {"owners": 0},
        {"owners": True},
        {"files": "5"},
        {"per_hour": 1_000_000_001},
        {"share_from": "none"},
    ],
)
def test_a_value_that_is_refused(given):
    with pytest.raises(ValidationError, match="must be a whole number, at least 1"):
        Settings.of(brakes=given)


@pytest.mark.parametrize(
    ("name", "given", "taken"),
    [("owners", 1, 1), ("new_candidates", "none", None), ("files", 10**9, 10**9)],
)
def test_a_value_that_is_taken(name, given, taken):
    assert getattr(Settings.of(brakes={name: given}).brakes, name) == taken


def test_what_the_section_is_without_values():
    brakes = Settings.of().brakes
    assert (brakes.owners, brakes.files, brakes.window, brakes.per_hour) == (5, 100, 604800.0, 500)
    assert (brakes.share, brakes.share_from, brakes.new_candidates) == (0.05, 200, 100)
