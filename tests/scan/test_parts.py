"""The small parts of the scan room: links, pace, tallies."""

import multiprocessing
import time

from hashscan.model import FileDigests, Identity, Stamp
from hashscan.scan.hard_links import LinkTable
from hashscan.scan.messages import Tally
from hashscan.scan.throttle import Pace, Turns

STAMP = Stamp(10, 20, 30)
DIGESTS = FileDigests(sha1=b"s" * 20)


def nothing():
    pass


def test_a_link_is_found_under_its_stamp_only():
    table = LinkTable()
    identity = Identity(1, 2)
    with table.claim(identity, nothing) as place:
        assert place.get(STAMP) is None
        place.put(STAMP, DIGESTS, racy=True)
    with table.claim(identity, nothing) as place:
        assert place.get(STAMP) == (DIGESTS, True)
        assert place.get(Stamp(10, 20, 31)) is None
        place.put(STAMP, FileDigests(b"m" * 16, b"s" * 20, b"t" * 32), racy=False)
        assert place.get(STAMP) == (FileDigests(b"m" * 16, b"s" * 20, b"t" * 32), False)
    table.close()


def test_another_process_waits_and_a_dead_one_lets_go():
    table = LinkTable()
    identity = Identity(1, 2)
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()

    def hold():
        with table.claim(identity, nothing):
            theirs.send(1)
            time.sleep(60)

    process = context.Process(target=hold, daemon=True)
    process.start()
    assert ours.recv() == 1
    waits = []

    def waited():
        waits.append(1)
        if len(waits) == 3:
            process.kill()

    with table.claim(identity, waited):
        assert len(waits) >= 3
    process.join()
    for end in (ours, theirs):
        end.close()
    table.close()


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


def test_tallies_add_up():
    one = Tally(hashed=1, skipped={"fifo": 2}, bytes_hashed=5)
    one.add(Tally(unchanged=3, problems=1, skipped={"fifo": 1, "symlink": 1}))
    assert one.files == 1 + 3 + 1 + 4
    assert one.skipped == {"fifo": 3, "symlink": 1}
