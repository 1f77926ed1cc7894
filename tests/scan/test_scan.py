"""hashscan.scan.scan: one scan's start, its workers' messages and its end, without a process."""

from types import SimpleNamespace

import pytest
from fake_workers import Dispatch, Pool
from handing_out import Told

from hashscan.fs.volume import Volume
from hashscan.scan import scan as module
from hashscan.scan.options import ScanOptions
from hashscan.scan.scan import Scan

ROOTS = (b"/v", b"/w")


class Catalog:
    """Notes each call, in order."""

    path = "/state/catalog"

    def __init__(self, resumed=None):
        self.resumed = resumed
        self.calls = []

    def begin_scan(self, roots, *, complete, kind):
        self.calls.append(("begin", tuple(roots), complete, kind))
        return 9, self.resumed

    def expected(self, roots, *, hash_before):
        self.calls.append(("expected", tuple(roots), hash_before))
        return "expected"

    def queue_directories(self, scan, parent, path, entries):
        self.calls.append(("queue", scan, parent, path, entries))
        return [SimpleNamespace(number=len(self.calls), path=b"", fresh=True)]

    def commit(self):
        self.calls.append("commit")

    def end_scan(self, *given, **named):
        self.calls.append(("end", given, named))


@pytest.fixture
def clock(monkeypatch):
    one = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: one.now))
    return one


@pytest.fixture
def pools(monkeypatch):
    made = []

    def pool(settings, *, before_fork):
        one = Pool()
        one.settings, one.before_fork = settings, before_fork
        made.append(one)
        return one

    monkeypatch.setattr(module, "Pool", pool)
    return made


@pytest.fixture
def make(clock, pools):
    def scan(*, resumed=None, kind="scan", **options):
        base = {
            "volumes": tuple(Volume(root) for root in ROOTS), "jobs": 2, "filters": (),
            "filterset": "", "algorithms": frozenset({"sha1"}), "service": "test", "remote": False,
            "identities": {},
        }  # fmt: skip
        candidates = []
        one = Scan(
            ScanOptions(**{**base, **options}), Catalog(resumed), Told(), judged=3, kind=kind,
            on_candidate=lambda: candidates.append(1),
        )  # fmt: skip
        one.candidates = candidates
        return one

    return scan


@pytest.mark.parametrize(
    ("full", "resumed", "before"), [(False, None, None), (True, None, 9), (True, 4, 4)]
)
def test_the_roots_are_committed_after_the_scan_is_noted(make, full, resumed, before):
    scan = make(full=full, resumed=resumed, kind="start")
    assert scan._catalog.calls == [
        ("begin", ROOTS, full, "start"), ("expected", ROOTS, before),
        ("queue", 9, 0, b"", [(b"/v", 0)]), ("queue", 9, 0, b"", [(b"/w", 0)]), "commit",
    ]  # fmt: skip
    assert (scan.number, scan.resumed, scan.expected) == (9, resumed, "expected")
    assert {path: root.number for path, root in scan.roots.items()} == {b"/v": 3, b"/w": 4}
    assert scan.dispatch.fraction == 0
    assert scan.dispatch


def test_mounts_are_followed_as_the_options_say(make):
    def follow_mounts(_mounts):
        return []

    assert make(follow_mounts=follow_mounts).dispatch.unseen.follow_mounts is follow_mounts


def test_workers_get_the_roots_and_the_scan(make, pools):
    scan = make(full=True, resumed=4)
    scan.start_workers(7)
    (pool,) = pools
    settings = pool.settings
    assert scan.pool is pool
    assert (settings.options, settings.roots, settings.catalog) == (
        scan.options, (3, 4), "/state/catalog",
    )  # fmt: skip
    assert (settings.judged, settings.scan, settings.resumed, settings.judged_until) == (3, 9, 4, 7)
    scan._catalog.calls.clear()
    pool.before_fork()
    assert scan._catalog.calls == ["commit"]


def test_other_filters_need_other_workers(make, pools):
    scan = make()
    scan.start_workers()
    scan.dispatch = Dispatch()
    scan.start_over("options", 5, 6)
    old, new = pools
    assert old.calls == [("close",)]
    assert scan.dispatch.calls == [("start_over", 5)]
    assert (new.settings.options, new.settings.judged, new.settings.judged_until) == (
        "options",
        5,
        6,
    )
    assert scan.pool is new


def test_messages_and_deaths_of_workers_are_stored(make):
    scan = make()
    scan.dispatch, scan.pool = Dispatch(), Pool()
    scan.pool.said = [("worker", "message"), "other", ("dead", None)]
    assert scan.receive(["other", "quiet"], 0.5) == (2, ["other"])
    assert scan.pool.asked == [(["other", "quiet"], 0.5)]
    assert scan.dispatch.calls == [("heard", "worker", "message"), ("died", "dead")]


def test_a_candidate_is_counted_and_reported_to_the_loop(make):
    scan = make()
    scan.dispatch._on_candidate()
    scan.dispatch._on_candidate()
    assert (scan.summary.candidates, len(scan.candidates)) == (2, 2)


@pytest.mark.parametrize("interrupted", [True, False])
def test_files_in_unfinished_directories_count_if_the_scan_was_interrupted(
    make, clock, interrupted
):
    scan = make()
    scan.dispatch = Dispatch()
    scan.dispatch.tally.hashed, scan.dispatch.early.hashed = 30, 10
    scan.dispatch.early.problems = 4
    assert (scan.tally.hashed, scan.tally.problems) == (40, 4)
    clock.now += 12.5
    scan._catalog.calls.clear()
    summary = scan.end(interrupted=interrupted, missing=2, costs=[1.0], held=[5])
    assert summary is scan.summary
    assert (summary.hashed, summary.problems) == ((40, 6) if interrupted else (30, 2))
    assert (summary.interrupted, summary.seconds) == (interrupted, 12.5)
    assert scan._catalog.calls == [
        ("end", (9,), {
            "files": summary.files, "interrupted": interrupted, "unseen": {b"/gone"},
            "summary": summary, "costs": [1.0], "held": [5],
        }),
    ]  # fmt: skip
    assert scan.dispatch.tally.hashed == 30
