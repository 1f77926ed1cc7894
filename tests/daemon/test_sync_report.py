"""The result of a sync: its lines in the log, its faults, and its facts for the status file."""

import pytest

from hashscan.daemon.background_job import Failure
from hashscan.daemon.sync_report import NOT_SYNCED, faults_of, synced
from hashscan.known.sync.client import CategoryReport, SyncReport


class Lines:
    """Keeps the lines of a log."""

    def __init__(self):
        self.written = []

    def write(self, level, text):
        self.written.append((level, text))

    def limited(self, key, level, text):
        self.written.append((key, level, text))


def category(name, state, **facts):
    return CategoryReport(category=name, state=state, **facts)


@pytest.mark.parametrize(
    ("report", "lines", "faults"),
    [
        (
            category("a", "updated", version="3", way="patch"),
            [("info", "filter a: version 3 (patch, 1,234 bytes fetched)")],
            [],
        ),
        (
            category("a", "updated", version="3"),
            [("info", "filter a: version 3 (tiers, 1,234 bytes fetched)")],
            [],
        ),
        (category("a", "current", version="3"), [], []),
        (category("a", "current", message="no tier"), [("tier", "warning", "no tier")], []),
        (category("a", "unreachable", message="no route"), [], ["filter a: unreachable: no route"]),
        (category("a", "refused", message="bad"), [], ["filter a: refused: bad"]),
    ],
)
def test_a_category_of_a_sync(report, lines, faults):
    log = Lines()
    found = SyncReport("https://r.example", (report, category("b", "current")), 1234, 60.0)
    assert faults_of(found, log) == (faults, 60.0)
    assert log.written == lines


def test_a_sync_that_failed_has_one_fault():
    log = Lines()
    assert faults_of(Failure("StateError", "disk full"), log) == (["disk full"], None)
    assert log.written == []


def test_before_the_first_sync_nothing_fails():
    assert NOT_SYNCED == {"time": None, "message": "", "failing_since": None, "refused": False}


def test_syncs_that_fail_one_after_the_other_fail_since_the_first():
    first = synced(["a: x", "b: y"], 10.0, NOT_SYNCED)
    assert first == {"time": 10.0, "message": "a: x; b: y", "failing_since": 10.0, "refused": False}
    second = synced(["z"], 20.0, first)
    assert (second["time"], second["message"], second["failing_since"]) == (20.0, "z", 10.0)
    well = synced([], 30.0, {**second, "refused": True})
    assert well == {"time": 30.0, "message": "", "failing_since": None, "refused": False}
    assert synced(["z"], 40.0, well)["failing_since"] == 40.0
