"""What the daemon counts goes on over reloads."""

from types import SimpleNamespace

from hashscan.daemon.counters import Counters
from hashscan.daemon.status_file import counted_by
from hashscan.model import Summary
from hashscan.scan.messages import Tally


def session(*, running_scan=None, scans=()):
    ended = Counters()
    for one in scans:
        ended.add_scan(one)
    return SimpleNamespace(
        ended=ended, running_scan=running_scan, events=5, lost=1, changed_files=SimpleNamespace(tally=Tally(hashed=10)),
        found=Summary(candidates=2, false_positives=1),
    )  # fmt: skip


def test_a_scan_that_runs_counts_and_counts_once():
    running = session(
        running_scan=SimpleNamespace(tally=Tally(hashed=7, skipped={"fifo": 1}, bytes_hashed=9))
    )
    found = counted_by(running, Counters()).facts()
    assert found["files"] == {"hashed": 17, "unchanged": 0, "skipped": 1, "problem": 0}
    summary = Summary(hashed=7, skipped={"fifo": 1}, bytes_hashed=9, candidates=3)
    ended = counted_by(session(scans=[summary]), Counters()).facts()
    assert ended["files"] == found["files"]
    assert (ended["scans"], found["scans"]) == (1, 0)
    assert (ended["candidates"], ended["false_positives"]) == (5, 1)
    assert ended["hashed_bytes"] == 9


def test_each_count_of_scans_that_ended_is_added():
    one = Summary(
        hashed=1, unchanged=2, skipped={"fifo": 3}, problems=4, bytes_hashed=5, candidates=6,
        false_positives=7,
    )  # fmt: skip
    before = counted_by(session(scans=[one]), Counters())
    after = counted_by(session(scans=[one, one]), before)
    assert after.facts() == {
        "files": {"hashed": 23, "unchanged": 6, "skipped": 9, "problem": 12},
        "skipped": {"fifo": 9}, "hashed_bytes": 15, "events": 10, "losses": 2, "scans": 3,
        "candidates": 22, "false_positives": 23,
    }  # fmt: skip


def test_a_reload_loses_nothing():
    before = counted_by(session(scans=[Summary(hashed=1)]), Counters())
    assert counted_by(None, before) == before
    after = counted_by(session(), before)
    assert (after.tally.hashed, after.events, after.losses, after.scans) == (21, 10, 2, 1)
    assert before.tally.hashed == 11, "it is not changed"


def test_nothing_is_counted_before_the_start():
    assert Counters().facts() == {
        "files": {"hashed": 0, "unchanged": 0, "skipped": 0, "problem": 0}, "skipped": {},
        "hashed_bytes": 0, "events": 0, "losses": 0, "scans": 0, "candidates": 0,
        "false_positives": 0,
    }  # fmt: skip
