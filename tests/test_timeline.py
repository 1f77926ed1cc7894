"""hashscan.timeline: passed time is counted, whatever the wall clock does."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashscan.timeline import OFF_LIMIT, TOLERANCE, Instant, Timeline, instant

DAY = 86400.0
YEAR = 365 * DAY
START = Instant(1000.0, 1.8e9, "boot-1")


def later(moment, seconds, *, jump=0.0):
    """``seconds`` later, with the wall clock set forward (or back) by ``jump`` meanwhile."""
    return Instant(moment.boottime + seconds, moment.wall + seconds + jump, moment.boot)


def rebooted(moment, claimed, *, boot="boot-2"):
    """Another boot, whose wall clock says that ``claimed`` seconds have passed."""
    return Instant(20.0, moment.wall + claimed, boot)


def test_an_even_clock_is_one_span():
    first = Timeline.begin(START)
    line = first.at(later(START, 10 * DAY)).at(later(START, 90 * DAY))
    assert line.span == first.span
    assert line.age(START.wall, first.span) == pytest.approx(90 * DAY)


def test_the_time_since_the_start_of_another_boot_is_not_taken_for_that_of_this_one():
    first = Timeline.begin(START)
    longer = Instant(START.boottime + 90 * DAY, START.wall + DAY, "boot-2")
    assert first.at(longer).age(START.wall, first.span) == pytest.approx(DAY)


@pytest.mark.parametrize("jump", [20 * YEAR, -20 * YEAR, 3600.0, -3600.0])
def test_a_clock_that_is_set_makes_nothing_older_or_younger(jump):
    first = Timeline.begin(START)
    after = first.at(later(START, 100, jump=jump))
    assert after.span != first.span
    assert after.age(START.wall, first.span) == pytest.approx(100)
    # A time kept after the jump, by the wrong clock, and compared after the clock was set right.
    kept = later(START, 100, jump=jump).wall
    right = after.at(later(START, 100 + 5 * DAY))
    assert right.age(kept, after.span) == pytest.approx(5 * DAY)
    assert right.age(START.wall, first.span) == pytest.approx(5 * DAY + 100)


def test_small_steps_that_add_up_are_a_jump():
    line = Timeline.begin(START)
    moment = START
    for _ in range(10):
        moment = later(moment, 10, jump=TOLERANCE / 3)
        line = line.at(moment)
    assert len(line.spans) > 1
    assert line.counted == pytest.approx(START.wall + 100)


@pytest.mark.parametrize(
    ("claimed", "counts"),
    [(3600.0, 3600.0), (20 * YEAR, OFF_LIMIT), (-20 * YEAR, 0.0), (OFF_LIMIT, OFF_LIMIT)],
)
def test_from_one_boot_to_the_next_the_clock_counts_within_a_bound(claimed, counts):
    first = Timeline.begin(START)
    line = first.at(rebooted(START, claimed))
    assert line.age(START.wall, first.span) == pytest.approx(counts)
    assert (line.span == first.span) == (claimed == counts)


def test_a_clock_that_is_wrong_from_boot_on_still_lets_things_grow_old():
    """A container or a board without any clock: retention works in the end."""
    first = Timeline.begin(START)
    wrong = rebooted(START, -20 * YEAR)
    line = first.at(wrong).at(later(wrong, 91 * DAY))
    assert line.age(START.wall, first.span) == pytest.approx(91 * DAY)


def test_without_a_name_of_the_boot_a_boot_is_taken_for_another_by_its_clock():
    start = START._replace(boot="")
    line = Timeline.begin(start)
    assert line.at(later(start, 50, jump=YEAR)).counted == pytest.approx(start.wall + 50)
    assert line.at(rebooted(start, 30.0, boot="")).counted == pytest.approx(start.wall + 30)


def test_of_an_unknown_span_only_what_was_counted_is_certain():
    line = Timeline.begin(START).at(later(START, 100))
    assert line.age(START.wall - YEAR, "") == pytest.approx(100)
    assert line.age(START.wall + YEAR, "lost") == pytest.approx(100)


def test_times_without_a_span_are_old_when_they_are_so_in_each():
    line = Timeline.begin(START)
    assert line.certainly_before(30 * DAY) == -math.inf
    after = later(START, 31 * DAY)
    line = line.at(after)
    assert line.certainly_before(30 * DAY) == pytest.approx(START.wall + DAY)
    ahead = later(after, 60, jump=20 * YEAR)
    line = line.at(ahead)
    assert line.certainly_before(30 * DAY) == pytest.approx(START.wall + DAY + 60)
    # Once the span before the jump is older than the age, it does not count any more.
    line = line.at(later(ahead, 32 * DAY))
    assert line.certainly_before(30 * DAY) == pytest.approx(ahead.wall + 2 * DAY)


def test_it_is_kept_and_read_again():
    line = Timeline.begin(START).at(later(START, 100, jump=YEAR))
    assert Timeline.parse(line.to_json()) == line
    for raw in (b"", b"{", b"[]", b"null", line.to_json().replace(b'"format": 1', b'"format": 2')):
        assert Timeline.parse(raw) is None
    for name in (b"counted", b"began", b"boottime", b"wall"):
        spoiled = line.to_json().replace(b'"%s": ' % name, b'"%s": NaN, "x": ' % name)
        assert Timeline.parse(spoiled) is None, name
    assert Timeline.parse(Timeline(START, 0.0, 0.0, ()).to_json()) is None


@given(st.binary(max_size=200))
def test_any_bytes_are_a_timeline_or_none(raw):
    Timeline.parse(raw)


def test_it_is_written_again_when_it_matters():
    line = Timeline.begin(START)
    assert not line.at(later(START, 60)).differs(line)
    assert line.at(later(START, 2 * 3600)).differs(line)
    assert line.at(later(START, 1, jump=YEAR)).differs(line)
    assert line.at(rebooted(START, 5.0)).differs(line)


def test_the_clocks_of_this_machine():
    first, second = instant(), instant()
    assert 0 <= second.boottime - first.boottime < 60
    assert second.boot == first.boot
