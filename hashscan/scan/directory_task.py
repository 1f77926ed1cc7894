"""Runs a task of a worker process: lists a directory, or hashes some of its files.

A task gets its tools from the worker and has no reference to it. The object ``findings`` makes the
reports.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hashscan.catalog.rows import FileRow, found_row, values_of
from hashscan.fs.beneath import MAX_PATH
from hashscan.fs.listing import (
    ListedDirectory,
    ListedError,
    ListedFile,
    ListedGone,
    ListedName,
    ListedOther,
    listing,
)
from hashscan.fs.private import is_quarantine
from hashscan.fs.reading import SPARSE_SHARE
from hashscan.model import (
    PRIVATE_DIRECTORY,
    FileDigests,
    Identity,
    Problem,
    Skipped,
)
from hashscan.scan.findings import (
    STORAGE_PROBLEMS,
    candidate_of,
    candidate_of_row,
    count_not_hashed,
)
from hashscan.scan.hashing import Hashed, Linked, NotHashed, outcome_of_error
from hashscan.scan.messages import PART_FILES, Findings, Job, Task
from hashscan.scan.unchanged_files import count_unchanged

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hashscan.catalog.reader import CatalogReader
    from hashscan.catalog.rows import RawRow
    from hashscan.fs.listing import Listed, Unchanged
    from hashscan.scan.file_hasher import FileHasher
    from hashscan.scan.messages import WorkerSettings
    from hashscan.scan.outbox import FindingsOutbox
    from hashscan.scan.screening import Filters, Screen
    from hashscan.scan.unchanged_files import UnchangedFiles
    from hashscan.scan.volume_root import VolumeRoot

#: Number of bytes after which a part of a directory is full. A part with PART_FILES files is full
#: as well.
PART_BYTES = 64 << 20
#: Number of file names that are sent to the engine together.
PART_NAMES = 4096
#: Largest depth below the volume's root at which directories are entered. Each directory is opened
#: from the root, so a chain of directories costs its length squared: at this depth about a
#: millisecond a directory.
MAX_LEVELS = 4096
_SWAPPED = "it was a file and is something else now; the next scan checks it"
_OTHER_KINDS = {Skipped.SYMLINK, Skipped.FIFO, Skipped.SOCKET, Skipped.DEVICE}
#: The digests in the row of a file that is skipped by its size.
_NO_DIGESTS = FileDigests()
_size_and_head = values_of("size", "head")


@dataclass(frozen=True, slots=True)
class Tools:
    """Holds the tools that a task gets from its worker.

    Attributes:
        settings: the settings of the scan's worker processes.
        catalog: finds the rows of files in the catalog.
        unchanged: decides which files are unchanged and need not be hashed.
        filters: check the digests of files.
        screen: rules files out by their size.
        hasher: hashes files, at the pace of this kind of task.
        outbox: sends the findings to the engine.
    """

    settings: WorkerSettings
    catalog: CatalogReader
    unchanged: UnchangedFiles
    filters: Filters
    screen: Screen
    hasher: FileHasher
    outbox: FindingsOutbox


class DirectoryTask:
    """Holds a running task, plus its findings that are not sent yet."""

    def __init__(self, tools: Tools, task: Task, root: VolumeRoot, fd: int) -> None:
        """Prepare a task for the directory below ``root`` that is open at descriptor ``fd``."""
        self._tools = tools
        self._task = task
        self._root = root
        self._fd = fd
        self._findings = Findings(task.group)
        self._prefix = task.path + b"/" if task.path else b""
        self._todo: list[ListedFile] = []
        self._todo_bytes = 0
        self._new: list[tuple[bytes, int]] = []
        self._seen_bytes = 0
        self._known: dict[bytes, FileRow | None] | None = {}
        self._lost: list[tuple[bytes, int]] = []
        # Rows and owners of ordinary files that are hashed and not yet checked by the filters.
        self._rows: list[RawRow] = []
        self._owners: list[int] = []

    def run(self) -> None:
        """Do the task in its directory, and send the findings to the engine.

        Raises:
            OSError: the task's directory cannot be read, e.g. a file server has lost it.
        """
        if self._task.names is None:
            self._list()
        else:
            # Another process listed these files; if this process dies, the directory is listed
            # again.
            self._hash_all(self._task.names)
            self._send(done=True)

    def fail(self, outcome: NotHashed) -> None:
        """End the task with an error of its directory; the directory counts as one entry."""
        count_not_hashed(self._findings, b"", outcome)
        self._send(done=True)

    def send_findings(self) -> None:
        """Send the task's findings so far to the engine."""
        self._send()

    # Listing

    def _list(self) -> None:
        """List the directory; hash changed files, or hand parts of it to idle processes."""
        status = os.fstat(self._fd)
        if self._task.inode not in {0, status.st_ino} and status.st_dev == self._root.device:
            self._findings.replaced = status.st_ino
        if self._is_not_entered(status):
            self._send(done=True)
            return
        unchanged = None
        if not self._task.fresh:
            unchanged = self._tools.unchanged.of_directory(self._task, self._root)
        if not self._task.fresh and unchanged is None:
            self._known = self._tools.catalog.directory(self._task.directory)
        # Only a directory that the catalog knows can have lost files.
        met: set[bytes] | None = set() if self._known else None
        # A new file is opened anyway, so no stat is needed before.
        fresh = self._task.fresh and not self._task.again
        names_only = fresh and not self._tools.screen.sizes
        entries = listing(
            self._fd, names_only=names_only, unchanged=unchanged, pause=self._tools.hasher.listed
        )
        try:
            for entry in entries:
                if isinstance(entry, ListedName):
                    self._handle_new(entry)
                    continue
                if met is not None and self._known and entry.name in self._known:
                    met.add(entry.name)
                self._handle(entry)
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

    def _count_unchanged(self, unchanged: Unchanged | None) -> None:
        if unchanged is not None:
            count_unchanged(unchanged, self._findings.tally)

    def _is_not_entered(self, status: os.stat_result) -> bool:
        name = self._task.path.rpartition(b"/")[2]
        reason = self._why_not_entered(name, self._fd, status)
        if reason is not None:
            self._findings.tally.skip({reason.value: 1})
        return reason is not None

    def _why_not_entered(self, name: bytes, fd: int, status: os.stat_result) -> Skipped | None:
        identity = Identity(status.st_dev, status.st_ino)
        if identity in self._tools.settings.options.own:
            return Skipped.HASHSCAN
        if identity in self._root.others:
            return Skipped.OTHER_VOLUME
        # Only the agent can make a directory with its own owner and this mode. Therefore a customer
        # cannot hide files below a directory with such a name.
        is_private = status.st_uid == os.geteuid() and not status.st_mode & 0o077
        if is_private and (name.startswith(PRIVATE_DIRECTORY) or is_quarantine(fd)):
            return Skipped.HASHSCAN
        return None

    def _gone(self, met: set[bytes] | None) -> Iterator[bytes]:
        """Yield names that the catalog contains and that are no longer files in the directory."""
        if met is not None and self._known is not None:
            yield from self._known.keys() - met
        elif self._known is None:
            for name in self._tools.catalog.names(self._task.directory):
                try:
                    os.lstat(name, dir_fd=self._fd)
                except FileNotFoundError:
                    yield name
                except OSError:
                    continue

    def _handle(self, entry: Listed) -> None:
        tally = self._findings.tally
        if isinstance(entry, ListedFile):
            if self._is_excluded(entry.name):
                tally.skip({Skipped.EXCLUDED.value: 1})
            elif not self._is_settled(entry):
                self._handle_changed(entry)
        elif isinstance(entry, ListedDirectory):
            self._handle_directory(entry)
        elif isinstance(entry, ListedGone):
            self._lost.append((entry.name, entry.inode))
        elif isinstance(entry, ListedOther):
            reason = Skipped.EXCLUDED if self._is_excluded(entry.name) else entry.reason
            tally.skip({reason.value: 1})
        elif isinstance(entry, ListedError):
            outcome = outcome_of_error(entry.error)
            count_not_hashed(self._findings, entry.name, outcome)
            # The unreadable entry may be a directory: the scan then does not see its files.
            self._findings.unread |= outcome.reason in STORAGE_PROBLEMS
        many = max(len(self._findings.directories), len(self._lost))
        if many >= PART_FILES or tally.files >= 16 * PART_FILES:
            self._send()

    def _is_excluded(self, name: bytes) -> bool:
        return self._root.has_excludes and self._root.excludes(self._prefix + name)

    def _is_apart(self, entry: ListedFile) -> bool:
        """Return whether a file goes back to the engine, because of its size or earlier files.

        A file that is mostly holes is not read, so its size does not count.
        """
        bound = self._tools.settings.options.large_apart
        if bound is None or self._task.large:
            return False
        size, allocated = entry.status.st_size, 512 * entry.status.st_blocks
        before = self._seen_bytes if self._task.look else 0
        return before + size > bound and allocated > size * (1 - SPARSE_SHARE)

    def _is_ruled_out(self, entry: ListedFile) -> bool:
        return self._tools.screen.rules_out_size(entry.status.st_size)

    def _handle_changed(self, entry: ListedFile) -> None:
        if self._is_ruled_out(entry):
            self._rule_out(entry)
            return
        if self._is_apart(entry):
            self._findings.large.append(entry.name)
            return
        self._seen_bytes += min(entry.status.st_size, 5120 * entry.status.st_blocks)
        self._todo.append(entry)
        self._todo_bytes += entry.status.st_size
        if len(self._todo) >= PART_FILES or self._todo_bytes >= PART_BYTES:
            self._end_part()

    def _handle_directory(self, entry: ListedDirectory) -> None:
        path = self._prefix + entry.name
        # A glob that ends in /* excludes everything below, so the directory itself need not be
        # entered.
        if self._root.has_excludes and (
            self._root.excludes(path) or self._root.excludes(path + b"/")
        ):
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
        """Return whether the file's row in the catalog is still valid; if so, count the file."""
        if self._known is None:
            row = self._tools.catalog.named(self._task.directory, entry.name)
        else:
            row = self._known.get(entry.name)
        device = self._root.device_of(entry.status)
        return self._tools.unchanged.is_settled(
            row, entry.status, device, self._findings, again=self._task.again
        )

    def _handle_new(self, entry: ListedName) -> None:
        """Gather a file of a directory of which the catalog has no rows."""
        if self._is_excluded(entry.name):
            self._findings.tally.skip({Skipped.EXCLUDED.value: 1})
            return
        self._new.append(entry)
        if len(self._new) >= PART_FILES:
            self._finish_new()
            self._send()

    def _finish_new(self) -> None:
        """Hash the gathered new files, or hand them to an idle process."""
        names, self._new = self._new, []
        if len(names) >= PART_FILES and self._tools.outbox.may_hand_over():
            self._give(names)
        else:
            self._hash_all(names)

    def _hash_all(self, names: Sequence[tuple[bytes, int]], *, may_hand_over: bool = True) -> None:
        """Hash files; after every ``PART_BYTES``, hand the rest to idle processes, if any."""
        count = start = 0
        while start < len(names):
            start, read = self._tools.hasher.fast.run(
                self._fd,
                names,
                start,
                root=self._root.row_device,
                most_bytes=PART_BYTES - count,
                rows=self._rows,
                owners=self._owners,
            )
            count += read
            if count < PART_BYTES and start < len(names):
                count += self._hash_special(*names[start])
                start += 1
            if count >= PART_BYTES:
                count = 0
                if may_hand_over and start < len(names) and self._tools.outbox.may_hand_over():
                    self._give(names[start:])
                    return

    def _hash_special(self, name: bytes, inode: int) -> int:
        """Hash a file that the fast path refused; return the number of bytes read from the file."""
        result = self._tools.hasher.hash_single(self._fd, name)
        if isinstance(result, Linked):
            device = self._root.device_of(result.status)
            result = self._tools.hasher.hash_link(self._fd, name, result.status, device)
        self._take(name, inode, result)
        return result.bytes_read if isinstance(result, Hashed) else 0

    def _give(self, names: Sequence[tuple[bytes, int]]) -> None:
        """Hand files of the directory to an idle worker process."""
        self._findings.give = tuple(names)
        self._send()
        self._tools.outbox.flush()

    def _end_part(self) -> None:
        """Hash the gathered files of a part, or hand the files to an idle process."""
        if not (self._task.again or self._task.look) and self._tools.outbox.may_hand_over():
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
            self._hash_all(names, may_hand_over=not self._task.look)

    def _hash(self, name: bytes, status: os.stat_result) -> None:
        if name in self._task.avoid:
            message = "a worker process died over it, more than once; see the kernel's log"
            count_not_hashed(self._findings, name, NotHashed(Problem.WORKER_DIED, message))
            return
        if self._task.again:
            self._tools.outbox.announce(self._task.group, name)
        if status.st_nlink > 1:
            device = self._root.device_of(status)
            result = self._tools.hasher.hash_link(self._fd, name, status, device)
        else:
            result = self._tools.hasher.hash(self._fd, name)
        self._take(name, status.st_ino, result, was_file=stat.S_ISREG(status.st_mode))

    # Reporting

    def _send(self, *, done: bool = False) -> None:
        self._settle_ordinary()
        if self._task.look:
            # If a changed file was renamed, the watch also reports its new name.
            self._findings.tally.skip(
                {Skipped.VANISHED.value: len(self._lost)} if self._lost else {}
            )
            self._lost = []
        elif self._task.job is not Job.FOLLOW:
            self._findings.lost, self._lost = self._lost, []
        self._findings.done = done
        catalog = self._tools.catalog
        self._findings.damaged, catalog.damaged = catalog.damaged, 0
        self._tools.outbox.put(self._findings)
        self._findings = Findings(self._task.group)

    def _settle_ordinary(self) -> None:
        """Judge and count the ordinary files that the fast path hashed."""
        rows, owners = self._rows.copy(), self._owners.copy()
        self._rows.clear()  # The fast path may still append rows.
        self._owners.clear()
        for number in self._tools.filters.among(rows):
            row = FileRow._make(rows[number])
            found = self._tools.filters.judge(row.digests)
            if not found:
                continue
            rows[number] = tuple(row._replace(hit=True))
            device = self._root.device
            candidate = candidate_of_row(row, found, owner=owners[number], root=device)
            self._findings.candidates.append(candidate)
        self._findings.rows += rows
        hashed = [size for size, head in map(_size_and_head, rows) if head is None]
        self._findings.tally.hashed += len(hashed)
        self._findings.tally.bytes_hashed += sum(hashed)
        if len(hashed) < len(rows):
            self._findings.tally.skip({Skipped.UNKNOWN_HEAD.value: len(rows) - len(hashed)})

    def _rule_out(self, entry: ListedFile) -> None:
        """Report a file as skipped because no known file has its size; it is not opened."""
        # A later change of the size changes the stamp, so the row is not racy.
        row = found_row(
            entry.name,
            self._root.device_of(entry.status),
            entry.status,
            _NO_DIGESTS,
            judged=self._tools.settings.judged,
            scan=self._tools.settings.scan,
            head=b"",
        )
        self._findings.rows.append(row)
        self._findings.tally.skip({Skipped.UNKNOWN_SIZE.value: 1})
        if len(self._findings.rows) >= PART_FILES:
            self._send()

    def _take(
        self, name: bytes, inode: int, result: Hashed | NotHashed, *, was_file: bool = True
    ) -> None:
        """Report the outcome of a file after the hasher opened it."""
        if isinstance(result, NotHashed):
            if result.reason is Skipped.VANISHED:
                self._lost.append((name, inode))  # The file may have another name by now.
            elif result.reason in _OTHER_KINDS and was_file:
                # The entry was a file when the directory was read: a customer has replaced it.
                count_not_hashed(self._findings, name, NotHashed(Problem.CHANGED, _SWAPPED))
            else:
                count_not_hashed(self._findings, name, result)
            return
        status, digests, tally = result.status, result.digests, self._findings.tally
        found = self._tools.filters.judge(digests)
        row = result.row(
            name,
            self._root.device_of(status),
            hit=bool(found),
            judged=self._tools.settings.judged,
            scan=self._tools.settings.scan,
        )
        self._findings.rows.append(row)
        if result.head is not None:
            tally.skip({Skipped.UNKNOWN_HEAD.value: 1})
            return
        tally.hashed += 1
        tally.bytes_hashed += result.bytes_read
        if found:
            self._findings.candidates.append(candidate_of(name, status, digests, found))
