"""hashscan.daemon.watchers: which processes are started, and when again; no process is real."""

import errno
import io
from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from hashscan.daemon import watchers as module
from hashscan.daemon.log import Log
from hashscan.daemon.watchers import Watches
from hashscan.fs.volume import Volume
from hashscan.watch.source import Changed, Coverage


@pytest.fixture
def clock(monkeypatch):
    one = SimpleNamespace(now=1000.0)
    one.monotonic = lambda: one.now
    monkeypatch.setattr(module, "time", one)
    return one


class Watched:
    """The volumes ``/sN/M`` are on the server N, all others on local disks."""

    def __init__(self, monkeypatch, clock, roots, **options):
        self.started, self.closed, self.again, self.silent = [], [], [], []
        self.heard, self.awaited, self.given_up = [], [], []
        self.lines, self.fails, self.forks = io.StringIO(), nullcontext, 0
        watched = self

        class Watching:
            def __init__(self, _volumes, _modes, numbers):
                with watched.fails():
                    self.numbers, self.pid = list(numbers), len(watched.started) + 1
                    self.heard, self.told, self.has_more = clock.now, [], False
                    self.connection = SimpleNamespace(poll=lambda: self.has_more)
                    watched.started.append(self)

            def take(self):
                return self.told

            def close(self):
                watched.closed.append(self.pid)

        def reach(root):
            server = root[1:].partition(b"/")[0] if root.startswith(b"/s") else b""
            return SimpleNamespace(server=server)

        monkeypatch.setattr(module, "Watching", Watching)
        monkeypatch.setattr(module, "mounts_now", lambda: SimpleNamespace(reach=reach))
        coverage = SimpleNamespace(
            heard=self.heard.append,
            awaits=lambda numbers: self.awaited.append(list(numbers)),
            awaits_no_more=lambda numbers: self.given_up.append(list(numbers)),
        )
        modes = options.pop("modes", ["auto"] * len(roots))
        options = {"is_silent": lambda _number: False, **options}
        self.watches = Watches(
            [Volume(one) for one in roots], modes, coverage, Log(self.lines, self.lines),
            before_fork=self.forked, on_again=self.again.append, on_silent=self.silent.append,
            **options,
        )  # fmt: skip

    def forked(self):
        self.forks += 1

    @property
    def groups(self):
        """The volumes of each process that lives."""
        return [one.process.numbers for one in self.watches._watches if one.process]

    def dies(self, number=-1):
        process = self.started[number]
        process.told = None
        return self.watches.take([process.connection])


@pytest.fixture
def make(monkeypatch, clock):
    return lambda roots, **options: Watched(monkeypatch, clock, roots, **options)


def test_one_process_for_local_disks_and_one_for_each_server(make):
    one = make([b"/a", b"/s1/x", b"/b", b"/s2/x", b"/s1/y"])
    assert one.groups == [[0, 2], [1, 4], [3]]
    assert one.awaited == one.groups
    assert one.again == [], "nothing was missed yet"
    assert one.forks == 3
    assert one.watches.connections == [one.connection for one in one.started]
    assert make([b"/s1/x"]).groups == [[0]]


def test_many_servers_share_processes(make):
    one = make([b"/s%d/x" % number for number in range(33)] + [b"/a"])
    assert len(one.groups) == 33
    assert one.groups[0] == [33]
    assert one.groups[1] == [0, 32]


def test_one_that_dies_again_and_again_is_started_with_growing_pauses(make, clock):
    one = make([b"/a", b"/b"], modes=["auto", "off"])
    waits = []
    for deaths in range(1, 12):
        assert one.dies() == []
        assert one.watches.deaths == deaths
        assert one.closed == list(range(1, deaths + 1))
        assert one.watches.connections == []
        (place,) = one.watches._watches
        waits.append(place.again - clock.now)
        clock.now = place.again - 0.01
        one.watches.step()
        assert len(one.started) == deaths
        clock.now += 0.01
        one.watches.step()
        assert len(one.started) == deaths + 1
        assert one.again == [0, 1] * deaths, "what changed meanwhile was not seen"
    assert waits == pytest.approx([1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300])
    message = "the process that watches died; it is started again in 1 s"
    assert one.heard[0] == Coverage(0, "off", unwatched=1, message=message)
    assert len(one.heard) == 11, "a volume that is not to be watched lacks nothing"
    assert f"error: {message}" in one.lines.getvalue()
    assert one.given_up == [[0, 1]] * 11
    clock.now += 61
    one.dies()
    assert one.watches._watches[0].again == clock.now + 1, "it had worked for a while"
    clock.now += 1
    one.watches.step()
    clock.now += 60
    one.dies()
    assert one.watches._watches[0].again == clock.now + 2


