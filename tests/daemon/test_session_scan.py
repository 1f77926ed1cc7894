"""hashscan.daemon.session_scan: the start of a scan, and when worker processes get directories."""

import math
import sqlite3
from contextlib import closing
from types import SimpleNamespace

import pytest

from hashscan.catalog.store import Catalog
from hashscan.daemon import session_scan
from hashscan.daemon.session_scan import Walk
from hashscan.fs.volume import Volume
from hashscan.model import Summary
from hashscan.scan.messages import WorkerSettings
from hashscan.scan.options import ScanOptions


@pytest.mark.parametrize(
    ("hold", "last_turn", "handed"),
    [
        (True, math.inf, [{"urgent": True}]),
        (True, 0.0, [{}]),
        (False, math.inf, [{}]),
    ],
)
def test_a_held_scan_hands_out_only_what_was_begun_until_its_turn(hold, last_turn, handed):
    class Hands:
        def __init__(self):
            self.options = []

        def hand_out(self, pool, **options):
            assert pool == "pool"
            self.options.append(options)

    walk = object.__new__(Walk)
    walk.pool, walk._dispatch, walk._last_turn = "pool", Hands(), last_turn
    walk.hand_out(hold=hold)
    assert walk._dispatch.options == handed
    assert (walk._last_turn == last_turn) is ("urgent" in handed[0])


class Parts:
    """The work and the worker processes of a scan, without processes."""

    def __init__(self, monkeypatch):
        self.pushed, self.settings, self.given = [], None, None
        self.unseen = SimpleNamespace(follow_mounts=None)
        monkeypatch.setattr(session_scan, "Dispatch", self._dispatch)
        monkeypatch.setattr(session_scan, "Pool", self._pool)

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
    catalog = Catalog(str(tmp_path / "catalog"))
    volumes = (Volume(b"/a"), Volume(b"/b"))
    options = ScanOptions(
        volumes=volumes, jobs=3, filters=(), filterset="f", algorithms=frozenset({"sha1"}),
        service="s", remote=True, follow_mounts=lambda _root: list,
    )  # fmt: skip
    confirmation, scans = SimpleNamespace(summaries={}, more=False), []
    record = SimpleNamespace(scan=lambda roots, *, kind: scans.append((list(roots), kind)))
    walk = Walk(
        options, catalog, None, confirmation, record, kind="schedule", volumes=[4, 7],
        judged=5, judged_until=6,
    )  # fmt: skip
    assert scans == [([b"/a", b"/b"], "schedule")]
    assert [(volume, share) for volume, _, share in parts.pushed] == [(0, 0.5), (1, 0.5)]
    roots = tuple(directory.number for _, directory, _ in parts.pushed)
    assert [catalog.volume_of(number) for number in roots] == [b"/a", b"/b"]
    assert {directory.path for _, directory, _ in parts.pushed} == {b""}
    assert parts.unseen.follow_mounts is options.follow_mounts
    assert (parts.given["scan"], parts.given["judged"], parts.given["jobs"]) == (walk.scan, 5, 3)
    assert parts.settings == WorkerSettings(
        options, roots, catalog.path, judged=5, scan=walk.scan, judged_until=6
    )
    assert (walk.pool, walk.kind, walk.volumes) == ("pool", "schedule", [4, 7])
    parts.given["on_candidate"]()
    assert confirmation.summaries == {walk.scan: Summary(candidates=1)}
    with closing(sqlite3.connect(catalog.path)) as committed:
        rows = committed.execute("SELECT kind, complete FROM scan").fetchall()
    assert rows == [("schedule", 0)]
    catalog.close()
