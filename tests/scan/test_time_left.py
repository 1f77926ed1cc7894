"""The estimate of a scan's remaining time, by a clock of its own."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

import pytest

from hashscan.reporter import Expected, Progress
from hashscan.scan.time_left import Remaining

KIB, MIB = 1 << 10, 1 << 20


@dataclass(frozen=True)
class Costs:
    """Seconds for a file, for hashing one, and for a byte."""

    listed: float
    hashed: float
    byte: float


#: Page cache; SSD; a disk that seeks; a throttle of 10 MiB/s.
CACHE = Costs(15e-6, 60e-6, 0.7e-9)
SSD = Costs(20e-6, 150e-6, 2e-9)
DISK = Costs(100e-6, 8e-3, 7e-9)
THROTTLED = Costs(20e-6, 150e-6, 1 / (10 * MIB))

HASHED, UNCHANGED, SKIPPED = "hashed", "unchanged", "skipped"


def states(files, costs, expected, tick=0.1):
    """A scan's time and state at each tick; bytes grow also while a file is read."""
    now, due = 0.0, tick
    hashed = unchanged = read = number = 0

    def done(more=0):
        return Progress(number, hashed, unchanged, read + more, 0.0, 0, expected)

    for size, kind in files:
        now += costs.listed
        if kind == HASHED:
            now += costs.hashed
            left = float(size)
            while left and now + left * costs.byte > due:
                part = max(0.0, (due - now) / costs.byte)
                left -= part
                now = max(now, due)
                due += tick
                yield now, done(int(size - left))
            now += left * costs.byte
            read, hashed = read + size, hashed + 1
        elif kind == UNCHANGED:
            unchanged += 1
        number += 1
        if now >= due:
            yield now, done()
            due = now + tick
    yield now, done()


def learnt(files, costs, before=None):
    """What a scan of these files learns."""
    clock = [0.0]
    remaining = Remaining(before, clock=lambda: clock[0])
    for clock[0], state in states(files, costs, known(files)):
        remaining.update(state)
    return remaining.costs


def worst(files, costs, expected, start=0.1, tick=0.1, **bounds):
    """The largest factor between an estimate and the truth, from ``start`` of the time on.

    The last second and the last 5 % are left out: there a factor says nothing.
    """
    clock = [0.0]
    remaining = Remaining(expected.costs, clock=lambda: clock[0], **bounds)
    remaining.update(Progress(0, 0, 0, 0, 0.0, 0, expected))
    estimates = []
    for clock[0], state in states(files, costs, expected, tick):
        estimates.append((clock[0], remaining.update(state)))
    whole = clock[0]
    factors = []
    for at, estimate in estimates:
        left = whole - at
        if at >= start * whole and at >= 1 and left >= max(1.0, 0.05 * whole):
            assert estimate is not None, f"no estimate at {at} of {whole}"
            factors.append(max(estimate / left, left / max(estimate, 1e-9)))
    assert factors, whole
    return max(factors)


def known(files):
    """What the catalog knows before a full scan."""
    hashed = [size for size, kind in files if kind == HASHED]
    return Expected(len(files), len(hashed), sum(hashed))


def mixed(seed, number, kind=HASHED):
    """Sizes as they are on a hosting server: most are small, few are large."""
    chance = random.Random(seed)
    return [(int(min(50 * MIB, chance.lognormvariate(9.5, 2))), kind) for _ in range(number)]


@pytest.mark.parametrize("costs", [CACHE, SSD, DISK, THROTTLED])
def test_mixed_files(costs):
    files = mixed(1, 40_000 if costs == CACHE else 10_000)
    assert worst(files, costs, known(files)) < 1.5


SMALL_THEN_LARGE = [(6 * KIB, HASHED)] * 10_000 + [(40 * MIB, HASHED)] * 100


@pytest.mark.parametrize("files", [SMALL_THEN_LARGE, SMALL_THEN_LARGE[::-1]])
@pytest.mark.parametrize("costs", [CACHE, SSD])
def test_small_files_and_then_large_ones(costs, files):
    assert worst(files, costs, known(files)) < 2


# Small files on a disk that seeks do not show what a byte costs there: an earlier scan does.
@pytest.mark.parametrize(
    ("costs", "files"),
    [
        (DISK, SMALL_THEN_LARGE),
        (DISK, SMALL_THEN_LARGE[::-1]),
        (THROTTLED, SMALL_THEN_LARGE[::-1]),
    ],
)
def test_a_scan_begins_with_the_costs_that_the_last_one_learnt(costs, files):
    assert worst(files, costs, known(files)) > 2
    expected = known(files)._replace(costs=learnt(files, costs))
    again = known(files)._replace(costs=learnt(files, costs, expected.costs))
    assert worst(files, costs, again) < 2


def test_a_bound_of_bytes_that_came_after_the_last_scan_counts():
    files = [(100, HASHED)] * 20_000 + [(40 * MIB, HASHED)] * 3
    expected = known(files)._replace(costs=learnt(files, SSD))
    assert worst(files, THROTTLED, expected) > 2
    assert worst(files, THROTTLED, expected, max_rate=10 * MIB) < 1.5