def test_what_the_processes_say(make):
    one = make([b"/a", b"/s1/x"])
    change = Changed(0, b"d", b"n")
    covers = Coverage(0, "inotify", directories=2)
    for process in one.started:
        process.told = [covers, change]
    assert one.watches.take([one.started[0].connection]) == [change]
    assert one.heard == [covers]


def test_one_without_a_sign_of_life_is_given_up(make, clock):
    one = make([b"/s1/x", b"/s1/y"], silent_after=20.0)
    clock.now += 20
    one.watches.step()
    assert one.watches.deaths == 0
    clock.now += 0.1
    one.started[0].has_more = True
    one.watches.step()
    assert one.watches.deaths == 0, "nobody has heard yet what it said"
    one.started[0].has_more = False
    one.watches.step()
    assert one.watches.deaths == 1
    assert one.silent == [0, 1]
    assert (
        "the process that watches has given no sign of life for 20 s (a file server that does not "
        "answer?); it is started again in 1 s"
    ) in one.lines.getvalue()
    assert module.SILENT == 60.0


def test_a_volume_that_does_not_answer_is_watched_once_it_does(make, clock):
    silent = {1, 2}
    one = make([b"/a", b"/s1/x", b"/s1/y"], is_silent=silent.__contains__)
    assert one.groups == [[0]]
    clock.now += 4.9
    one.watches.step()
    assert len(one.started) == 1
    silent.remove(2)
    clock.now += 0.1
    one.watches.step()
    assert one.groups == [[0], [2]]
    silent.clear()
    one.watches.answer(0)
    assert len(one.started) == 2, "it is watched"
    one.watches.answer(1)
    assert one.groups == [[0], [2], [1]]
    assert one.again == [], "it was never watched: the scan comes from its return"
    assert len(one.watches._watches) == 3, "nothing waits any more"


def test_one_that_missed_something_still_has_when_it_answers(make, clock):
    silent = set()
    one = make([b"/s1/x", b"/s1/y"], is_silent=silent.__contains__)
    one.dies()
    silent.add(1)
    clock.now += 1
    one.watches.step()
    assert one.again == [0]
    one.dies()
    assert "it is started again in 2 s" in one.lines.getvalue()
    silent.clear()
    one.watches.answer(1)
    assert one.again == [0, 1]


def test_when_too_many_processes_would_watch_all_are_grouped_again(make, clock, monkeypatch):
    monkeypatch.setattr(module, "_MOST", 2)
    silent = {0, 1, 2, 3, 4}
    one = make([b"/s%d/x" % number for number in range(6)], is_silent=silent.__contains__)
    for number in (1, 3, 0):
        silent.remove(number)
        one.watches.answer(number)
    assert one.groups == [[5], [1], [3], [0]]
    silent.clear()
    clock.now += 5
    one.watches.step()
    assert one.groups == [[0, 2, 4], [1, 3, 5]]
    assert one.closed == [1, 2, 3, 4]
    assert sorted(one.again) == [0, 1, 2, 3, 4, 5]
    assert one.watches.deaths == 0


def test_a_limit_of_the_machine_is_tried_again_another_error_is_raised(make, clock):
    class Refuses:
        def __init__(self, number):
            self.error = OSError(number, "no")

        def __call__(self):
            return self

        def __enter__(self):
            raise self.error

        def __exit__(self, *_):
            return None

    one = make([b"/a"])
    one.dies()
    clock.now += 1
    one.fails = Refuses(errno.EAGAIN)
    one.watches.step()
    assert one.watches._watches[0].again == clock.now + 2
    assert "the process that watches was not started: the machine lets no" in one.lines.getvalue()
    one.fails = Refuses(errno.EIO)
    clock.now += 2
    with pytest.raises(OSError):
        one.watches.step()


def test_all_end(make):
    one = make([b"/a", b"/s1/x"])
    assert one.watches.pids == [1, 2]
    for _ in range(2):
        one.watches.close()
    assert one.closed == [1, 2]
    assert one.watches.pids == []


def test_without_proc_all_volumes_count_as_local(make, monkeypatch):
    def refuses():
        raise OSError(errno.ENOENT, "No such file")

    one = make([b"/s1/x", b"/s2/x"])
    assert len(one.groups) == 2
    monkeypatch.setattr(module, "mounts_now", refuses)
    assert module._grouped([Volume(b"/s1/x"), Volume(b"/s2/x")], [0, 1]) == [[0, 1]]
