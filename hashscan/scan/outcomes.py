"""What becomes of an entry that is not hashed: counted, told, looked at once more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hashscan.catalog.rows import FoundProblem
from hashscan.model import Problem, Skipped

if TYPE_CHECKING:
    from hashscan.scan.hashing import NotHashed
    from hashscan.scan.work import Findings

#: Problems that may pass without a further change of the file.
_PASSING = {Problem.CHANGED, Problem.BUSY, Problem.IO_ERROR, Problem.STALE}

#: Problems of the storage, or of this machine: if a directory has one, the scan does not see its
#: files.
STORAGE_PROBLEMS = {Problem.IO_ERROR, Problem.STALE, Problem.OTHER}

#: Reasons in the file itself that may surprise its owner: reported with the path and these words.
WHY_SKIPPED = {
    Skipped.SPARSE.value: "nearly all of it is holes, not data",
    Skipped.TOO_LARGE.value: "it is larger than scan.max_file_size",
}


def count_not_hashed(findings: Findings, name: bytes, outcome: NotHashed) -> None:
    """Count one entry that was not hashed; a problem is told too."""
    if isinstance(outcome.reason, Skipped):
        findings.tally.skip({outcome.reason.value: 1})
        if outcome.reason.value in WHY_SKIPPED:
            findings.skipped.append((name, outcome.reason.value))
    else:
        findings.tally.problems += 1
        findings.problems.append(FoundProblem(name, outcome.reason.value, outcome.message))
        if not name and outcome.reason in STORAGE_PROBLEMS:
            findings.unread = True
        if name and outcome.reason in _PASSING:
            findings.later.append((name, 0))
