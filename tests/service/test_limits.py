"""Token buckets."""

from hashscan.service.limits import Limiter


def test_the_bucket():
    now = 0.0
    limiter = Limiter(2.0, 3.0, lambda: now)
    assert [limiter.wait("a") for _ in range(4)] == [0, 0, 0, 0.5]
    assert limiter.wait("b") == 0
    now = 0.5
    assert [limiter.wait("a"), limiter.wait("a")] == [0, 0.5]
    now = 100.0
    assert [limiter.wait("a") for _ in range(4)] == [0, 0, 0, 0.5]
    for number in range(30_000):
        limiter.wait(number)
    assert len(limiter._buckets) <= 10_000


def test_a_look_takes_no_token():
    now = 0.0
    limiter = Limiter(0.5, 1.0, lambda: now)
    assert [limiter.empty("a"), limiter.empty("a"), limiter.wait("a")] == [0, 0, 0]
    assert [limiter.empty("a"), limiter.empty("b")] == [2.0, 0]
    now = 1.0
    assert limiter.empty("a") == 1.0


def test_the_oldest_buckets_in_use_make_room(monkeypatch):
    monkeypatch.setattr("hashscan.service.limits._KEPT", 4)
    now = 0.0
    limiter = Limiter(0.001, 1.0, lambda: now)
    for key in "abcd":
        assert limiter.wait(key) == 0
        now += 1.0
    assert limiter.wait("e") == 0  # all in use: the two oldest are dropped
    assert [limiter.empty(key) > 0 for key in "abcde"] == [False, False, True, True, True]
