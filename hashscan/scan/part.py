"""What a worker process finds in a part of a directory: rows, counts, candidates, problems.

``directory`` decides what is looked at; here is what becomes of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hashscan.catalog.rows import FileRow, FoundCandidate, signed, unsigned
from hashscan.fs.reading import stamp_of
from hashscan.model import FileDigests, Identity, Problem, Skipped, Stamp
from hashscan.scan.hashing import Hashed, NotHashed
from hashscan.scan.outcomes import count_not_hashed
from hashscan.scan.work import Findings, Job, Task

if TYPE_CHECKING:
    import os

    from hashscan.fs.listing import ListedFile
    from hashscan.model import FilterHit
    from hashscan.scan.root import VolumeRoot
    from hashscan.scan.worker import Worker

#: So many rows are sent at a time.
PART_FILES = 256
RENAMED = "it was renamed again and again while it was scanned; see who does that"
_SWAPPED = "it was a file and is something else now; it is looked at in the next scan"
_OTHER_KINDS = {Skipped.SYMLINK, Skipped.FIFO, Skipped.SOCKET, Skipped.DEVICE}
#: Where a row has its head.
_HEAD = FileRow._fields.index("head")


class Part:
    """The findings of one task under way."""

    def __init__(self, worker: Worker, task: Task, root: VolumeRoot, fd: int) -> None:
        self._worker = worker
        self._task = task
        self._root = root
        self._fd = fd
        self._findings = Findings(task.group)
        self._prefix = task.path + b"/" if task.path else b""
        self._todo: list[ListedFile] = []
        self._todo_bytes = 0
        self._new: list[tuple[bytes, int]] = []
        self._looked_bytes = 0
        self._known: dict[bytes, FileRow | None] | None = {}
        self._lost: list[tuple[bytes, int]] = []

    def _send(self, *, done: bool = False) -> None:
        self._settle_ordinary()
        if self._task.look:
            # If a changed file was renamed, the watch reports its new name by itself.
            self._findings.tally.skip(
                {Skipped.VANISHED.value: len(self._lost)} if self._lost else {}
            )
            self._lost = []
        elif self._task.job is not Job.FOLLOW:
            self._findings.lost, self._lost = self._lost, []
        self._findings.done = done
        catalog = self._worker.catalog
        self._findings.damaged, catalog.damaged = catalog.damaged, 0
        self._worker.put(self._findings)
        self._findings = Findings(self._task.group)

    def send_findings(self) -> None:
        """Send what was found so far."""
        self._send()

    def fail(self, outcome: NotHashed) -> None:
        """End the task with an error of the directory itself; it counts as one entry."""
        count_not_hashed(self._findings, b"", outcome)
        self._send(done=True)

    def _found_candidate(
        self,
        name: bytes,
        status: os.stat_result,
        digests: FileDigests,
        found: tuple[FilterHit, ...],
    ) -> None:
        self._findings.candidates.append(
            FoundCandidate(
                name,
                Identity(status.st_dev, status.st_ino),
                stamp_of(status),
                digests,
                status.st_nlink,
                status.st_uid,
                found,
            )
        )

    def _settle_ordinary(self) -> None:
        """Judge and count what was hashed quickly."""
        rows, owners, hits = self._worker.take_ordinary()
        for number in hits:
            row = rows[number]
            name, device, inode, size, modified, changed, *raw = row[:9]
            digests = FileDigests._make(raw)
            found = self._worker.judge(digests)
            if not found:
                continue
            rows[number] = (*row[:10], True, *row[11:])
            self._findings.candidates.append(
                FoundCandidate(
                    name,
                    Identity(self._root.device if device < 0 else device, unsigned(inode)),
                    Stamp(size, modified, changed),
                    digests,
                    1,
                    owners[number],
                    found,
                )
            )
        self._findings.rows += rows
        hashed = [row[3] for row in rows if row[_HEAD] is None]
        self._findings.tally.hashed += len(hashed)
        self._findings.tally.bytes_hashed += sum(hashed)
        if len(hashed) < len(rows):
            self._findings.tally.skip({Skipped.UNKNOWN_HEAD.value: len(rows) - len(hashed)})

    def _rule_out(self, entry: ListedFile) -> None:
        """Note a file that no known file's size is that of; it is not even opened."""
        settings = self._worker.settings
        status = entry.status
        self._findings.rows.append(
            (
                entry.name,
                self._root.device_of(status),
                signed(status.st_ino),
                *stamp_of(status),
                *FileDigests(),
                status.st_nlink > 1,
                False,
                False,  # whatever changes its size changes its stamp
                settings.judged,
                settings.scan,
                b"",
            )
        )
        self._findings.tally.skip({Skipped.UNKNOWN_SIZE.value: 1})
        if len(self._findings.rows) >= PART_FILES:
            self._send()

    def _take(
        self, name: bytes, inode: int, result: Hashed | NotHashed, *, was_file: bool = True
    ) -> None:
        """Note what became of a file."""
        if isinstance(result, NotHashed):
            if result.reason is Skipped.VANISHED:
                self._lost.append((name, inode))  # it may have another name by now
            elif result.reason in _OTHER_KINDS and was_file:
                # It was a file when the directory was read: somebody swapped it.
                count_not_hashed(self._findings, name, NotHashed(Problem.CHANGED, _SWAPPED))
            else:
                count_not_hashed(self._findings, name, result)
            return
        found = self._worker.judge(result.digests)
        status = result.status
        settings = self._worker.settings
        # The fields of a FileRow.
        self._findings.rows.append(
            (
                name,
                self._root.device_of(status),
                signed(status.st_ino),
                *stamp_of(status),
                *result.digests,
                status.st_nlink > 1,
                bool(found),
                result.racy,
                settings.judged,
                settings.scan,
                result.head,
            )
        )
        if result.head is not None:
            self._findings.tally.skip({Skipped.UNKNOWN_HEAD.value: 1})
            return
        self._findings.tally.hashed += 1
        self._findings.tally.bytes_hashed += result.bytes_read
        if found:
            self._found_candidate(name, status, result.digests, found)
