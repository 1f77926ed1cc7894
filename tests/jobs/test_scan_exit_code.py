"""The exit code of a scan: matches about which an administrator has decided do not count."""

import pytest

from hashscan.errors import (
    ExitCode,
)
from hashscan.jobs.scan_exit_code import exit_code
from hashscan.model import Acted, Summary
from hashscan.scan.confirmation import Confirmation

RESTORED = Acted("held", quarantine_id="1", message="restored")
UNSURE = Acted("held", message="nobody can say", problem="changed")
ALLOWED = Acted("allowed")
MOVED = Acted("quarantined", quarantine_id="2")
REPORTED = Acted("reported")


@pytest.mark.parametrize(
    ("matches", "code"),
    [
        ([], ExitCode.NOTHING_FOUND),
        ([RESTORED], ExitCode.NOTHING_FOUND),
        ([RESTORED, ALLOWED], ExitCode.NOTHING_FOUND),
        ([UNSURE], ExitCode.MATCHES),
        ([RESTORED, MOVED], ExitCode.MATCHES),
        ([RESTORED, REPORTED], ExitCode.MATCHES),
        ([RESTORED, UNSURE], ExitCode.MATCHES),
    ],
)
def test_of_matches(matches, code):
    summary = Summary()
    for acted in matches:
        Confirmation._count(None, summary, acted)
    assert summary.matches == len(matches), "they are reported whatever was decided"
    assert exit_code(summary) == code


def test_a_restored_match_hides_neither_problems_nor_pending_ones():
    summary = Summary(matches=1, held=1, restored=1)
    summary.problems = 1
    assert exit_code(summary) == ExitCode.UNREADABLE
    summary.pending = 1
    assert exit_code(summary) == ExitCode.SERVICE


@pytest.mark.parametrize(
    ("counts", "code"),
    [
        ({}, ExitCode.NOTHING_FOUND),
        ({"matches": 1}, ExitCode.MATCHES),
        ({"matches": 1, "held": 1, "restored": 1}, ExitCode.NOTHING_FOUND),
        ({"pending": 1, "problems": 1}, ExitCode.SERVICE),
        ({"problems": 1}, ExitCode.UNREADABLE),
        ({"matches": 1, "pending": 1, "problems": 1}, ExitCode.MATCHES),
        ({"interrupted": True}, ExitCode.INTERRUPTED),
    ],
)
def test_the_exit_code_of_a_scan(counts, code):
    summary = Summary()
    for name, value in counts.items():
        setattr(summary, name, value)
    assert exit_code(summary) == code
