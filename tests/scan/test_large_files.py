"""Large files and whole trees that changed are looked at apart: none holds small files up."""

from types import SimpleNamespace

import pytest
from handing_out import Pool

from hashscan.catalog.rows import QueuedDirectory
from hashscan.catalog.store import Catalog
from hashscan.fs.volume import Volume
from hashscan.scan import large_files as module
from hashscan.scan.directory_group import DirectoryGroup
from hashscan.scan.directory_queue import WaitingDirectories
from hashscan.scan.dispatch import Dispatch
from hashscan.scan.large_files import LargeFiles
from hashscan.scan.messages import Findings


@pytest.fixture
def make(state):
    state.mkdir()
    catalog = Catalog(str(state / "catalog"))
    scan = catalog.begin_watch()
    looked, crowded = [], []

    def dispatch(jobs):
        one = Dispatch(
            catalog,
            None,
            [Volume(b"/v"), Volume(b"/w")],
            scan=scan,
            judged=1,
            jobs=jobs,
            on_candidate=lambda: None,
            once=False,
            on_checked=lambda told: looked.append((told.names, told.unrested)),
            on_too_many=crowded.append,
        )
        one.crowded = crowded
        one.told = looked
        one.pool = Pool(jobs)
        return one

    yield dispatch
    catalog.close()


HERE = QueuedDirectory(7, b"d", False)


def look(dispatch, *names, final=False):
    dispatch.look(0, HERE, names, final=final)


def hand_out(dispatch):
    """What each process has after that: names, or a directory's path."""
    dispatch.hand_out(dispatch.pool)
    return sorted(
        name if task.names else task.path
        for worker in dispatch.pool.workers
        for task in worker.tasks
        for name, _ in task.names or ((b"", 0),)
    )


def done(dispatch, name, **findings):
    """The process that has ``name``, or the directory of that path, is through with it."""
    for worker in dispatch.pool.workers:
        for task in worker.tasks:
            if name == task.path or name in [one for one, _ in task.names or ()]:
                dispatch.heard(worker, [Findings(task.group, done=True, **findings)])
                return
    raise AssertionError(name)


def hand_back(dispatch, *names, final=False):
    """Those are found to be large by a process that is idle now."""
    for name in names:
        look(dispatch, name, final=final)
        hand_out(dispatch)
        done(dispatch, name, large=[name])


def test_one_process_is_kept_for_small_files(make):
    dispatch = make(3)
    hand_back(dispatch, b"L1", b"L2", b"L3")
    assert hand_out(dispatch) == [b"L1", b"L2"], "the last is kept, though nothing waits"
    look(dispatch, b"s0")
    assert hand_out(dispatch) == [b"L1", b"L2", b"s0"]
    look(dispatch, b"s1")
    done(dispatch, b"L1")
    assert hand_out(dispatch) == [b"L2", b"s0", b"s1"], "one is at a large one all the time"
    done(dispatch, b"L2")
    look(dispatch, b"s2")
    assert hand_out(dispatch) == [b"L3", b"s0", b"s1"], "also while small ones wait"


def test_trees_that_are_moved_in_leave_one_process_for_small_files_too(make):
    dispatch = make(2)
    for number in range(300):
        dispatch.push(0, QueuedDirectory(100 + number, b"t%d" % number, True))
    assert len(hand_out(dispatch)) == 1
    assert dispatch.pool.idle_told == 0, "nothing is to be given away that nobody would take"
    assert dispatch.ahead == 0, "and changes are still taken"
    look(dispatch, b"s0")
    assert b"s0" in hand_out(dispatch)
    first = next(path for path in hand_out(dispatch) if path.startswith(b"t"))
    done(dispatch, first)
    look(dispatch, b"s1")
    done(dispatch, b"s0")
    now = hand_out(dispatch)
    assert b"s1" in now
    assert len(now) == 2


