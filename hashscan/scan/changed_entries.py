"""Checks entries of a directory that the watch reported as changed: a task of a worker process."""

from __future__ import annotations

import errno
import os
import time

from hashscan.fs.beneath import closing, each_on_the_way, is_regular, open_file
from hashscan.fs.listing import ListedFile, ListedGone, listed
from hashscan.fs.racy import has_writer
from hashscan.model import Skipped
from hashscan.scan.directory_task import DirectoryTask

#: Nanoseconds without a change after which a file that the watch reported counts as complete.
REST = 200_000_000


def is_at_rest(directory: int, entry: ListedFile) -> bool:
    """Return whether a file is complete: no recent change, and no process writes to the file.

    A file on which another process has a lease is not complete: the kernel breaks the lease first.
    A file that cannot be opened for another reason counts as complete here, because the hashing
    reports the reason.
    """
    age = time.time_ns() - entry.status.st_ctime_ns
    if 0 <= age < REST:
        return False
    try:
        with closing(open_file(directory, entry.name)) as fd:
            return not (is_regular(os.fstat(fd)) and has_writer(fd))
    except OSError as error:
        return error.errno != errno.EAGAIN


class ChangedEntries(DirectoryTask):
    """Checks only the entries that the task names: files, directories and links."""

    def _is_below_not_entered(self) -> bool:
        """Return whether a scan would not enter this directory or a directory above it.

        A scan checks each directory on its way down; the watch reports changes anywhere.
        """
        if self._why_not_entered(b"", self._root.fd, os.fstat(self._root.fd)) is not None:
            return True
        path = b""
        for name, fd in each_on_the_way(self._root.fd, self._task.path):
            path = path + b"/" + name if path else name
            if self._root.excludes(path) or self._root.excludes(path + b"/"):
                return True
            if self._why_not_entered(name, fd, os.fstat(fd)) is not None:
                return True
        return False

    def run(self) -> None:
        """Hash the complete files among the entries, and return the other files to the engine.

        Raises:
            OSError: the directory of the entries cannot be read.
        """
        self._known = None
        if not self._is_below_not_entered():
            for name, _ in self._task.names or ():
                self._check(name)
            self._finish_part()
        self._send(done=True)

    def _check(self, name: bytes) -> None:
        entry = listed(self._fd, name)
        if isinstance(entry, ListedGone):
            if self._tools.catalog.has(self._task.directory, name):
                self._findings.gone.append(name)
        elif not isinstance(entry, ListedFile):
            self._handle(entry)
        elif self._task.final:
            if not (self._is_excluded(name) or is_at_rest(self._fd, entry)):
                # The watch may report no event for data that a process writes into the file after
                # this check.
                self._findings.later.append((name, entry.status.st_size))
            self._handle(entry)
        elif self._is_excluded(name):
            self._findings.tally.skip({Skipped.EXCLUDED.value: 1})
        elif self._is_ruled_out(entry) and not is_at_rest(self._fd, entry):
            # The present size does not rule out the file's final size. Therefore the file is
            # checked again, however large it is, even if a scan has stored a row for it meanwhile.
            self._findings.unrested.append((name, entry.status.st_size))
        elif not self._is_settled(entry):
            if self._is_apart(entry) or is_at_rest(self._fd, entry):
                self._handle_changed(entry)
            else:
                self._findings.unrested.append((name, entry.status.st_size))
