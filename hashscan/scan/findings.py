"""Reports one directory entry: its row, its candidate, or the reason why it was not hashed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hashscan.catalog.rows import FoundCandidate, FoundProblem, unsigned
from hashscan.fs.reading import stamp_of
from hashscan.model import Identity, Problem, Skipped

if TYPE_CHECKING:
    import os

    from hashscan.catalog.rows import FileRow
    from hashscan.model import FileDigests, FilterHit
    from hashscan.scan.hashing import NotHashed
    from hashscan.scan.messages import Findings

#: Problems of a file that may end without a further change of the file.
_PASSING = {Problem.CHANGED, Problem.BUSY, Problem.IO_ERROR, Problem.STALE}

#: Problems of the storage, or of this machine: if a directory has such a problem, the scan does not
#: see the directory's files.
STORAGE_PROBLEMS = {Problem.IO_ERROR, Problem.STALE, Problem.OTHER}

#: Reasons that may surprise the file's owner: such a file is reported with its path and these
#: words.
WHY_SKIPPED = {
    Skipped.SPARSE.value: "nearly all of it is holes, not data",
    Skipped.TOO_LARGE.value: "it is larger than scan.max_file_size",
}


def count_not_hashed(findings: Findings, name: bytes, outcome: NotHashed) -> None:
    """Count one directory entry that was not hashed; report the entry, too, if it is a problem."""
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


def candidate_of(
    name: bytes,
    status: os.stat_result,
    digests: FileDigests,
    found: tuple[FilterHit, ...],
) -> FoundCandidate:
    """Return the candidate of a file whose digests have the filter hits ``found``."""
    return FoundCandidate(
        name,
        Identity(status.st_dev, status.st_ino),
        stamp_of(status),
        digests,
        status.st_nlink,
        status.st_uid,
        found,
    )


def candidate_of_row(
    row: FileRow, found: tuple[FilterHit, ...], *, owner: int, root: int
) -> FoundCandidate:
    """Return the candidate of a file whose inode has one name, from the file's row.

    ``root`` is the device number of the volume's root.
    """
    return FoundCandidate(
        row.name,
        Identity(root if row.device < 0 else row.device, unsigned(row.inode)),
        row.stamp,
        row.digests,
        1,
        owner,
        found,
    )
