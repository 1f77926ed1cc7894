"""hashscan.scan.throttle: the pace of a scan, by a clock that the test sets."""

import pytest

from hashscan.scan.throttle import Pace, Turns


class Time:
    def __init__(self):
        self.now = 0.0

    def clock(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


def test_pace_keeps_the_rate():
    time_ = Time()
    pace = Pace(1000, None, clock=time_.clock, sleep=time_.sleep)
    for _ in range(20):
        pace(500)
    assert 9.0 <= time_.now <= 10.5


def test_a_rate_holds_for_all_that_share_it():
    time_ = Time()
    turns = Turns()
    one, other = (
        Pace(1000, None, turns=turns, max_files=5, clock=time_.clock, sleep=time_.sleep)
        for _ in range(2)
    )
    for _ in range(10):
        one(500)
        other(500)
    assert 9.0 <= time_.now <= 10.5
    before = time_.now
    for _ in range(10):
        one.file()
        other.file()
    assert 3.5 <= time_.now - before <= 4.5


def test_pace_pauses_under_pressure_and_shows_life_but_not_for_ever():
    time_ = Time()
    alive = []
    pace = Pace(
        None,
        0.2,
        alive=lambda: alive.append(1),
        pressure=lambda: 0.5,
        clock=time_.clock,
        sleep=time_.sleep,
    )
    pace(1)
    assert time_.now == 0, "what takes less than a second is not worth a pause"
    time_.now = 1.0
    pace(1)
    assert 5.5 <= time_.now <= 7
    assert len(alive) == 5
    before = time_.now
    pace(1)
    assert time_.now == before, "then a little work is done"


def test_pace_keeps_the_rate_of_files():
    time_ = Time()
    pace = Pace(None, None, max_files=10, clock=time_.clock, sleep=time_.sleep)
    for _ in range(100):
        pace.file()
    assert 9.0 <= time_.now <= 10.5


def test_pace_looks_at_the_pressure_for_small_files_too():
    time_ = Time()
    pace = Pace(None, 0.2, pressure=lambda: 0.5, clock=time_.clock, sleep=time_.sleep)
    time_.now = 1.0
    pace.file()
    assert 5.5 <= time_.now <= 7


def test_a_pressure_at_the_bound_is_not_above_it():
    time_ = Time()
    pace = Pace(None, 0.5, pressure=lambda: 0.5, clock=time_.clock, sleep=time_.sleep)
    time_.now = 1.0
    pace.file()
    assert time_.now == 1.0


@pytest.mark.parametrize(
    ("max_rate", "pause_above", "max_files", "is_bounded"),
    [
        (None, None, None, False),
        (1, None, None, True),
        (None, 0, None, True),
        (None, None, 1, True),
    ],
)
def test_one_bound_is_enough_to_slow_a_scan_down(max_rate, pause_above, max_files, is_bounded):
    pace = Pace(max_rate, pause_above, max_files=max_files, pressure=lambda: 0.0)
    assert pace.bounds is is_bounded


def test_a_long_wait_is_as_long_as_the_bound_asks_and_shows_life_once_a_second():
    time_, signs = Time(), []
    pace = Pace(
        1000, None, clock=time_.clock, sleep=time_.sleep, alive=lambda: signs.append(time_.now)
    )
    pace(2500)
    assert time_.now == 2.5
    assert signs == [1.0, 2.0, 2.5]
