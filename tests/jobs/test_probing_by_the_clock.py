"""hashscan.jobs.volume_probe: which process checks which volume, and when; no process is real."""

import errno
import os
from types import SimpleNamespace

import pytest

from hashscan.jobs import volume_probe as module
from hashscan.jobs.volume_presence import Seen
from hashscan.jobs.volume_probe import NO_ANSWER, Probes
from hashscan.watch.mounts import Reach


class Connection:
    """The daemon's end: what a process gets, and ``found``: what it answers next."""

    def __init__(self):
        self.sent, self.found, self.is_closed = [], [], False

    def send(self, numbers):
        self.sent.append(numbers)

    def recv(self):
        found = self.found.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    def close(self):
        self.is_closed = True


@pytest.fixture
def clock(monkeypatch):
    one = SimpleNamespace(now=1000.0)
    one.monotonic = lambda: one.now
    monkeypatch.setattr(module, "time", one)
    return one


class Machine:
    """The paths ``/sN/M/…`` are on the mount M of the server N, all others on local disks."""

    def __init__(self, monkeypatch, clock):
        self.clock, self.started, self.fault, self.forks, self.tables = clock, [], None, 0, 0
        self.dead = set()
        machine = self

        class Prober(module._Prober):
            def __init__(self, server, paths):
                if machine.fault is not None:
                    raise machine.fault
                self.server, self.paths, self.connection = server, paths, Connection()
                self.given, self.since, self.hangs_at = {}, clock.now, None
                machine.started.append(self)

            def close(self):
                self.connection.is_closed = True

            @property
            def is_there(self):
                return not self.connection.is_closed or self in machine.dead

        monkeypatch.setattr(module, "_Prober", Prober)
        monkeypatch.setattr(module, "mounts_now", self.table)

    def table(self):
        self.tables += 1
        return SimpleNamespace(reach=self.reach)

    def reach(self, path):
        server, mount = [*path.split(b"/"), b"", b""][1:3]
        if not server.startswith(b"s"):
            return Reach(b"", 0)
        return Reach(server, int(mount))

    def probes(self, paths, **options):
        def fork():
            self.forks += 1

        return Probes(paths, before_fork=fork, **options)

    def answers(self, probes, number, *found):
        """Have the process ``number`` answer for volumes; the volumes with an answer."""
        prober = self.started[number]
        seen = [(one, Seen(b"/root%d" % one, None)) for one in found]
        prober.connection.found.append(seen)
        return probes.take([prober.connection])

    def given(self):
        """What each process got last."""
        return [one.connection.sent[-1] for one in self.started]


@pytest.fixture
def machine(monkeypatch, clock):
    return Machine(monkeypatch, clock)


def test_one_process_for_each_server_and_one_for_local_disks(machine, clock):
    probes = machine.probes(["/a", "/s1/1", "/b", "/s1/2", "/s2/3"])
    for number in range(5):
        probes.ask(number)
    assert [one.server for one in machine.started] == [b"", b"s1", b"s2"]
    assert machine.given() == [[0], [1], [4]], "the others wait for a process that has time"
    assert (probes.processes, machine.forks, machine.tables) == (3, 3, 1)
    clock.now += 3
    probes.ask(0)
    assert machine.given()[0] == [0], "it is being checked"
    assert machine.answers(probes, 0, 0) == [0]
    assert machine.given() == [[2], [1], [4]]
    assert probes.latest(0) == Seen(b"/root0", None)
    assert probes.answer(0, 1000.0) == Seen(b"/root0", None), "it was asked for at that time"
    assert probes.answer(0, 1000.1) is None
    assert probes.answer(1, 0.0) is None
    assert machine.answers(probes, 0, 2) == [2]
    assert machine.started[0].connection.is_closed, "an idle process ends"
    assert (probes.processes, probes.take([])) == (2, [])
    assert probes.connections == [one.connection for one in machine.started[1:]]
    probes.close()
    assert all(one.connection.is_closed for one in machine.started)
    assert (probes.processes, probes.connections) == (0, [])


