"""Hashes files that were gone when a worker process opened them: a task of a worker process.

The task lists the directory once for all these files. A removed file has no name any more and is
skipped. A file that is renamed faster than it can be opened is reported as a problem.
"""

from __future__ import annotations

import os

from hashscan.fs.listing import names_of
from hashscan.model import Problem, Skipped
from hashscan.scan.directory_task import DirectoryTask
from hashscan.scan.findings import count_not_hashed
from hashscan.scan.hashing import NotHashed, outcome_of_error
from hashscan.scan.messages import PART_FILES

RENAMED = "it was renamed again and again while it was scanned; see who does that"
#: Number of renames of a file that the task follows; then the file is reported as a problem.
_FOLLOWED = 5


class LostFiles(DirectoryTask):
    """A task that follows renamed files by their inodes."""

    def run(self) -> None:
        """Hash the files that the task names, under their present names."""
        self._lost = list(self._task.names or ())
        self._follow()
        self._send(done=True)

    def _follow(self) -> None:
        for _ in range(_FOLLOWED):
            lost, self._lost = self._lost, []
            if not lost:
                return
            try:
                names = names_of(self._fd, {inode for _, inode in lost})
            except OSError as error:
                for name, _ in lost:
                    count_not_hashed(self._findings, name, outcome_of_error(error))
                return
            for name, inode in lost:
                if len(self._findings.rows) >= PART_FILES:
                    self._send()
                now = names.get(inode)
                if now is None:
                    self._findings.tally.skip({Skipped.VANISHED.value: 1})
                    continue
                if self._is_excluded(now):
                    self._findings.tally.skip({Skipped.EXCLUDED.value: 1})
                    continue
                try:
                    self._hash(now, os.lstat(now, dir_fd=self._fd))
                except FileNotFoundError:
                    self._lost.append((name, inode))
                except OSError as error:
                    count_not_hashed(self._findings, name, outcome_of_error(error))
        for name, _ in self._lost:
            count_not_hashed(self._findings, name, NotHashed(Problem.CHANGED, RENAMED))
