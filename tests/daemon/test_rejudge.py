"""Judging the catalog anew goes on whatever waits for its writers."""

import io
from types import SimpleNamespace
from typing import ClassVar, NamedTuple

import pytest

from hashscan.catalog.store import Catalog
from hashscan.daemon import rejudge as module
from hashscan.daemon.log import Log
from hashscan.daemon.rejudge import Judging
from hashscan.scan.rejudge import Judged


def test_files_that_somebody_keeps_open_do_not_stop_it():
    looking = SimpleNamespace(queued=0, backlog=50_000)
    judging = Judging(None, looking, (), None, lambda: None)
    judging._process = SimpleNamespace(connections=["its connection"])
    assert judging.connections == ["its connection"]
    looking.queued = 50_000
    assert judging.connections == []


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
def judging(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "Rejudging", Dies)
    monkeypatch.setattr(Dies, "made", [])
    err = io.StringIO()
    wanted = []
    catalog = Catalog(str(tmp_path / "catalog"))
    looking = SimpleNamespace(queued=0, scan=5, begin=lambda: None)
    made = Judging(
        catalog, looking, (), Log(io.StringIO(), err), lambda: wanted.append("scan"), jobs=1
    )
    yield made, wanted, err, catalog
    catalog.close()


def die(one):
    one.take(one.connections)


def test_a_process_that_dies_is_started_again_and_given_up_at_the_third_time(judging):
    one, wanted, err, _ = judging
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


def test_one_that_is_started_again_and_comes_through_is_no_reason_for_a_scan(judging, monkeypatch):
    one, wanted, err, catalog = judging
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
