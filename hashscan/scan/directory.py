"""One task of a worker process: a directory listed, or some of its files hashed."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from hashscan.catalog.rows import signed
from hashscan.fs.beneath import MAX_PATH
from hashscan.fs.listing import (
    ListedDirectory,
    ListedError,
    ListedFile,
    ListedGone,
    ListedName,
    ListedOther,
    Unchanged,
    listing,
    names_of,
)
from hashscan.fs.private import is_quarantine
from hashscan.fs.reading import SPARSE_SHARE, stamp_of
from hashscan.model import PRIVATE_DIRECTORY, Problem, Skipped
from hashscan.scan.hashing import Hashed, Linked, NotHashed, outcome_of_error
from hashscan.scan.outcomes import STORAGE_PROBLEMS, count_not_hashed
from hashscan.scan.part import PART_FILES, RENAMED, Part
from hashscan.scan.screening import reason_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hashscan.fs.listing import Listed

#: A part of a directory: PART_FILES files, or so many bytes, to hash at a time.
PART_BYTES = 64 << 20
#: So many names are told at a time.
PART_NAMES = 4096
#: How often a file that was renamed after it was listed is followed, before that is a problem.
_FOLLOWED = 5

#: Levels of directories below the volume that are entered. Each directory is opened from the root,
#: so a chain costs its length squared: at this depth about a millisecond a directory.
MAX_LEVELS = 4096


class DirectoryPart(Part):
    """One task under way."""

    def list_directory(self) -> None:
        """List the directory; hash what changed, or give parts of it away."""
        status = os.fstat(self._fd)
        if self._task.inode not in {0, status.st_ino} and status.st_dev == self._root.device:
            self._findings.replaced = status.st_ino
        if self._is_not_entered(status):
            self._send(done=True)
            return
        unchanged = self._unchanged()
        if not self._task.fresh and unchanged is None:
            self._known = self._worker.catalog.directory(self._task.directory)
        # Only a directory that the catalog knows can have lost files.
        met: set[bytes] | None = set() if self._known else None
        # What has to be opened anyway needs no look before.
        fresh = self._task.fresh and not self._task.again
        names_only = fresh and not self._worker.screen.sizes
        entries = listing(
            self._fd, names_only=names_only, unchanged=unchanged, pause=self._worker.listed
        )
        try:
            for entry in entries:
                if isinstance(entry, ListedName):
                    self._meet_new(entry)
                    continue
                if met is not None and self._known and entry.name in self._known:
                    met.add(entry.name)
                self._meet(entry)
        except OSError as error:
            count_not_hashed(self._findings, b"", outcome_of_error(error))
            self._count_unchanged(unchanged)
            self._finish_part()
            self._finish_new()
            self._send(done=True)
            return
        self._finish_part()
        self._finish_new()
        self._count_unchanged(unchanged)
        for name in self._gone(met) if unchanged is None else unchanged.files:
            self._findings.gone.append(name)
            if len(self._findings.gone) >= PART_NAMES:
                self._send()
        self._send(done=True)

    def _unchanged(self) -> Unchanged | None:
        """What the files are like, if nothing has to be done about one that still is so."""
        task, settings = self._task, self._worker.settings
        if task.fresh or task.again or settings.full or self._root.has_excludes:
            return None
        files = self._worker.catalog.settled(
            task.directory,
            judged=settings.judged,
            until=settings.judged_until,
            algorithms=settings.algorithms,
        )
        return None if files is None else Unchanged(files, *self._root.row_device)

    def _count_unchanged(self, unchanged: Unchanged | None) -> None:
        """Count files that are as they were: hashed ones, and those that are still ruled out."""
        if unchanged is None:
            return
        _, hashed, by_size, by_head = unchanged.met
        tally = self._findings.tally
        tally.unchanged += hashed
        for reason, count in ((Skipped.UNKNOWN_SIZE, by_size), (Skipped.UNKNOWN_HEAD, by_head)):
            if count:
                tally.skip({reason.value: count})

    def _is_not_entered(self, status: os.stat_result) -> bool:
        name = self._task.path.rpartition(b"/")[2]
        reason = self._why_not_entered(name, self._fd, status)
        if reason is not None:
            self._findings.tally.skip({reason.value: 1})
        return reason is not None

    def _why_not_entered(self, name: bytes, fd: int, status: os.stat_result) -> Skipped | None:
        if self._worker.is_own(status):
            return Skipped.HASHSCAN
        if self._worker.is_other_volume(self._root, status):
            return Skipped.OTHER_VOLUME
        private = name.startswith(PRIVATE_DIRECTORY) and status.st_uid == os.geteuid()
        if (private and not status.st_mode & 0o077) or is_quarantine(fd):
            return Skipped.HASHSCAN
        return None

    def _gone(self, met: set[bytes] | None) -> Iterator[bytes]:
        """Names that the catalog has and that are no files here any more."""
        if met is not None and self._known is not None:
            yield from self._known.keys() - met
        elif self._known is None:
            for name in self._worker.catalog.names(self._task.directory):
                try:
                    os.lstat(name, dir_fd=self._fd)
                except FileNotFoundError:
                    yield name
                except OSError:
                    continue

    def _meet(self, entry: Listed) -> None:
        tally = self._findings.tally
        if isinstance(entry, ListedFile):
            if self._root.excludes(self._prefix + entry.name):
                tally.skip({Skipped.EXCLUDED.value: 1})
            elif not self._is_settled(entry):
                self._meet_changed(entry)
        elif isinstance(entry, ListedDirectory):
            self._meet_directory(entry)
        elif isinstance(entry, ListedGone):
            self._lost.append((entry.name, entry.inode))
        elif isinstance(entry, ListedOther):
            excluded = self._root.excludes(self._prefix + entry.name)
            reason = Skipped.EXCLUDED if excluded else entry.reason
            tally.skip({reason.value: 1})
        elif isinstance(entry, ListedError):
            outcome = outcome_of_error(entry.error)
            count_not_hashed(self._findings, entry.name, outcome)
            # It may be a directory.
            self._findings.unread |= outcome.reason in STORAGE_PROBLEMS
        many = max(len(self._findings.directories), len(self._lost))
        if many >= PART_FILES or tally.files >= 16 * PART_FILES:
            self._send()

    def _is_apart(self, entry: ListedFile) -> bool:
        """Whether a file has to be handed back for its size, or that of those before it.

        One of holes is not even read, so its size is none.
        """
        bound = self._worker.settings.large_apart
        if bound is None or self._task.large:
            return False
        size, allocated = entry.status.st_size, 512 * entry.status.st_blocks
        before = self._looked_bytes if self._task.look else 0
        return before + size > bound and allocated > size * (1 - SPARSE_SHARE)

    def _is_ruled_out(self, entry: ListedFile) -> bool:
        return self._worker.screen.rules_out_size(entry.status.st_size)

    def _meet_changed(self, entry: ListedFile) -> None:
        if self._is_ruled_out(entry):
            self._rule_out(entry)
            return
        if self._is_apart(entry):
            self._findings.large.append(entry.name)
            return
        self._looked_bytes += min(entry.status.st_size, 5120 * entry.status.st_blocks)
        self._todo.append(entry)
        self._todo_bytes += entry.status.st_size
        if len(self._todo) >= PART_FILES or self._todo_bytes >= PART_BYTES:
            self._end_part()

    def _meet_directory(self, entry: ListedDirectory) -> None:
        path = self._prefix + entry.name
        # A glob that ends in /* means all below, so the directory itself need not be entered.
        if self._root.excludes(path) or self._root.excludes(path + b"/"):
            self._findings.tally.skip({Skipped.EXCLUDED.value: 1})
        elif len(path) > MAX_PATH or path.count(b"/") >= MAX_LEVELS:
            message = (
                f"directories are followed to {MAX_LEVELS} levels and {MAX_PATH} bytes; "
                "move this one up"
            )
            count_not_hashed(self._findings, entry.name, NotHashed(Problem.TOO_DEEP, message))
        else:
            self._findings.directories.append((entry.name, entry.inode))

    def _is_settled(self, entry: ListedFile) -> bool:
        """Whether the catalog tells what the file holds; then it is counted."""
        if self._known is None:
            row = self._worker.catalog.named(self._task.directory, entry.name)
        else:
            row = self._known.get(entry.name)
        status = entry.status
        if (
            row is None
            or row.inode != signed(status.st_ino)
            or row.stamp != stamp_of(status)
            or row.device != self._root.device_of(status)
            or not (row.head is not None or self._worker.has_all(row.digests))
        ):
            return False
        settings = self._worker.settings
        tally = self._findings.tally
        if settings.full and row.head is not None:
            return False  # every file is to be hashed
        if self._task.again and row.scan == settings.scan and row.judged == settings.judged:
            if row.head is None:
                tally.hashed += 1
                tally.bytes_hashed += row.size
                return True
            if not row.hit:
                tally.skip({reason_of(row.head).value: 1})
                return True
        if row.racy:
            return False
        if settings.full and (settings.resumed is None or row.scan < settings.resumed):
            return False
        is_judged = row.judged == settings.judged or row.scan <= settings.judged_until
        if row.head is not None:
            if row.hit or not is_judged:
                if not self._worker.screen.rules_out(row.size, row.head):
                    return False
                self._findings.rejudged.append((row.name, False))
            tally.skip({reason_of(row.head).value: 1})
            return True
        tally.unchanged += 1
        if row.hit or not is_judged:
            found = self._worker.judge(row.digests)
            if row.judged != settings.judged:
                self._findings.rejudged.append((row.name, bool(found)))
            if found:
                self._found_candidate(entry.name, status, row.digests, found)
        return True

    def _meet_new(self, entry: ListedName) -> None:
        """A file in a directory of which the catalog holds nothing."""
        if self._root.excludes(self._prefix + entry.name):
            self._findings.tally.skip({Skipped.EXCLUDED.value: 1})
            return
        self._new.append(entry)
        if len(self._new) >= PART_FILES:
            self._finish_new()
            self._send()

    def _finish_new(self) -> None:
        """Hash the files that are new, or give them to a process that has nothing to do."""
        names, self._new = self._new, []
        if len(names) >= PART_FILES and self._worker.may_give():
            self._give(names)
        else:
            self._hash_all(names)

    def _hash_all(self, names: Sequence[tuple[bytes, int]], *, may_give: bool = True) -> None:
        """Hash files; after many bytes see whether another process has nothing to do."""
        worker, fd, count, start = self._worker, self._fd, 0, 0
        while start < len(names):
            left = PART_BYTES - count
            start, read = worker.hash_ordinary(fd, names, start, self._root, left)
            count += read
            if count < PART_BYTES and start < len(names):
                count += self._hash_special(*names[start])
                start += 1
            if count >= PART_BYTES:
                count = 0
                if may_give and start < len(names) and worker.may_give():
                    self._give(names[start:])
                    return

    def _hash_special(self, name: bytes, inode: int) -> int:
        """Hash a file that has something special about it; returns the number of bytes read."""
        result = self._worker.hash_single(self._fd, name)
        if isinstance(result, Linked):
            device = self._root.device_of(result.status)
            result = self._worker.hash_link(self._fd, name, result.status, device)
        self._take(name, inode, result)
        return result.bytes_read if isinstance(result, Hashed) else 0

    def _give(self, names: Sequence[tuple[bytes, int]]) -> None:
        """Give files to a process that has nothing to do."""
        self._findings.give = tuple(names)
        self._send()
        self._worker.flush()

    def _end_part(self) -> None:
        """Hash the gathered files, or give them to a process that has nothing to do."""
        if not (self._task.again or self._task.look) and self._worker.may_give():
            names = [(entry.name, entry.status.st_ino) for entry in self._todo]
            self._todo = []
            self._todo_bytes = 0
            self._give(names)
        else:
            self._finish_part()
            self._send()

    def _finish_part(self) -> None:
        todo, self._todo, self._todo_bytes = self._todo, [], 0
        if self._task.again:
            for entry in todo:
                self._hash(entry.name, entry.status)
        else:
            names = [(entry.name, entry.status.st_ino) for entry in todo]
            self._hash_all(names, may_give=not self._task.look)

    def hash_names(self, names: tuple[tuple[bytes, int], ...]) -> None:
        """Hash files that another process listed; what dies with it is listed once more."""
        self._hash_all(names)
        self._send(done=True)

    def follow(self, lost: Sequence[tuple[bytes, int]]) -> None:
        """Hash files that were gone when they were opened, under their present names.

        The directory is listed once for all of them. A removed file has no name any more and is
        skipped. A file that is renamed faster than it can be opened is a problem, never silence.
        """
        self._lost = list(lost)
        self._follow_lost()
        self._send(done=True)

    def _follow_lost(self) -> None:
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
                if self._root.excludes(self._prefix + now):
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
        self._lost = []

    def _hash(self, name: bytes, status: os.stat_result) -> None:
        if name in self._task.avoid:
            message = "a worker process died over it, more than once; see the kernel's log"
            count_not_hashed(self._findings, name, NotHashed(Problem.WORKER_DIED, message))
            return
        if self._task.again:
            self._worker.announce(self._task, name)
        if status.st_nlink > 1:
            result = self._worker.hash_link(self._fd, name, status, self._root.device_of(status))
        else:
            result = self._worker.hash(self._fd, name)
        self._take(name, status.st_ino, result, was_file=stat.S_ISREG(status.st_mode))
