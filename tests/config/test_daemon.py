"""Schedules that never come are errors with the fix."""

import pytest
from pydantic_core import PydanticCustomError

from hashscan.config.daemon import cron


@pytest.mark.parametrize(
    "never", ["0 0 31 2 *", "0 0 30 feb *", "0 0 31 4,6,9,11 *", "0 0 30,31 2 *", "0 0 30-31 2 */1"]
)
def test_a_schedule_that_never_comes(never):
    with pytest.raises(PydanticCustomError, match="never comes") as raised:
        cron(never)
    assert "30 2 * * *" in raised.value.context["fix"]


@pytest.mark.parametrize(
    "rare", ["0 0 29 2 *", "0 0 31 2 1", "0 0 31 */2 *", "0 0 29-31 2 *", "59 23 31 12 *"]
)
def test_one_that_comes_seldom_is_taken(rare):
    assert cron(rare) == rare
