"""hashscan.daemon.session_scan: turns, the wait for verdicts and the end, without a worker process."""

import sqlite3
from contextlib import closing
from types import SimpleNamespace

import pytest
from fake_workers import Catalog, Dispatch, Pool

from hashscan.catalog import store
from hashscan.daemon import session_scan as module
from hashscan.daemon.session_scan import SessionScan
from hashscan.fs.volume import Volume
from hashscan.model import Summary
from hashscan.scan import scan as scan_module
from hashscan.scan.messages import Tally, WorkerSettings
from hashscan.scan.options import ScanOptions


@pytest.fixture
def clock(monkeypatch):
    one = SimpleNamespace(now=1000.0)
    one.monotonic = lambda: one.now
    monkeypatch.setattr(module, "time", one)
    return one


class Scan(SimpleNamespace):
    """A scan with the number 9 of a volume that it saw to its end, and of a volume that is gone."""

    def __init__(self):
        super().__init__(
            number=9, roots={b"/a": 1, b"/gone": 2}, dispatch=Dispatch(), pool=Pool(),
            summary=Summary(), expected=None, tally=Tally(hashed=40), calls=[],
            options=SimpleNamespace(volumes=1, others=2, identities=3, jobs=1),
        )  # fmt: skip

    def receive(self, others, timeout):
        self.calls.append(("receive", others, timeout))
        return 2, []

    def start_over(self, *given):
        self.calls.append(("start over", *given))

    def end(self, **named):
        self.calls.append(("end", named))
        return self.summary


@pytest.fixture
def running_scan(clock):
    one = object.__new__(SessionScan)
    one.kind, one.volumes, one.scan = "start", [4, 7], Scan()
    one._last_turn, one._walked, one._catalog = clock.now, None, Catalog()
    one._confirmation = SimpleNamespace(busy=False, more=False, dropped=[], summaries={9: 1, 8: 2})
    one._lines, one.recorded = "lines", []
    one._record = SimpleNamespace(scan_ended=lambda *given: one.recorded.append(given))
    one._confirmation.drop_gone = lambda *given: one._confirmation.dropped.append(given)
    return one


def test_how_much_of_a_scan_is_done(running_scan):
    assert (running_scan.files, running_scan.fraction, running_scan.tally.hashed) == (40, 0.5, 40)
    running_scan.scan.dispatch.fraction = 1.2
    assert running_scan.fraction == 1.0
    running_scan.scan.expected = SimpleNamespace(files=160)
    assert running_scan.fraction == 0.25
    running_scan.scan.expected.files = 20
    assert running_scan.fraction == 0.99, "there are more than the last time"


def test_who_a_scan_hears_and_what_vanished(running_scan):
    assert running_scan.connections == ["one", "two"]
    assert running_scan.vanished == [7]
    assert running_scan.receive() == 2
    assert running_scan.scan.calls == [("receive", [], 0)]


def test_a_silent_worker_makes_its_volume_silent(running_scan):
    asked = []
    running_scan.scan.pool = SimpleNamespace(silent=lambda seconds: asked.append(seconds) or {1})
    assert running_scan.silent(30.0) == {7}
    assert asked == [30.0]


def test_a_candidate_is_asked_for_soon(running_scan):
    running_scan._ask_soon()
    assert running_scan._confirmation.more is True


def test_a_held_scan_gets_a_turn_each_second(running_scan, clock):
    for later, hold, urgent in ((0.9, True, True), (0.1, True, False), (0.5, False, False),
                                (0.9, True, True), (0.1, True, False)):  # fmt: skip
        clock.now += later
        running_scan.scan.dispatch.calls.clear()
        running_scan.hand_out(hold=hold)
        more = [("urgent", True)] if urgent else []
        assert running_scan.scan.dispatch.calls == [("hand_out", running_scan.scan.pool, *more)]


def test_a_scan_ends_with_its_verdicts_or_after_a_minute(running_scan, clock):
    running_scan.scan.dispatch.length = 1
    assert running_scan.walked is False
    assert running_scan.settled() is False
    assert running_scan.scan.pool.calls == []
    running_scan.scan.dispatch.length = 0
    assert running_scan.walked is True
    assert running_scan.settled() is False, "the last candidates have not been asked for"
    assert running_scan.scan.pool.calls == [("close",)]
    assert running_scan._confirmation.dropped == [({b"/a"}, 9)], "what is unseen is not gone"
    running_scan._confirmation.more, running_scan._confirmation.busy = False, True
    clock.now += 60
    assert running_scan.settled() is False
    clock.now += 0.1
    assert running_scan.settled() is True
    running_scan._walked, running_scan._confirmation.busy = clock.now, False
    assert running_scan.settled() is True
    running_scan._confirmation.more = True
    assert running_scan.settled() is False
    assert running_scan.scan.pool.calls == [("close",)]
    assert len(running_scan._confirmation.dropped) == 1


