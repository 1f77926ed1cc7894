"""hashscan.scan.outcomes: which outcomes are only counted, reported, or checked again."""

import pytest

from hashscan.model import Problem, Skipped
from hashscan.scan.hashing import NotHashed
from hashscan.scan.outcomes import count_not_hashed
from hashscan.scan.work import Findings


def counted(name, reason):
    findings = Findings(0)
    count_not_hashed(findings, name, NotHashed(reason, "why"))
    return findings


@pytest.mark.parametrize("reason", Skipped)
def test_of_what_is_skipped_only_what_may_surprise_is_told(reason):
    findings = counted(b"f", reason)
    assert findings.tally.skipped == {reason.value: 1}
    told = reason in {Skipped.SPARSE, Skipped.TOO_LARGE}
    assert findings.skipped == ([(b"f", reason.value)] if told else [])
    assert (findings.problems, findings.tally.problems, findings.later) == ([], 0, [])


@pytest.mark.parametrize("reason", Problem)
@pytest.mark.parametrize("name", [b"f", b""])
def test_a_problem_is_told_and_looked_at_again_if_it_may_pass(reason, name):
    findings = counted(name, reason)
    assert [tuple(one) for one in findings.problems] == [(name, reason.value, "why")]
    assert (findings.tally.problems, findings.tally.skipped) == (1, {})
    passing = {Problem.CHANGED, Problem.BUSY, Problem.IO_ERROR, Problem.STALE}
    assert findings.later == ([(b"f", 0)] if name and reason in passing else [])
    # Of a directory whose storage fails no file is seen, however many there are.
    storage = {Problem.IO_ERROR, Problem.STALE, Problem.OTHER}
    assert findings.unread == (not name and reason in storage)
