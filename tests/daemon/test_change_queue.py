"""hashscan.daemon.change_queue: bursts coalesce, nothing waits for ever, nothing grows for ever."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashscan.daemon import change_queue as changes
from hashscan.daemon.change_queue import (
    LONGEST_QUIET,
    QUIET,
    Changes,
    Due,
    Key,
)

HERE = Key(0, b"a/b")


def names(found):
    return sorted(name for due in found for name in due.names)


def test_a_burst_on_one_name_is_one_look_after_a_quiet_moment():
    waiting = Changes()
    for tick in range(5):
        assert waiting.add(HERE, b"x", tick * 0.1)
    assert len(waiting) == 1
    assert waiting.take(0.4 + QUIET - 0.01, 100) == []
    assert waiting.take(0.4 + QUIET, 100) == [Due(HERE, [b"x"], final=False)]
    assert waiting.take(10, 100) == []
    assert len(waiting) == 0


def test_the_oldest_change_that_waits():
    waiting = Changes()
    assert waiting.oldest() is None
    waiting.add(HERE, b"x", 1.0)
    waiting.add(Key(0, b"other"), b"y", 2.0)
    waiting.add(HERE, b"x", 2.0)
    assert waiting.oldest() == 1.0
    assert names(waiting.take(1.0 + LONGEST_QUIET, 1)) == [b"x"]
    waiting.add(HERE, b"x", 3.0)
    assert waiting.oldest() == 2.0, "the directory came again, behind the other one"
    waiting.not_whole(HERE, b"z", 0, 0.0)
    waiting.forget_volume(0)
    assert waiting.oldest() is None
    waiting.not_whole(HERE, b"z", 0, 0.0)
    assert waiting.oldest() is None, "it waits for its writer"


def test_a_directory_that_never_rests_is_looked_at_all_the_same():
    waiting = Changes()
    now, looked = 0.0, []
    while now < 10:
        waiting.add(HERE, b"%f" % now, now)
        looked += [now] * bool(waiting.take(now, 100))
        now += 0.1
    assert len(looked) >= 8
    assert all(b - a <= LONGEST_QUIET + 0.21 for a, b in zip([0.0, *looked], looked, strict=False))


def looks(queue, until, size):
    """The times at which ``HERE``/x is due until it is due as it is, and that time (or None).

    ``size``: of the file, by the time in seconds. It is never whole.
    """
    found = []
    for quarter in range(1, 4 * until + 1):
        now = quarter / 4
        for due in queue.take(now, 100):
            if due.final:
                return found, now
            found.append(now)
            assert queue.not_whole(HERE, b"x", size(now), now)
    return found, None


# The literal times are the promise: 60 seconds, and one more for each 10 MiB.


def test_a_file_that_is_not_whole_comes_back_and_is_hashed_at_a_bound():
    waiting = Changes()
    assert waiting.not_whole(HERE, b"x", 1000, 0.0)
    before, final = looks(waiting, 120, lambda _now: 1000)
    assert final is not None
    assert 60 <= final <= 66
    assert 10 <= len(before) < 25
    waiting.rested(HERE, [b"x"])
    assert len(waiting) == 0


@pytest.mark.parametrize(
    ("mib", "seconds"), [(0, 60), (10, 61), (600, 120), (10 << 20, 60 + (1 << 20))]
)
def test_the_bound_grows_by_a_second_for_each_10_mib(mib, seconds):
    waiting = Changes()
    assert waiting.not_whole(HERE, b"x", mib << 20, 0.0)
    assert waiting.take(0.25, 100) == []
    for now, final in ((seconds - 0.5, False), (seconds, True)):
        waiting.add(HERE, b"x", now - 5)
        assert waiting.take(now, 100)[0] == Due(HERE, [b"x"], final=final)


def test_a_file_that_grows_by_20_mib_a_second_is_hashed_as_it_is():
    waiting = Changes()
    assert waiting.not_whole(HERE, b"x", 0, 0.0)
    _, final = looks(waiting, 120, lambda now: int(20 * (1 << 20) * now))
    assert final is not None, "its size at first sets the bound"
    assert 60 <= final <= 66


def test_changes_while_it_is_not_whole_do_not_put_the_bound_off():
    waiting = Changes()
    waiting.not_whole(HERE, b"x", 10, 0.0)
    now, final = 0.0, []
    while now < 75:
        now += 0.5
        waiting.add(HERE, b"x", now)
        for due in waiting.take(now, 100):
            final += [now] * due.final
            waiting.not_whole(HERE, b"x", 10, now)
    assert final
    assert 60 <= final[0] <= 66


def test_both_are_bounded(monkeypatch):
    monkeypatch.setattr(changes, "MOST_NAMES", 10)
    monkeypatch.setattr(changes, "MOST_UNRESTED", 3)
    waiting = Changes()
    assert all(waiting.add(HERE, b"%d" % number, 0.0) for number in range(10))
    assert not waiting.add(HERE, b"one more", 0.0)
    assert all(waiting.not_whole(HERE, b"%d" % number, 1, 0.0) for number in range(3))
    assert not waiting.not_whole(HERE, b"one more", 1, 0.0)
    waiting.forget_volume(0)
    assert len(waiting) == 0
    assert waiting.add(HERE, b"x", 0.0)


def test_large_directories_are_split():
    waiting = Changes()
    for number in range(1000):
        waiting.add(HERE, b"%04d" % number, 0.0)
    found = waiting.take(5.0, 10)
    assert all(len(due.names) <= changes.BATCH for due in found)
    assert len(names(found)) == 1000


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["add", "not_whole", "rested", "take", "forget"]),
            st.integers(0, 2),
            st.sampled_from([b"a", b"b", b"c"]),
            st.floats(0, 3),
        ),
        max_size=60,
    )
)
def test_nothing_is_forgotten(steps):
    waiting, now, expected = Changes(), 0.0, set()
    for what, volume, name, after in steps:
        now += after
        key = Key(volume, b"d")
        if what == "add":
            waiting.add(key, name, now)
            expected.add((key, name))
        elif what == "not_whole":
            waiting.not_whole(key, name, 1, now)
            expected.add((key, name))
        elif what == "rested":
            waiting.rested(key, [name])
        elif what == "forget":
            waiting.forget_volume(volume)
            expected = {one for one in expected if one[0].volume != volume}
        else:
            for due in waiting.take(now, 100):
                expected -= {(due.key, one) for one in due.names}
    seen = set()
    for later in range(1, 30):
        for due in waiting.take(now + later * 5, 1000):
            seen |= {(due.key, one) for one in due.names}
    # What rested was looked at; all else that was not taken yet comes.
    rested = {(Key(v, b"d"), n) for what, v, n, _ in steps if what == "rested"}
    assert expected - rested <= seen


def test_thousands_of_open_files_in_one_directory_are_looked_at_with_little_work():
    changes = Changes()
    names = [b"%d" % number for number in range(20_000)]
    for name in names:
        assert changes.not_whole(HERE, name, 1, 0.0)
    assert len(changes._heap) < 10, "one turn for the directory, not one for each file"
    looked = 0
    now = 0.0
    for _ in range(400):
        now += 0.25
        for due in changes.take(now, 2048):
            assert len(due.names) <= 256
            looked += len(due.names)
            for name in due.names:
                assert changes.not_whole(HERE, name, 1, now)
    assert len(changes._heap) < 500
    assert looked < 20 * len(names), "the more wait, the less often each is looked at"
    assert looked >= 4 * len(names)
    changes.rested(HERE, names)
    assert len(changes) == 0


def test_a_file_that_is_still_open_after_its_bound_is_looked_at_later_and_later():
    changes = Changes()
    now, times = 0.0, []
    changes.look_later(HERE, b"x", 0, now)
    while len(times) < 14:
        now = changes.next_due()
        for due in changes.take(now, 10):
            assert due.final
            times.append(now)
            changes.look_later(HERE, b"x", 0, now)
    pauses = [late - early for early, late in itertools.pairwise(times)]
    assert pauses == sorted(pauses)
    assert pauses[0] <= 11
    assert 3599 <= pauses[-1] <= 3601
    changes.rested(HERE, [b"x"])
    assert len(changes) == 0


def test_the_volume_of_which_most_waits_is_the_one_to_be_scanned(monkeypatch):
    monkeypatch.setattr(changes, "MOST_NAMES", 10)
    queue = Changes()
    for number in range(8):
        assert queue.add(Key(1, b"d%d" % (number % 2)), b"%d" % number, 0.0)
    for number in range(2):
        assert queue.add(Key(0, b"d"), b"%d" % number, 0.0)
    assert not queue.add(Key(0, b"d"), b"x", 0.0)
    assert queue.most_crowded() == 1
    queue.forget_volume(1)
    assert queue.add(Key(0, b"d"), b"x", 0.0)