def test_a_process_gets_256_volumes_at_a_time(machine):
    paths = [f"/s1/1/{number}" for number in range(600)]
    probes = machine.probes(["/s1/1", *paths])
    for number in range(601):
        probes.ask(number)
    assert machine.given() == [[0]]
    assert machine.answers(probes, 0, 0) == [0]
    assert machine.given() == [list(range(1, 257))]
    assert machine.answers(probes, 0, *range(1, 10)) == list(range(1, 10))
    assert len(machine.started[0].connection.sent) == 2, "it has some still"
    machine.answers(probes, 0, *range(10, 257))
    assert machine.given() == [list(range(257, 513))]
    machine.answers(probes, 0, *range(257, 513))
    assert machine.given() == [list(range(513, 601))]
    machine.answers(probes, 0, *range(513, 601))
    assert len(machine.started) == 1
    assert probes.processes == 0


def test_the_mounts_are_read_once_a_second(machine, clock, monkeypatch):
    probes = machine.probes(["/a", "/b", "/c"])
    probes.ask(0)
    clock.now += 1
    probes.ask(1)
    assert machine.tables == 1
    clock.now += 0.1
    probes.ask(2)
    assert machine.tables == 2
    clock.now += 5

    def refuses():
        raise OSError(errno.ENOENT, "No such file")

    monkeypatch.setattr(module, "mounts_now", refuses)
    assert probes._reach(0) == Reach(b"", 0), "without /proc the last ones are used"


def test_a_mount_that_does_not_answer_in_time_holds_up_no_other(machine, clock):
    probes = machine.probes(["/s1/1/a", "/s1/1/b", "/s1/2/c", "/s1/1/d", "/a"])
    for number in range(4):
        probes.ask(number)
    clock.now += 1
    machine.answers(probes, 0, 0)
    assert machine.given() == [[1, 2, 3]]
    clock.now += 20
    assert probes.take([]) == []
    clock.now += 0.1
    assert sorted(probes.take([])) == [1, 3]
    for number in (1, 3):
        assert probes.latest(number).error == NO_ANSWER
        assert probes.hangs(number)
        assert probes.answer(number, clock.now + 5).error == NO_ANSWER, "it waits for nothing"
    assert [one.connection.sent[-1] for one in machine.started] == [[1, 2, 3], [2]]
    assert machine.answers(probes, 1, 2) == [2]
    assert not probes.hangs(2)
    # Another volume on that mount: its process would hang there as well.
    probes.ask(0)
    assert probes.latest(0).error == NO_ANSWER
    assert len(machine.started) == 2
    for number in (1, 3):
        probes.ask(number)
    assert len(machine.started) == 2
    assert probes.processes == 1
    # The server answers again: the process goes on with what waits.
    clock.now += 5
    assert machine.answers(probes, 0, 1, 3) == [1, 3]
    assert probes.answer(1, clock.now) == Seen(b"/root1", None), "it is as fresh as can be"
    assert machine.given()[0] == [0]
    assert machine.answers(probes, 0, 0) == [0]
    assert probes.processes == 0


def test_one_that_hangs_for_ten_minutes_is_abandoned_within_the_bound(machine, clock):
    probes = machine.probes(["/s1/1/a"], most=2)
    probes.ask(0)
    clock.now += 21
    assert probes.take([]) == [0]
    clock.now += 579
    probes.ask(0)
    assert len(machine.started) == 1
    clock.now += 0.1
    machine.dead.add(machine.started[0])  # it cannot be killed
    probes.ask(0)
    assert machine.started[0].connection.is_closed
    assert len(machine.started) == 2
    assert probes.processes == 2
    assert probes.connections == [machine.started[1].connection]
    clock.now += 21
    assert probes.take([]) == [0]
    clock.now += 601
    probes.ask(0)
    assert len(machine.started) == 2, "no more than that"
    machine.dead.clear()
    probes.ask(0)
    assert len(machine.started) == 3


def test_what_is_mounted_over_one_that_hangs_is_checked(machine, clock):
    probes = machine.probes(["/s1/1/a", "/s1/1/b"])
    for number in range(2):
        probes.ask(number)
    clock.now += 21
    assert sorted(probes.take([])) == [0, 1]
    machine.reach = lambda _path: Reach(b"s1", 9)
    probes.ask(0)
    assert [one.connection.sent[-1] for one in machine.started] == [[0], [0]]
    assert machine.answers(probes, 1, 0) == [0]
    assert not probes.hangs(0)


