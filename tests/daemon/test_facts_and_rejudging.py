"""hashscan.daemon.status_file and judging: numbers for status, and files that new filters find."""

from types import SimpleNamespace

import pytest

from hashscan.daemon import rejudge as judging_module
from hashscan.daemon import status_file as facts_module
from hashscan.daemon.rejudge import Judging
from hashscan.daemon.status_file import Facts
from hashscan.model import Summary


@pytest.fixture
def clock(monkeypatch):
    one = SimpleNamespace(now=1000.0)
    one.monotonic = lambda: one.now
    monkeypatch.setattr(facts_module, "time", one)
    return one


@pytest.fixture
def session(clock):
    tally = SimpleNamespace(hashed=0, bytes_hashed=70, problems=7)
    made = SimpleNamespace(category="baseline", version="3", path="/f", metadata=None)
    made.metadata = SimpleNamespace(digests=8)
    return SimpleNamespace(
        scans=0, walk=None, lost=0, events=9, began=5.0,
        coverage=SimpleNamespace(said=0, facts=lambda: ["volume"]),
        looking=SimpleNamespace(tally=tally, backlog=4, waits_for=1.25), found=Summary(held=2, allowed=3),
        known=SimpleNamespace(filters=[made]), judging=SimpleNamespace(files=6),
        verdicts=SimpleNamespace(next_try=1.5, next_move=2.5),
    )  # fmt: skip


@pytest.fixture
def facts(session):
    return Facts(session, SimpleNamespace(waiting=lambda: (2, 77.0, "no route")))


@pytest.mark.parametrize(
    ("change", "news", "counted"),
    [
        (lambda session: setattr(session, "scans", 1), True, False),
        (lambda session: setattr(session, "walk", SimpleNamespace()), True, False),
        (lambda session: setattr(session.coverage, "said", 1), True, False),
        (lambda session: setattr(session, "lost", 1), False, True),
        (lambda session: setattr(session.looking.tally, "hashed", 1), False, True),
        (lambda session: setattr(session.found, "matches", 1), False, True),
        (lambda session: setattr(session.found, "quarantined", 1), False, True),
        (lambda session: setattr(session, "events", 10), False, False),
    ],
)
def test_what_is_news_and_what_is_counted(facts, session, change, news, counted):
    assert facts.has_news()
    assert facts.has_counted()
    facts.collect()
    assert (facts.has_news(), facts.has_counted()) == (False, False)
    change(session)
    assert (facts.has_news(), facts.has_counted()) == (news, counted)


def test_what_status_reads(facts, session, clock):
    clock.now += 4
    session.looking.tally.hashed = 10
    found = facts.collect()
    assert found["rate"] == 2.5, "files a second since the last time"
    names = ("volumes", "events", "lost", "backlog", "hashed", "bytes_hashed", "problems", "held",
             "allowed", "counting_since", "rejudged", "next_move", "scan", "waits_for")  # fmt: skip
    assert [found[name] for name in names] == [
        ["volume"], 9, 0, 4, 10, 70, 7, 2, 3, 5.0, 6, 2.5, None, 1.2,
    ]  # fmt: skip
    assert found["filters"] == [
        {"category": "baseline", "version": "3", "digests": 8, "path": "/f"}
    ]
    assert found["pending"] == {
        "candidates": 2, "oldest": 77.0, "why": "no route", "next_try": 1.5,
    }  # fmt: skip
    session.walk = SimpleNamespace(kind="start", started=6.0, files=11, fraction=0.12345)
    session.looking.tally.hashed = 13
    found = facts.collect()
    assert found["rate"] == 30.0, "no division by an instant"
    assert found["scan"] == {"kind": "start", "started": 6.0, "files": 11, "fraction": 0.123}
    clock.now += 2
    assert facts.collect()["rate"] == 0.0


# New filters


class Catalog:
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
def judging(monkeypatch):
    looks, lines, wanted = [], [], []
    catalog = Catalog()
    looking = SimpleNamespace(queued=0, scan=9, begun=0)
    looking.look_known = lambda *given: looks.append(given)
    looking.begin = lambda: setattr(looking, "begun", looking.begun + 1)
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

    monkeypatch.setattr(judging_module, "Rejudging", Rejudging)
    one = Judging(catalog, looking, volumes, log, lambda: wanted.append(1), jobs=3)
    one.looks, one.lines, one.wanted, one.started = looks, lines, wanted, started
    one.catalog, one.known = catalog, SimpleNamespace(filters="f", algorithms="a")
    return one


def part(found=(), due=(), cleared=()):
    return SimpleNamespace(found=list(found), due=list(due), cleared=list(cleared))


def test_one_judging_at_a_time_and_not_while_much_waits(judging):
    assert judging.connections == []
    judging.take(["one"])
    judging.begin(judging.known, 4)
    assert judging.started[0].given == ("/catalog", "f", "a", 4, 8, 3)
    assert (judging._looking.begun, judging.catalog.calls) == (1, ["commit"])
    judging._looking.queued = 19_999
    assert judging.connections == ["one", "two"]
    judging._looking.queued = 20_000
    assert judging.connections == []
    judging.begin(judging.known, 5)
    assert judging.started[0].closed == 1
    judging.end()
    judging.end()
    assert judging.started[1].closed == 1


def test_what_is_found_is_looked_at_and_what_is_cleared_is_only_noted(judging):
    judging.begin(judging.known, 4)
    (process,) = judging.started
    process.parts = {
        "one": part([(1, b"a"), (2, b"b"), (1, b"c"), (3, b"d")], [(1, b"due")], [(2, b"e")])
    }
    judging.take(["one", "other"])
    assert judging.catalog.judged == [
        (1, 4, [(b"a", True), (b"c", True), (b"due", True)]), (2, 4, [(b"b", True)]),
        (3, 4, [(b"d", True)]), (2, 4, [(b"e", False)]),
    ]  # fmt: skip
    assert judging.looks == [(0, 1, [b"a", b"c", b"due"]), (1, 2, [b"b"])]
    assert (judging.lines, judging.wanted) == ([], [])
    process.connections, process.files = [], 12_345
    judging.take([])
    assert judging.catalog.calls[-3:] == ["commit", (4, 8), "commit"]
    assert judging.files == 12_345
    assert judging.lines == [
        "12,344 files were judged again without being read",
        "1 files were never hashed as these filters need it, and are read",
    ]
    assert judging.wanted == []
    assert judging.connections == []


@pytest.mark.parametrize(("due", "at_once", "scan"), [(1000, 1000, False), (1001, 1000, True)])
def test_a_few_files_are_read_immediately_more_by_a_scan(judging, due, at_once, scan):
    judging.begin(judging.known, 4)
    (process,) = judging.started
    names = [(1, b"%d" % number) for number in range(due)]
    process.parts = {"one": part(due=names[:600]), "two": part(due=names[600:])}
    judging.take(["one", "two"])
    assert sum(len(names) for *_, names in judging.looks) == at_once
    assert all(hit for *_, names in judging.catalog.judged for _, hit in names)
    assert sum(len(names) for *_, names in judging.catalog.judged) == due
    process.connections, process.files = [], due
    judging.take([])
    assert len(judging.lines) == 1, "none was judged without being read"
    assert ("a scan of all volumes reads them" in judging.lines[0]) is scan
    assert judging.wanted == [1] * scan
