"""The circuit breaker, with a clock of the test's own: nothing else can be waited for quickly."""

import threading

import pytest

from hashscan.known.confirmers.circuit_breaker import LONGEST_PAUSE, CircuitBreaker


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def make(clock, **options):
    options = {"threshold": 3, "first": 4.0, "longest": 10.0, **options}
    return CircuitBreaker(clock=clock, jitter=lambda low, high: high, **options)


def fail(breaker, times=3):
    for _ in range(times):
        assert breaker.admit() == (0.0, False)
        breaker.failed()


def test_opens_after_failures_in_a_row_only(clock):
    breaker = make(clock)
    fail(breaker, 2)
    breaker.succeeded()
    fail(breaker, 2)
    assert breaker.admit() == (0.0, False)
    breaker.failed()
    assert breaker.admit() == (4.0, True)
    assert breaker.look() == (4.0, True)


def test_half_open_lets_one_through_and_closes_on_success(clock):
    breaker = make(clock)
    fail(breaker)
    clock.now += 3.9
    assert breaker.admit().wait == pytest.approx(0.1)
    clock.now += 0.2
    assert breaker.admit() == (0.0, False)
    assert breaker.admit() == (4.0, True)
    breaker.succeeded()
    assert breaker.admit() == (0.0, False)
    assert breaker.admit() == (0.0, False)


def test_each_opening_is_longer_up_to_the_bound_and_success_forgets(clock):
    breaker = make(clock)
    fail(breaker)
    seen = []
    for _ in range(2000):
        wait = breaker.admit().wait
        seen.append(wait)
        clock.now += wait
        assert breaker.admit() == (0.0, False)
        breaker.failed()
    assert seen[:4] == pytest.approx([4.0, 8.0, 10.0, 10.0])
    assert max(seen) <= 10.001
    clock.now += 11
    breaker.admit()
    breaker.succeeded()
    fail(breaker)
    assert breaker.admit().wait == pytest.approx(4.0)


def test_jitter_is_between_half_and_whole(clock):
    waits = set()
    for _ in range(50):
        breaker = CircuitBreaker(threshold=1, first=4.0, clock=clock)
        breaker.failed()
        waits.add(breaker.admit().wait)
    assert len(waits) > 10
    assert all(2.0 <= wait <= 4.0 for wait in waits)


def test_failures_of_those_under_way_do_not_prolong_it(clock):
    breaker = make(clock)
    fail(breaker)
    clock.now += 1
    breaker.failed()
    breaker.failed()
    assert breaker.admit().wait == pytest.approx(3.0)


def test_an_abandoned_trial_is_given_to_the_next(clock):
    breaker = make(clock)
    fail(breaker)
    clock.now += 5
    assert breaker.admit() == (0.0, False)
    assert breaker.admit().open
    breaker.abandoned()
    assert breaker.admit() == (0.0, False)


def test_a_pause_holds_everybody_and_is_bounded(clock):
    breaker = make(clock)
    breaker.pause(2.0)
    breaker.pause(1.0)
    assert breaker.admit() == (2.0, False)
    breaker.succeeded()
    assert breaker.admit() == (2.0, False)
    breaker.pause(1e12)
    assert breaker.admit().wait == LONGEST_PAUSE
    clock.now += LONGEST_PAUSE
    assert breaker.admit() == (0.0, False)


def test_a_pause_outlasts_a_shorter_opening(clock):
    breaker = make(clock)
    fail(breaker)
    breaker.pause(7.0)
    clock.now += 5
    assert breaker.admit() == (2.0, True)


def test_of_many_threads_one_tries(clock):
    breaker = make(clock)
    fail(breaker)
    clock.now += 5
    barrier = threading.Barrier(8)
    admitted = []

    def run():
        barrier.wait()
        if breaker.admit().wait == 0:
            admitted.append(1)

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(admitted) == 1


def test_a_look_at_what_is_over_says_that_nobody_waits(clock):
    breaker = make(clock)
    assert breaker.look() == (0.0, False)
    breaker.pause(5.0)
    assert breaker.look() == (5.0, False)
    fail_at = clock.now = clock.now + 6
    assert breaker.look() == (0.0, False)
    fail(breaker)
    assert breaker.look() == (4.0, True)
    clock.now = fail_at + 5
    assert breaker.look() == (0.0, True)