def test_the_answer_of_a_process_that_hung_does_not_count_for_what_another_got(machine, clock):
    probes = machine.probes(["/s1/1/a", "/s1/2/b"])
    probes.ask(0)
    clock.now += 21
    probes.take([])
    probes.ask(1)
    assert len(machine.started) == 2
    assert machine.answers(probes, 0, 0) == [0]
    assert machine.started[0].connection.is_closed, "the server has a process"
    assert machine.answers(probes, 1, 1) == [1]


def test_a_process_that_dies_over_a_volume_is_replaced_for_the_others(machine, clock):
    probes = machine.probes(["/s1/1/w", "/s1/1/a", "/s1/1/b"])
    for number in range(3):
        probes.ask(number)
    machine.answers(probes, 0, 0)
    assert machine.given() == [[1, 2]]
    machine.started[0].connection.found.append(EOFError())
    assert probes.take([machine.started[0].connection]) == [1]
    assert "the process that checked it died" in probes.latest(1).error
    assert probes.latest(1).root == b"/s1/1/a"
    assert machine.started[0].connection.is_closed
    assert machine.given() == [[1, 2], [2]]
    # One that hangs and dies: its volumes are checked again.
    clock.now += 21
    assert probes.take([]) == [2]
    machine.started[1].connection.found.append(OSError())
    assert probes.take([machine.started[1].connection]) == []
    assert machine.given()[2:] == [[2]]
    assert machine.answers(probes, 2, 2) == [2]
    assert probes.latest(2).error is None


def test_a_limit_of_the_machine_is_tried_again_after_five_seconds(machine, clock):
    machine.fault = OSError(errno.EAGAIN, "no")
    probes = machine.probes(["/a", "/s1/1/b"])
    probes.ask(0)
    assert machine.forks == 1
    clock.now += 4.9
    assert probes.take([]) == []
    assert machine.forks == 1
    clock.now += 0.1
    probes.take([])
    assert machine.forks == 2
    clock.now += 15
    assert probes.take([]) == []
    clock.now += 0.1
    assert probes.take([]) == [0]
    assert "the machine lets no further process" in probes.latest(0).error
    assert probes.take([]) == [], "that is said once"
    machine.fault = None
    clock.now += 5
    probes.take([])
    assert machine.answers(probes, 0, 0) == [0]
    assert probes.latest(0).error is None
    machine.fault = OSError(errno.EIO, "no")
    with pytest.raises(OSError):
        probes.ask(1)


def test_who_is_not_patient_hears_of_a_limit_immediately(machine):
    machine.fault = OSError(errno.EMFILE, "no")
    probes = machine.probes(["/a", "/b"], patient=False)
    probes.ask(0)
    probes.ask(1)
    assert sorted(probes.take([])) == [0, 1]
    assert "too many open files" in probes.latest(1).error


def test_processes_are_bounded_and_local_disks_have_some_of_their_own(machine, clock):
    paths = [f"/s{number}/1" for number in range(3)]
    probes = machine.probes([*paths, "/a"], most=2)
    for number in range(4):
        probes.ask(number)
    assert machine.given() == [[0], [1], [3]]
    clock.now += 20.1
    assert sorted(probes.take([])) == [0, 1, 2, 3]
    assert probes.latest(2).error.startswith(
        "it was not checked, because 3 processes wait for other file servers that do not answer"
    )
    assert not probes.hangs(2)
    assert machine.answers(probes, 1, 1) == [1]
    assert probes.take([]) == []
    assert machine.given()[3:] == [], "two hang still, and one of them at a local disk"
    machine.answers(probes, 2, 3)
    probes.take([])
    assert machine.given()[3:] == [[2]]


def test_a_volume_that_waits_for_a_slow_server_is_not_late_while_that_answers(machine, clock):
    probes = machine.probes(["/s1/1/a", "/s1/1/b"])
    probes.ask(0)
    probes.ask(1)
    clock.now += 15
    machine.started[0].since = clock.now
    clock.now += 15
    assert probes.take([]) == []