@pytest.mark.parametrize("interrupted", [True, False])
def test_the_end_of_a_scan_is_in_the_audit_log(running_scan, clock, interrupted):
    if not interrupted:
        running_scan._walked = clock.now
    summary = running_scan.end(interrupted=interrupted, held=[5])
    assert summary.pending == 109
    assert running_scan.scan.calls == [("end", {"interrupted": interrupted, "held": [5]})]
    assert running_scan.scan.pool.calls == ([("close",)] if interrupted else [])
    assert running_scan._confirmation.summaries == {8: 2}
    assert running_scan.recorded == [("lines", summary)]


@pytest.mark.parametrize("walked", [True, False])
def test_other_filters_during_a_scan(running_scan, monkeypatch, walked):
    monkeypatch.setattr(module, "replace", lambda new, **named: (new, named))
    running_scan.scan.dispatch.length = 0 if walked else 1
    running_scan.swap("options", 5, 6)
    changed = ("options", {"volumes": 1, "others": 2, "identities": 3})
    assert running_scan.scan.calls == ([] if walked else [("start over", changed, 5, 6)])


class Parts:
    """The work and the worker processes of a scan, without processes."""

    def __init__(self, monkeypatch):
        self.pushed, self.settings, self.given = [], None, None
        self.unseen = SimpleNamespace(follow_mounts=None)
        monkeypatch.setattr(scan_module, "Dispatch", self._dispatch)
        monkeypatch.setattr(scan_module, "Pool", self._pool)

    def _dispatch(self, *_given, **named):
        self.given = named
        return self

    def push(self, volume, directory, share):
        self.pushed.append((volume, directory, share))

    def _pool(self, settings, *, before_fork):
        before_fork()
        self.settings = settings
        return "pool"


def test_a_scan_begins_with_the_roots_of_its_volumes(tmp_path, monkeypatch):
    parts = Parts(monkeypatch)
    catalog = store.Catalog(str(tmp_path / "catalog"))
    volumes = (Volume(b"/a"), Volume(b"/b"))
    options = ScanOptions(
        volumes=volumes, jobs=3, filters=(), filterset="f", algorithms=frozenset({"sha1"}),
        service="s", remote=True, follow_mounts=lambda _root: list,
    )  # fmt: skip
    confirmation, scans = SimpleNamespace(summaries={}, more=False), []
    record = SimpleNamespace(scan=lambda roots, *, kind: scans.append((list(roots), kind)))
    running_scan = SessionScan(
        options, catalog, None, confirmation, record, kind="schedule", volumes=[4, 7],
        judged=5, judged_until=6,
    )  # fmt: skip
    assert scans == [([b"/a", b"/b"], "schedule")]
    assert [(volume, share) for volume, _, share in parts.pushed] == [(0, 0.5), (1, 0.5)]
    roots = tuple(directory.number for _, directory, _ in parts.pushed)
    assert [catalog.volume_of(number) for number in roots] == [b"/a", b"/b"]
    assert {directory.path for _, directory, _ in parts.pushed} == {b""}
    assert parts.unseen.follow_mounts is options.follow_mounts
    assert (parts.given["scan"], parts.given["judged"], parts.given["jobs"]) == (
        running_scan.scan.number,
        5,
        3,
    )
    assert parts.settings == WorkerSettings(
        options, roots, catalog.path, judged=5, scan=running_scan.scan.number, judged_until=6
    )
    assert (running_scan.scan.pool, running_scan.kind, running_scan.volumes) == (
        "pool",
        "schedule",
        [4, 7],
    )
    parts.given["on_candidate"]()
    assert confirmation.summaries == {running_scan.scan.number: Summary(candidates=1)}
    with closing(sqlite3.connect(catalog.path)) as committed:
        rows = committed.execute("SELECT kind, complete FROM scan").fetchall()
    assert rows == [("schedule", 0)]
    catalog.close()
