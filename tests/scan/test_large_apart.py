"""Large files that changed are looked at apart: neither they nor small ones hold the others up."""

import pytest

from hashscan.catalog.rows import QueuedDirectory
from hashscan.catalog.store import Catalog
from hashscan.fs.volume import Volume
from hashscan.scan import dispatch as module
from hashscan.scan.dispatch import Dispatch
from hashscan.scan.work import Findings


class Worker:
    """A worker process, as far as findings concern it."""

    def __init__(self):
        self.tasks = []


@pytest.fixture
def make(state):
    state.mkdir()
    catalog = Catalog(str(state / "catalog"))
    scan = catalog.begin_watch()
    looked = []

    def dispatch(jobs):
        one = Dispatch(
            catalog,
            None,
            [Volume(b"/v")],
            scan=scan,
            judged=1,
            jobs=jobs,
            on_candidate=lambda: None,
            once=False,
            on_looked=lambda *told: looked.append(told[2:]),
        )
        one.told = looked
        return one

    yield dispatch
    catalog.close()


HERE = QueuedDirectory(7, b"d", False)


def look(dispatch, *names, final=False):
    dispatch.look(0, HERE, names, final=final)


def take(dispatch):
    """What the next idle process gets."""
    tasks = dispatch._next_tasks(urgent=False)
    return [(name, task.large) for task in tasks for name, _ in task.names], tasks


def done(dispatch, tasks, **findings):
    for task in tasks:
        dispatch.heard(Worker(), [Findings(task.group, done=True, **findings)])


def hand_back(dispatch, *names, final=False):
    look(dispatch, *names, final=final)
    _, tasks = take(dispatch)
    done(dispatch, tasks, large=list(names))


def test_one_process_is_at_large_files_and_the_others_never_are(make):
    dispatch = make(3)
    hand_back(dispatch, b"L1", b"L2", b"L3")
    for number in range(3):
        look(dispatch, b"s%d" % number)
    first, of_first = take(dispatch)
    assert first == [(b"L1", True)]
    assert take(dispatch)[0] == [(b"s0", False)], "one is at a large one already"
    assert take(dispatch)[0] == [(b"s1", False)]
    assert take(dispatch)[0] == [(b"s2", False)]
    assert take(dispatch)[0] == [(b"L2", True)], "no small one waits"
    assert take(dispatch)[0] == [], "and the last process is kept for small ones"
    look(dispatch, b"s3")
    assert take(dispatch)[0] == [(b"s3", False)]
    done(dispatch, of_first)
    assert take(dispatch)[0] == [(b"L3", True)]


def test_a_single_process_takes_a_large_one_when_nothing_waits_or_after_a_while(make, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    dispatch = make(1)
    hand_back(dispatch, b"L1", b"L2")
    look(dispatch, b"s0")
    assert take(dispatch)[0] == [(b"s0", False)]
    found, tasks = take(dispatch)
    assert found == [(b"L1", True)]
    done(dispatch, tasks)
    look(dispatch, b"s1")
    now[0] += module._LARGE_WAITS + 1
    assert take(dispatch)[0] == [(b"L2", True)]


def test_a_large_file_that_changes_again_waits_once(make):
    dispatch = make(2)
    hand_back(dispatch, b"first")
    assert take(dispatch)[0] == [(b"first", True)]
    for _ in range(5):
        hand_back(dispatch, b"L")
    assert len(dispatch) - dispatch.ahead == 1, "however often it changes"
    hand_back(dispatch, b"M", final=True)
    assert len(dispatch) - dispatch.ahead == 2
    finals = {group.names[0][0]: group.final for group in dispatch._large.values()}
    assert finals == {b"L": False, b"M": True}
    hand_back(dispatch, b"L", final=True)
    assert dispatch._large[7, b"L"].final
    assert dispatch.held() == {7}


def test_a_file_that_is_handed_back_is_not_taken_for_looked_at(make):
    dispatch = make(2)
    look(dispatch, b"small", b"L")
    _, tasks = take(dispatch)
    done(dispatch, tasks, large=[b"L"])
    assert dispatch.told == [([b"small"], [])]
    _, tasks = take(dispatch)
    done(dispatch, tasks, unrested=[(b"L", 99)])
    assert dispatch.told[1:] == [([b"L"], [(b"L", 99)])]
    assert not dispatch