def test_it_is_waited_for_a_volume_until_it_answers_or_is_late(machine, clock, monkeypatch):
    ticks, waits = [], []
    probes = machine.probes(["/s1/1/a"])

    def waits_for(connections, seconds):
        waits.append((list(connections), seconds))
        clock.now += 10
        if len(waits) == 2:
            connections[0].found.append([(0, Seen(b"/r", None))])
            return connections
        return []

    monkeypatch.setattr(module, "wait", waits_for)
    assert probes.is_silent(0, lambda: ticks.append(1)) is False
    assert len(ticks) == 2
    assert waits[0] == ([machine.started[0].connection], 0.2)
    assert probes.take([]) == [0], "the daemon hears of it, too"
    assert probes.take([]) == []
    assert probes.is_silent(0, lambda: ticks.append(1)) is True
    assert len(ticks) == 5


def test_all_volumes_are_waited_for_a_minute(machine, clock, monkeypatch):
    ticks = []
    probes = machine.probes(["/a", "/s1/1/b", "/s1/1/c/../d"])

    def waits_for(connections, _seconds):
        clock.now += 15
        for prober in machine.started:
            prober.since = clock.now  # slow, but not dead
        if len(ticks) == 1:
            machine.started[0].connection.found.append([(0, Seen(b"/a", None))])
            return [machine.started[0].connection]
        return []

    monkeypatch.setattr(module, "wait", waits_for)
    found = probes.check_all(lambda: ticks.append(1))
    assert len(ticks) == 4
    assert found == [
        Seen(b"/a", None), Seen(b"/s1/1/b", module._NOT_YET), Seen(b"/s1/1/d", module._NOT_YET),
    ]  # fmt: skip
    assert probes.hangs(1)
    assert probes.latest(0).error is None


def test_no_volume_is_waited_for_after_it_is_late(machine, clock, monkeypatch):
    probes = machine.probes(["/s1/1/a"])

    def waits_for(_connections, _seconds):
        clock.now += 21
        return []

    monkeypatch.setattr(module, "wait", waits_for)
    assert [one.error for one in probes.check_all(lambda: None)] == [NO_ANSWER]
    assert clock.now == 1021


def test_the_bounds():
    assert (module.ANSWER_WITHIN, module._MOST_PROCESSES, module._LOCAL) == (20.0, 50, 10)


def test_what_one_look_at_a_volume_says(tmp_path, monkeypatch):
    (tmp_path / "link").symlink_to(tmp_path)
    assert module._check_volume(f"{tmp_path}/link", None).root == os.fsencode(tmp_path)
    gone = module._check_volume(f"{tmp_path}/none", None)
    assert gone.error == "it cannot be opened: No such file or directory"
    assert (gone.number, gone.identity, gone.refused) == (errno.ENOENT, None, False)
    if os.geteuid() == 0:
        os.chown(tmp_path / "link", 65534, 65534, follow_symlinks=False)
        monkeypatch.chdir("/")
        refused = module._check_volume(f"{tmp_path}/link/../x", None)
        assert refused.refused is True
        assert refused.root == os.fsencode(f"{tmp_path}/x")


def test_an_error_of_one_volume_is_its_answer_and_the_others_are_checked(clock, monkeypatch):
    """In the process that checks: it answers soon, or for all that it got."""
    checked = []

    def check_volume(path, mounts):
        assert mounts == "mounts"
        checked.append(path)
        if path == "/bad":
            clock.now += 10.0
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return Seen(os.fsencode(path), None)

    pipe = Connection()
    pipe.found = [[1, 0], [], EOFError()]
    monkeypatch.setattr(module, "mounts_now", lambda: "mounts")
    monkeypatch.setattr(module, "_check_volume", check_volume)
    module._main(pipe, ["/good", "/bad"])
    (first,), (second,) = pipe.sent
    assert (first[0], first[1].root) == (1, b"/bad")
    assert first[1].error.startswith("it cannot be opened: ")
    assert second == (0, Seen(b"/good", None))
