"""Judging the catalog anew goes on whatever waits for its writers."""

import io
from types import SimpleNamespace
from typing import ClassVar, NamedTuple

import pytest

from hashscan.catalog.store import Catalog
from hashscan.daemon import rejudge as module
from hashscan.daemon.log import Log
from hashscan.daemon.rejudge import RejudgeProcesses
from hashscan.scan.rejudge import Judged


def test_files_that_somebody_keeps_open_do_not_stop_it():
    changed_files = SimpleNamespace(queued=0, backlog=50_000)
    rejudging = RejudgeProcesses(None, changed_files, (), None, lambda: None, jobs=1)
    rejudging._process = SimpleNamespace(connections=["its connection"])
    assert rejudging.connections == ["its connection"]
    changed_files.queued = 50_000
    assert rejudging.connections == []


class Dies:
    """A judging process, as the daemon sees it: it dies, or finishes, immediately."""

    made: ClassVar = []
    lives = False

    def __init__(self, path, filters, algorithms, *, filterset, until, processes):
        self.connections = [f"connection {len(self.made)}"]
        self.filterset, self.until, self.files = filterset, until, 7
        self.is_closed = False
        self.made.append(self)

    def take(self, connection):
        if not self.lives:
            return None
        self.connections.remove(connection)
        return Judged([], [], [], 7, done=True)

    def close(self):
        self.is_closed = True


class Known(NamedTuple):
    filters: tuple = ()
    algorithms: frozenset = frozenset()


@pytest.fixture
def rejudging(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "Rejudging", Dies)
    monkeypatch.setattr(Dies, "made", [])
    err = io.StringIO()
    wanted = []
    catalog = Catalog(str(tmp_path / "catalog"))
    changed_files = SimpleNamespace(queued=0, scan=5, begin=lambda: None)
    made = RejudgeProcesses(
        catalog, changed_files, (), Log(io.StringIO(), err), lambda: wanted.append("scan"), jobs=1
    )
    yield made, wanted, err, catalog
    catalog.close()


def die(one):
    one.take(one.connections)


def test_a_process_that_dies_is_started_again_and_given_up_at_the_third_time(rejudging):
    one, wanted, err, _ = rejudging
    one.begin(Known(), 3)
    for deaths in (1, 2):
        die(one)
        assert len(Dies.made) == deaths + 1, "it is started again"
        assert Dies.made[-1].filterset == 3
        assert Dies.made[-2].is_closed
        assert wanted == []
    assert "died" not in err.getvalue()
    die(one)
    assert len(Dies.made) == 3, "it is given up"
    assert one.connections == []
    assert wanted == ["scan"]
    assert "the process that judges the catalog died; a scan judges instead" in err.getvalue()
    # Other filters have all their attempts.
    one.begin(Known(), 4)
    die(one)
    assert len(Dies.made) == 5
    assert wanted == ["scan"]


def test_one_that_is_started_again_and_comes_through_is_no_reason_for_a_scan(
    rejudging, monkeypatch
):
    one, wanted, err, catalog = rejudging
    number = catalog.filterset("a")
    one.begin(Known(), number)
    die(one)
    monkeypatch.setattr(Dies, "lives", True)
    die(one)
    assert one.connections == []
    assert wanted == []
    assert one.files == 7
    assert catalog.judged_until(number) == 4, "all rows of scans before this one are judged"
    assert "7 files were judged again" in err.getvalue()


class TwoVolumes:
    """Two volumes: directory 1 is in the first, 2 in the second, 3 in a volume of no interest."""

    path = "/catalog"

    def __init__(self):
        self.calls, self.judged = [], []

    def commit(self):
        self.calls.append("commit")

    def set_judged_until(self, filterset, until):
        self.calls.append((filterset, until))

    def volume_of(self, number):
        return {1: b"/a", 2: b"/b", 3: b"/other"}.get(number)

    def rejudge(self, directory, filterset, names):
        self.judged.append((directory, filterset, names))


