"""Values from one round over notices to the next: waits that a clock cannot make endless."""

import pytest

from hashscan.jobs.notices.round_result import LONGEST_RETRY, Memory, Round, is_waiting


@pytest.mark.parametrize(
    ("until", "waiting"),
    [
        (1000.0, False),
        (999.0, False),
        (1000.1, True),
        (1000.0 + LONGEST_RETRY, True),
        (1000.1 + LONGEST_RETRY, False),  # the clock was set back
    ],
)
def test_a_wait_has_an_end(until, waiting):
    assert is_waiting(until, 1000.0, LONGEST_RETRY) == waiting


def test_a_memory_begins_with_the_first_item_and_shares_nothing():
    one, other = Memory(), Memory()
    one.done[1] = one.left_out[1] = one.copies[1] = one.settled_after["removed"] = 1
    assert (other.done, other.left_out, other.copies, other.settled_after) == ({}, {}, {}, {})
    assert (other.after, other.searched, other.recovered) == (0, 0.0, False)


def test_the_lines_of_a_round():
    one, other = Round(Memory()), Round(Memory())
    one.say("a file was moved")
    assert one.lines == [("info", "a file was moved")]
    assert (other.lines, other.events) == ([], [])