def test_a_single_process_takes_a_large_one_when_nothing_waits_or_after_a_while(make, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    dispatch = make(1)
    look(dispatch, b"L1", b"L2")
    look(dispatch, b"s0")
    hand_out(dispatch)
    done(dispatch, b"L1", large=[b"L1", b"L2"])
    assert hand_out(dispatch) == [b"s0"]
    done(dispatch, b"s0")
    assert hand_out(dispatch) == [b"L1"]
    look(dispatch, b"s1")
    done(dispatch, b"L1")
    assert hand_out(dispatch) == [b"s1"]
    done(dispatch, b"s1")
    look(dispatch, b"s2")
    now[0] += module._LARGE_WAITS + 1
    assert hand_out(dispatch) == [b"L2"]


def test_a_large_file_that_changes_again_waits_once(make):
    dispatch = make(2)
    hand_back(dispatch, b"first")
    assert hand_out(dispatch) == [b"first"]
    for _ in range(5):
        hand_back(dispatch, b"L")
    assert len(dispatch._large) == 1, "however often it changes"
    hand_back(dispatch, b"M", final=True)
    finals = {group.names[0][0]: group.final for group in dispatch._large.groups()}
    assert finals == {b"L": False, b"M": True}
    hand_back(dispatch, b"L", final=True)
    assert all(group.final for group in dispatch._large.groups())
    assert dispatch.held() == {7}


def test_a_file_that_is_handed_back_is_not_taken_for_looked_at(make):
    dispatch = make(2)
    look(dispatch, b"small", b"L")
    hand_out(dispatch)
    done(dispatch, b"L", large=[b"L"])
    assert dispatch.told == [([b"small"], [])]
    hand_out(dispatch)
    done(dispatch, b"L", unrested=[(b"L", 99)])
    assert dispatch.told[1:] == [([b"L"], [(b"L", 99)])]
    assert not dispatch


def test_who_fills_the_queue_of_large_files_has_no_volume_of_others_scanned(make, monkeypatch):
    monkeypatch.setattr(module, "_MOST_LARGE", 4)
    dispatch = make(2)
    for number in range(8):
        place = QueuedDirectory(10 + number, b"d%d" % number, False)
        dispatch.look(0, place, [b"f"], final=False)
    dispatch.look(1, QueuedDirectory(20, b"other", False), [b"f"], final=False)
    for _ in range(20):
        dispatch.hand_out(dispatch.pool)
        for worker in dispatch.pool.workers:
            for task in [one for one in worker.tasks if not one.large]:
                dispatch.heard(worker, [Findings(task.group, done=True, large=[b"f"])])
    assert dispatch.crowded
    assert set(dispatch.crowded) == {0}
    waiting = [*dispatch._large.groups(), *dispatch._groups.values()]
    assert any(group.waiting.volume == 1 and group.large for group in waiting)


def test_what_is_under_way_when_the_filters_change_is_done_again(make):
    dispatch = make(3)
    look(dispatch, b"a")
    look(dispatch, b"b")
    hand_back(dispatch, b"L")
    assert hand_out(dispatch) == [b"L", b"a", b"b"]
    before = list(dispatch.told)
    dispatch.start_over(2)
    dispatch.pool = Pool(3)
    assert dispatch.told == before, "nothing was looked at by that"
    assert hand_out(dispatch) == [b"L", b"a", b"b"]
    for name in (b"L", b"a", b"b"):
        done(dispatch, name)
    assert hand_out(dispatch) == []
    assert not dispatch
    assert sorted(names for names, _ in dispatch.told[len(before) :]) == [[b"L"], [b"a"], [b"b"]]


# The queue by itself


def found_in(volume, *, final=False):
    """A group of files in the root of a volume, of which one is large."""
    directory = QueuedDirectory(10 + volume, b"", fresh=False)
    return DirectoryGroup(WaitingDirectories(volume, directory, 0.5), final=final)


@pytest.fixture
def clock(monkeypatch):
    """The clock that the queue sees."""
    now = SimpleNamespace(time=100.0, monotonic=lambda: now.time)
    monkeypatch.setattr(module, "time", now)
    return now


def test_a_single_process_takes_a_large_file_after_each_half_minute(clock):
    queue = LargeFiles(1, lambda _volume: None)
    group = found_in(0)
    assert queue.is_next is False
    queue.add(group, b"a")
    clock.time += 20
    queue.add(group, b"b")
    clock.time += 10
    assert queue.is_next is False
    clock.time += 0.1
    assert queue.is_next is True
    first = queue.next()
    assert (first.names, first.large, first.waiting.weight) == (((b"a", 0),), True, 0.0)
    assert queue.is_next is False, "small files have their turn again"
    clock.time += 30.1
    assert queue.is_next is True
    queue.next()
    clock.time += 100
    queue.add(group, b"c")
    assert queue.is_next is False, "it waits since now"


def test_of_several_processes_one_at_a_time_takes_a_large_file(clock):
    queue = LargeFiles(2, lambda _volume: None)
    for name in (b"a", b"b"):
        queue.add(found_in(0), name)
    assert queue.is_next is True
    queue.next()
    queue.begun(5)
    queue.ended(6)
    assert queue.is_next is False
    queue.ended(5)
    assert queue.is_next is True


def test_a_file_that_must_be_hashed_now_stays_so(clock):
    queue = LargeFiles(2, lambda _volume: None)
    for final in (False, True, False):
        queue.add(found_in(0, final=final), b"a")
    assert (len(queue), queue.next().final) == (1, True)


@pytest.mark.parametrize(("volume", "waiting"), [(0, 1), (1, 2)])
def test_a_full_queue_drops_the_volume_that_fills_it(clock, monkeypatch, volume, waiting):
    monkeypatch.setattr(module, "_MOST_LARGE", 3)
    dropped = []
    queue = LargeFiles(2, dropped.append)
    for number, name in ((0, b"a"), (0, b"b"), (1, b"c")):
        queue.add(found_in(number), name)
    assert dropped == []
    group = found_in(volume)
    queue.add(group, b"d")
    assert (dropped, len(queue)) == ([0], waiting)
    assert {one.waiting.volume for one in queue.groups()} == {1}
    assert group.elsewhere == ({b"d"} if volume == 1 else set()), "else it is scanned again"
