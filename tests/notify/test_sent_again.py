"""When a message that was not accepted is sent again."""

import pytest

from hashscan.notify.dispatch import pause
from hashscan.notify.notifier import NotSentError, SendFault


@pytest.mark.parametrize(
    ("asked", "least"), [(None, 24.0), (5.0, 24.0), (600.0, 600.0), (1e9, 3600.0)]
)
def test_a_message_is_not_sent_again_before_the_time_that_the_receiver_asks_for(asked, least):
    waits = [pause(NotSentError(SendFault.LATER, "busy", wait=asked), 0) for _ in range(200)]
    assert min(waits) >= least
    assert max(waits) <= 1.2 * max(30.0, least)
