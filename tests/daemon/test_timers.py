"""hashscan.daemon.timers: by the clock, whatever the clock does."""

import os
import time
from datetime import datetime, timedelta

import pytest

from hashscan.daemon.timers import Cron, Every


class Clock:
    def __init__(self, now):
        self.now = now

    def __call__(self):
        return self.now


@pytest.fixture
def zone():
    before = os.environ.get("TZ")
    os.environ["TZ"] = "Europe/Amsterdam"
    time.tzset()
    yield
    os.environ.pop("TZ")
    if before is not None:
        os.environ["TZ"] = before
    time.tzset()


def at(*parts):
    return datetime(*parts).astimezone().timestamp()


def runs(cron, clock, until, step=60):
    found = []
    while clock.now < until:
        if cron.due():
            found.append(datetime.fromtimestamp(clock.now).strftime("%m-%d %H:%M"))
        clock.now += step
    return found


def test_each_night_once(zone):
    clock = Clock(at(2026, 5, 1, 12, 0))
    cron = Cron("30 2 * * *", clock=clock)
    assert runs(cron, clock, clock.now + 3 * 86400) == ["05-02 02:30", "05-03 02:30", "05-04 02:30"]


@pytest.mark.parametrize("day", [(2026, 3, 28), (2026, 10, 24)])
def test_across_a_change_of_summer_time_once_a_night(zone, day):
    clock = Clock(at(*day, 12, 0))
    cron = Cron("30 2 * * *", clock=clock)
    end = (datetime(*day) + timedelta(days=3)).astimezone().timestamp()
    found = runs(cron, clock, end)
    assert len(found) == 2
    assert len({one[:5] for one in found}) == 2


def test_what_was_missed_while_the_machine_slept_runs_once(zone):
    clock = Clock(at(2026, 5, 1, 12, 0))
    cron = Cron("0 * * * *", clock=clock)
    clock.now = at(2026, 5, 2, 12, 30)
    assert cron.due()
    assert not cron.due()
    assert cron.next == at(2026, 5, 2, 13, 0)


def test_a_clock_that_is_set_back_puts_it_off_by_no_more_than_the_interval(zone):
    clock = Clock(at(2026, 5, 10, 12, 0))
    cron = Cron("30 2 * * *", clock=clock)
    clock.now = at(2026, 5, 1, 12, 0)
    assert not cron.due()
    assert cron.next == at(2026, 5, 2, 2, 30)
    every = Every(3600, clock=clock, jitter=lambda a, b: 1)
    clock.now -= 30 * 86400
    assert every.due(), "the clock tells nothing"
    clock.now -= 600
    assert not every.due(), "within the tolerance of an interval"
    clock.now -= 200
    assert every.due()


def test_never():
    assert Cron(None).next is None
    assert not Cron(None).due()
    assert Cron("0 0 30 2 *").next is None
    assert not Every(None).due()
    assert Cron(None).interval is None
    assert Cron("0 0 30 2 *").interval is None


def test_the_seconds_between_two_times(zone):
    clock = Clock(at(2026, 5, 1, 12, 0))
    assert Cron("30 2 * * *", clock=clock).interval == 86400
    assert Cron("*/15 * * * *", clock=clock).interval == 900
    clock.now = at(2026, 10, 24, 12, 0)
    assert Cron("30 2 * * *", clock=clock).interval == 25 * 3600, "from the 25th to the 26th"


def test_failures_come_again_sooner_and_each_time_later():
    clock = Clock(1000.0)
    every = Every(3600, at_once=True, clock=clock, jitter=lambda a, b: 1)
    assert every.due()
    waits = [every.failed() for _ in range(8)]
    assert waits[:4] == [60, 120, 240, 480]
    assert waits[-1] == 3600
    assert every.failed(7200) == 7200, "the other side's word"
    for _ in range(71):
        clock.now += 100
        assert not every.due(), "it is kept, though it is longer than the interval"
    clock.now += 101
    assert every.due()
    assert not every.due()
    every.succeeded()
    assert every.failed() == 60
    clock.now += 61
    assert every.due()
    assert not every.due()
