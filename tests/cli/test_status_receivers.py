"""The receivers of notifications in ``status``."""

import time

from hashscan.cli.status_receivers import receiver_lines
from hashscan.notify.receiver_state import ReceiverState


def test_those_with_trouble_come_first_and_the_others_are_counted():
    well = [ReceiverState(f"a{number}", sent=1) for number in range(5)]
    ill = ReceiverState("z", trouble="no answer", events=3)
    refused = ReceiverState("y", refused=1, refused_why="no such user")
    lines = receiver_lines([*well, refused, ill], 5, alive=True)
    assert [line.split()[1] for line in lines] == ["y:", "z:", "a0:", "a1:", "a2:", "and"]
    assert lines[-1] == "  notify      and 2 more: 'hashscan status --json'"


def test_a_time_for_the_next_attempt_is_named_only_if_a_daemon_makes_it():
    one = ReceiverState("z", trouble="no answer", events=3, next_try=time.time() + 300)
    (running,) = receiver_lines([one], 5, alive=True)
    (stopped,) = receiver_lines([one], 5, alive=False)
    assert running.endswith("no answer; sent again in 5 min")
    assert stopped.endswith("no answer; the daemon, or the next scan, sends them again")