@pytest.mark.parametrize("before", [None, CACHE, SSD])
def test_bytes_within_a_bound_come_before_small_files(before):
    files = [(200 * KIB, HASHED)] * 150 + [(6, HASHED)] * 900
    expected = known(files)
    if before is not None:
        expected = expected._replace(costs=learnt(files * 9, before))
    bounded = Costs(20e-6, 150e-6, 1 / MIB)
    assert worst(files, bounded, expected) > 2
    assert worst(files, bounded, expected, max_rate=MIB) < 1.2


def test_files_within_a_bound_come_before_bytes():
    files = [(100, HASHED)] * 1000 + [(100 * MIB, HASHED)] * 10
    expected = known(files)._replace(costs=learnt(files, SSD))
    bounded = Costs(20e-6, 1 / 50, 2e-9)
    assert worst(files, bounded, expected, max_files=50) < 1.2


@pytest.mark.parametrize(
    "costs", [(), (1.0,), (1.0, 2.0, 0.0), (1.0, 2.0, float("nan")), (1.0, 2.0, 1e300), "abc"]
)
def test_costs_that_no_scan_can_learn_are_not_taken(costs):
    files = mixed(1, 10_000)
    assert worst(files, SSD, known(files)._replace(costs=costs)) < 1.5


def test_a_scan_that_did_nothing_learns_nothing():
    assert Remaining().costs is None


def test_all_unchanged():
    files = mixed(2, 20_000, UNCHANGED)
    expected = Expected(len(files), None, sum(size for size, _ in files))
    assert worst(files, Costs(300e-6, 0, 0), expected) < 1.1


def test_all_changed_since_the_last_scan():
    files = mixed(3, 10_000)
    expected = Expected(len(files), None, sum(size for size, _ in files))
    assert worst(files, SSD, expected) < 1.5


def test_a_full_scan_that_goes_on_passes_by_what_it_hashed_before():
    before, rest = mixed(4, 20_000, UNCHANGED), mixed(5, 8_000)
    files = before + rest
    assert worst(files, SSD, known(files)) < 2


def test_files_that_are_skipped_cost_little():
    files = [(MIB, SKIPPED)] * 20_000 + [(20 * MIB, HASHED)] * 500
    assert worst(files, SSD, known(files)) < 2


def test_bursts():
    files = []
    for number in range(40):
        files += [(10 * KIB, HASHED)] * 500 + [(30 * MIB, HASHED)] * (10 * (number % 2))
    assert worst(files, SSD, known(files)) < 2


def example(seed, number):
    """Files, their costs, and what is expected, drawn at random; long enough to matter."""
    chance = random.Random(seed)
    costs = [10 ** chance.uniform(*bounds) for bounds in ((-5, -3), (-5, -2), (-9.5, -7))]
    kinds = [SKIPPED] * chance.randint(0, 3) + [UNCHANGED] * chance.randint(0, 3)
    kinds += [HASHED] * chance.randint(1, 3)
    sizes = [int(2 ** chance.uniform(0, 22)) for _ in range(chance.randint(1, 4))]
    files = [(chance.choice(sizes), chance.choice(kinds)) for _ in range(number)]
    *_, (seconds, _) = states(files, Costs(*costs), known(files), 1e9)
    scale = max(1.0, 20 / seconds)
    return files, Costs(*(cost * scale for cost in costs)), min(5, max(0.1, seconds / 500))


@pytest.mark.parametrize("seed", range(20))
def test_from_a_tenth_on_the_estimate_is_within_a_factor_of_two(seed):
    files, costs, tick = example(seed, 2000)
    assert worst(files, costs, known(files), tick=tick) < 2


# How many of the rest have changed is known from a sample only: the larger, the better.
@pytest.mark.parametrize("seed", range(4))
def test_nor_is_it_worse_where_only_some_files_have_changed(seed):
    files, costs, tick = example(seed, 10_000)
    expected = Expected(len(files), None, sum(size for size, kind in files if kind != SKIPPED))
    assert worst(files, costs, expected, tick=tick) < 2


def test_nothing_is_promised_without_totals_or_beyond_them():
    clock = [0.0]
    remaining = Remaining(clock=lambda: clock[0])
    state = Progress(500, 500, 0, 10, 0.9, 0, None)
    clock[0] = 5.0
    assert remaining.update(state) is None
    clock[0] = 6.0
    assert remaining.update(replace(state, files=600, expected=Expected(550, 550, 5))) is None


def test_nothing_is_promised_before_anything_is_done():
    clock = [0.0]
    remaining = Remaining(clock=lambda: clock[0])
    state = Progress(0, 0, 0, 0, 0.0, 0, Expected(550, 550, 5))
    for clock[0] in range(20):
        assert remaining.update(state) is None


def test_time_in_which_the_process_was_stopped_does_not_count():
    clock = [0.0]
    remaining = Remaining(clock=lambda: clock[0])
    expected = Expected(1000, 1000, 1000 * MIB)
    for number in range(1, 301):
        clock[0] += 0.1
        state = Progress(number, number, 0, number * MIB, 0.0, 0, expected)
        estimate = remaining.update(state)
    assert estimate == pytest.approx(70, rel=0.05)
    clock[0] += 3600
    for number in range(301, 311):
        clock[0] += 0.1
        state = Progress(number, number, 0, number * MIB, 0.0, 0, expected)
        estimate = remaining.update(state)
    assert estimate < 140
