"""hashscan.daemon.session_scan: when worker processes get directories."""

import math

import pytest

from hashscan.daemon.session_scan import Walk


@pytest.mark.parametrize(
    ("hold", "last_turn", "handed"),
    [
        (True, math.inf, [{"urgent": True}]),
        (True, 0.0, [{}]),
        (False, math.inf, [{}]),
    ],
)
def test_a_held_scan_hands_out_only_what_was_begun_until_its_turn(hold, last_turn, handed):
    class Hands:
        def __init__(self):
            self.options = []

        def hand_out(self, pool, **options):
            assert pool == "pool"
            self.options.append(options)

    walk = object.__new__(Walk)
    walk.pool, walk._dispatch, walk._last_turn = "pool", Hands(), last_turn
    walk.hand_out(hold=hold)
    assert walk._dispatch.options == handed
    assert (walk._last_turn == last_turn) is ("urgent" in handed[0])
