"""hashscan.daemon.watch_coverage: no scan before the watch has said what it watches."""

import io

import pytest

from hashscan.catalog.store import Catalog
from hashscan.daemon.log import Log
from hashscan.daemon.watch_coverage import Coverages
from hashscan.fs.volume import Volume
from hashscan.jobs.volume_presence import Seen
from hashscan.watch.source import Coverage


def test_a_scan_waits_for_each_watch_that_was_started():
    volumes = [Volume(b"/a"), Volume(b"/b")]
    coverage = Coverages(volumes, None, Log(io.StringIO(), io.StringIO()))
    coverage.awaits(range(2))
    coverage.heard(Coverage(0, "inotify"))
    assert coverage.has_report(0)
    assert not coverage.has_report(1)
    assert coverage.facts()[1]["backend"] == "starting"
    coverage.heard(Coverage(1, "inotify"))
    assert coverage.has_report(1)
    coverage.awaits([1])  # it died, and was started again
    assert not coverage.has_report(1), "what changes until it is set would be missed by both"
    coverage.awaits_no_more([1])  # it is not started again for a while: scans are all there is
    assert coverage.has_report(1)


def test_the_facts_for_status(monkeypatch):
    monkeypatch.setattr("hashscan.daemon.watch_coverage.time.time", lambda: 5.0)
    coverage = Coverages([Volume(b"/a")], None, Log(io.StringIO(), io.StringIO()))
    coverage.awaits([0])
    facts = {
        "path": "/a", "backend": "starting", "starting": 5.0, "directories": 0, "unwatched": 0,
        "example": "", "message": "", "blind": "", "away": None,
    }  # fmt: skip
    assert coverage.facts() == [facts]
    coverage.awaits_no_more([0])
    assert coverage.facts() == [{**facts, "starting": None}]
    coverage.heard(
        Coverage(0, "inotify", directories=3, unwatched=2, example=b"/a/x", message="m", blind="b")
    )
    facts |= {"backend": "inotify", "directories": 3, "unwatched": 2, "example": "/a/x"}
    facts |= {"message": "m", "blind": "b", "starting": None}
    assert coverage.facts() == [facts]
    coverage.awaits([0])
    assert coverage.facts() == [{**facts, "backend": "starting", "starting": 5.0}]


@pytest.fixture
def told(tmp_path, monkeypatch):
    """Coverages of one volume, and the lines that they log."""
    catalog, out = Catalog(str(tmp_path / "c.sqlite3")), io.StringIO()
    coverage = Coverages([Volume(b"/a")], catalog, Log(out, out))

    coverage.recorded = []
    for name in ("volume_lost", "volume_back"):
        note = lambda *given, name=name: coverage.recorded.append((name, *given))  # noqa: E731
        monkeypatch.setattr(coverage._log.record, name, note)

    def lines():
        found = out.getvalue().splitlines()
        out.seek(0)
        out.truncate()
        return found

    yield coverage, lines
    catalog.close()


def test_a_volume_that_is_away_is_told_once_and_again_when_it_is_back(told):
    coverage, lines = told
    there, gone = Seen(b"/a", None), Seen(b"/a", "it cannot be opened: No such file")
    assert coverage.may_be_scanned(0, there)
    assert (lines(), coverage.said) == ([], 0)
    for _ in range(2):
        assert not coverage.may_be_scanned(0, gone)
    assert list(coverage.away) == [0]
    assert coverage.facts()[0]["away"] == gone.error
    (line,) = lines()
    assert "/a: not scanned: it cannot be opened: No such file; what is known" in line
    assert not coverage.may_be_scanned(0, gone._replace(error="it cannot be opened: I/O error"))
    assert "I/O error" in lines()[0]
    for _ in range(2):
        assert coverage.may_be_scanned(0, there)
    assert list(coverage.away) == []
    (line,) = lines()
    assert "/a: it is there again" in line
    assert coverage.said == 3, "gone, for another reason, and back"
    lost = [("volume_lost", b"/a", f"it cannot be opened: {why}") for why in (
        "No such file", "I/O error",
    )]  # fmt: skip
    back = ("volume_back", b"/a")
    assert coverage.recorded == [back, *lost, back, back]


def test_a_path_that_leads_elsewhere_now_is_not_scanned_before_a_reload(told):
    coverage, lines = told
    assert not coverage.may_be_scanned(0, Seen(b"/b", None))
    assert "/a: not scanned: its path leads to /b now; if that is meant, reload" in lines()[0]
    assert not coverage.may_be_scanned(0, Seen(b"/b", "it cannot be opened: I/O error"))
    assert "I/O error" in lines()[0], "what it cannot be opened for matters more"


def test_an_empty_mount_point_is_not_an_empty_volume(told):
    coverage, lines = told
    assert coverage.may_be_scanned(0, Seen(b"/a", None, mounted=True))
    assert not coverage.may_be_scanned(0, Seen(b"/a", None, empty=True))
    assert "its file system is not mounted; mount it, and it is scanned" in lines()[0]


def test_what_a_watch_says_is_logged_when_it_changes(told):
    coverage, lines = told
    one = Coverage(0, "inotify", directories=3)
    coverage.heard(one)
    assert "/a: watched by inotify, 3 directories" in lines()[0]
    coverage.heard(one)
    coverage.heard(Coverage(0, "inotify", directories=4))
    assert lines() == [], "more directories are no news"
    assert coverage.said == 3, "status shows them"
    for other in (
        Coverage(0, "inotify", directories=4, unwatched=1),
        Coverage(0, "fanotify", unwatched=1),
        Coverage(0, "fanotify", unwatched=1, message="too few"),
    ):
        coverage.heard(other)
        assert len(lines()) == 1, other