@pytest.fixture
def on_two_volumes(monkeypatch):
    looks, lines, wanted = [], [], []
    catalog = TwoVolumes()
    changed_files = SimpleNamespace(queued=0, scan=9, begun=0)
    changed_files.check_known = lambda *given: looks.append(given)
    changed_files.begin = lambda: setattr(changed_files, "begun", changed_files.begun + 1)
    log = SimpleNamespace(info=lines.append, error=lines.append)
    volumes = (SimpleNamespace(root=b"/a"), SimpleNamespace(root=b"/b"))
    started = []

    class Rejudging:
        def __init__(self, path, filters, algorithms, *, filterset, until, processes):
            self.given = (path, filters, algorithms, filterset, until, processes)
            self.filterset, self.until, self.files, self.closed = filterset, until, 0, 0
            self.connections, self.parts = ["one", "two"], {}
            started.append(self)

        def take(self, connection):
            return self.parts[connection]

        def close(self):
            self.closed += 1

    monkeypatch.setattr(module, "Rejudging", Rejudging)
    one = RejudgeProcesses(catalog, changed_files, volumes, log, lambda: wanted.append(1), jobs=3)
    one.looks, one.lines, one.wanted, one.started = looks, lines, wanted, started
    one.catalog, one.known = catalog, SimpleNamespace(filters="f", algorithms="a")
    return one


def part(found=(), due=(), cleared=()):
    return SimpleNamespace(found=list(found), due=list(due), cleared=list(cleared))


def test_one_judging_at_a_time_and_not_while_much_waits(on_two_volumes):
    assert on_two_volumes.connections == []
    on_two_volumes.take(["one"])
    on_two_volumes.begin(on_two_volumes.known, 4)
    assert on_two_volumes.started[0].given == ("/catalog", "f", "a", 4, 8, 3)
    assert (on_two_volumes._changed_files.begun, on_two_volumes.catalog.calls) == (1, ["commit"])
    on_two_volumes._changed_files.queued = 19_999
    assert on_two_volumes.connections == ["one", "two"]
    on_two_volumes._changed_files.queued = 20_000
    assert on_two_volumes.connections == []
    on_two_volumes.begin(on_two_volumes.known, 5)
    assert on_two_volumes.started[0].closed == 1
    on_two_volumes.end()
    on_two_volumes.end()
    assert on_two_volumes.started[1].closed == 1


def test_what_is_found_is_looked_at_and_what_is_cleared_is_only_noted(on_two_volumes):
    on_two_volumes.begin(on_two_volumes.known, 4)
    (process,) = on_two_volumes.started
    process.parts = {
        "one": part([(1, b"a"), (2, b"b"), (1, b"c"), (3, b"d")], [(1, b"due")], [(2, b"e")])
    }
    on_two_volumes.take(["one", "other"])
    assert on_two_volumes.catalog.judged == [
        (1, 4, [(b"a", True), (b"c", True), (b"due", True)]), (2, 4, [(b"b", True)]),
        (3, 4, [(b"d", True)]), (2, 4, [(b"e", False)]),
    ]  # fmt: skip
    assert on_two_volumes.looks == [(0, 1, [b"a", b"c", b"due"]), (1, 2, [b"b"])]
    assert (on_two_volumes.lines, on_two_volumes.wanted) == ([], [])
    process.connections, process.files = [], 12_345
    on_two_volumes.take([])
    assert on_two_volumes.catalog.calls[-3:] == ["commit", (4, 8), "commit"]
    assert on_two_volumes.files == 12_345
    assert on_two_volumes.lines == [
        "12,344 files were judged again without being read",
        "1 files were never hashed as these filters need it, and are read",
    ]
    assert on_two_volumes.wanted == []
    assert on_two_volumes.connections == []


@pytest.mark.parametrize(("due", "at_once", "scan"), [(1000, 1000, False), (1001, 1000, True)])
def test_a_few_files_are_read_immediately_more_by_a_scan(on_two_volumes, due, at_once, scan):
    on_two_volumes.begin(on_two_volumes.known, 4)
    (process,) = on_two_volumes.started
    names = [(1, b"%d" % number) for number in range(due)]
    process.parts = {"one": part(due=names[:600]), "two": part(due=names[600:])}
    on_two_volumes.take(["one", "two"])
    assert sum(len(names) for *_, names in on_two_volumes.looks) == at_once
    assert all(hit for *_, names in on_two_volumes.catalog.judged for _, hit in names)
    assert sum(len(names) for *_, names in on_two_volumes.catalog.judged) == due
    process.connections, process.files = [], due
    on_two_volumes.take([])
    assert len(on_two_volumes.lines) == 1, "none was judged without being read"
    assert ("a scan of all volumes reads them" in on_two_volumes.lines[0]) is scan
    assert on_two_volumes.wanted == [1] * scan
