"""Writes the audit log: ``STATE/audit/000001.jsonl`` and following files.

    log = AuditLog(state.directory)
    log.append(events.MOVING, who, path=..., quarantine_id=...)   # on disk when it returns

Several processes and threads may write to one log, because each append holds a lock. An
``AuditLog`` keeps no file open and no state between two appends, so it may be used after a fork.

The order of writes is: the line, fdatasync, the head. After a kill in between, or a power cut that
leaves an older head on the disk, the log still verifies, and the next writer continues it
(``repair``). When a file would exceed ``file_size``, the next file begins; its first line continues
the chain. Before an old file is removed, a line says with which line the remaining log begins.
"""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager, suppress
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from hashscan.audit import events
from hashscan.audit.folder import explained, numbers, open_file, open_number, opened, path_of
from hashscan.audit.head import EMPTY, Head, read_head, write_head
from hashscan.audit.line import LONGEST, encode, parse
from hashscan.audit.repair import find_end
from hashscan.errors import StateError
from hashscan.files import AUDIT_HEAD, audit_file
from hashscan.fs.beneath import closing
from hashscan.fs.named import sync_names
from hashscan.state import wait_for_lock
from hashscan.text import rfc3339, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hashscan.audit.actor import Who
    from hashscan.audit.line import Json
    from hashscan.audit.repair import End

#: Maximum number of bytes of a file of the log, and number of the log's files that are kept.
FILE_SIZE = 16 << 20
FILES = 64
#: Maximum number of seconds to wait for other writers of the log, which need milliseconds each.
_PATIENCE = 30.0


class EventEntry(NamedTuple):
    """An event to write to the audit log.

    Attributes:
        event: a name of ``hashscan.audit.events``.
        who: the person or process that caused the event.
        facts: further keys and values of the line for JSON; paths are decoded by ``os.fsdecode``.
    """

    event: str
    who: Who
    facts: dict[str, Any]


class _Last(NamedTuple):
    seq: int
    hash: str


class AuditLog:
    """The audit log of a state directory.

    Attributes:
        state: path of the state directory.
        file_size: bytes after which the next file begins.
    """

    def __init__(
        self, state_directory: str, *, file_size: int = FILE_SIZE, files: int | None = FILES
    ) -> None:
        """Use a state directory; the first written line makes the files of the log.

        Args:
            state_directory: an existing directory that nobody else can replace
                (``hashscan.state``).
            file_size: bytes after which the next file begins.
            files: number of files that are kept, at least 2; ``None``: all files.
        """
        self.state = state_directory
        self.file_size = file_size
        self._files = None if files is None else max(2, files)

    def append(self, event: str, who: Who, **facts: Json) -> int:
        """Write one line to the audit log; return the line's number when the line is on disk.

        Raises:
            StateError: the line cannot be written, so the act that it announces must not happen.
        """
        return self.append_all([EventEntry(event, who, facts)])

    def append_all(self, entries: Sequence[EventEntry], *, sync: bool = True) -> int:
        """Write several lines to the audit log, and return the number of the last line.

        With ``sync``, one fsync brings all lines to the disk before this returns. Without ``sync``,
        the lines survive a kill of this process; the lines survive a power cut only after a later
        line is written with ``sync``.

        Raises:
            StateError: the lines cannot be written to the log.
        """
        if not entries:
            return 0
        with (
            explained(self.state, "written"),
            opened(self.state, make=True) as directory,
            self._locked(directory) as head_fd,
        ):
            return self._append(directory, head_fd, entries, sync=sync)

    @contextmanager
    def _locked(self, directory: int) -> Iterator[int]:
        """Hold the log's lock, and yield a descriptor of the head file.

        Raises:
            StateError: another process held the log's lock for too long.
        """
        with closing(open_file(directory, AUDIT_HEAD, os.O_RDWR | os.O_CREAT)) as fd:
            if not wait_for_lock(fd, _PATIENCE, 0.005):
                raise StateError(
                    f"the audit log {shown(path_of(self.state))} cannot be written:"
                    f" another process has held its lock for {_PATIENCE:.0f} s; find it"
                    f" with `fuser {shown(os.path.join(path_of(self.state), AUDIT_HEAD))}`"
                )
            yield fd

    def _append(
        self, directory: int, head_fd: int, entries: Sequence[EventEntry], *, sync: bool
    ) -> int:
        end = find_end(directory, head_fd)
        if end.head == EMPTY and read_head(head_fd) is None:
            # From now on, a missing head file is a fault that ``verify`` reports.
            write_head(head_fd, EMPTY, sync=True)
            sync_names(directory)
        found = [*_repaired(end, entries[0].who), *entries]
        lines, last = _encoded(found, _Last(end.head.seq, end.head.hash))
        file, size = end.file, end.head.size if end.file == end.head.file else 0
        old: list[int] = []
        if size and size + len(lines) > self.file_size:
            file, size = file + 1, 0
            removals, old = self._removals(directory, file, found[0].who)
            if removals:
                lines, last = _encoded([*removals, *found], _Last(end.head.seq, end.head.hash))
        is_new = size == 0
        if is_new and end.head.size and not end.repairs:
            with closing(open_number(directory, end.head.file, os.O_RDWR)) as before:
                os.fdatasync(before)
        sync = sync or is_new or bool(end.repairs)
        with closing(open_number(directory, file, os.O_RDWR | os.O_APPEND | os.O_CREAT)) as fd:
            _write(fd, lines, size)
            if sync:
                os.fdatasync(fd)
        if is_new:
            sync_names(directory)
        # Sync the head first: a head on the disk must not name a file that is removed.
        write_head(head_fd, Head(last.seq, last.hash, file, size + len(lines)), sync=is_new)
        for number in old:
            os.unlink(audit_file(number), dir_fd=directory)
        return last.seq

    def _removals(self, directory: int, file: int, who: Who) -> tuple[list[EventEntry], list[int]]:
        """The lines that announce the removal of the log's oldest files, and the files' numbers."""
        kept = [*numbers(directory), file]
        lines: list[EventEntry] = []
        old: list[int] = []
        if self._files is None:
            return lines, old
        # Each removed file of the log gets a line, because a kill may happen after some of the
        # removals.
        for number, after in pairwise(kept[: len(kept) - self._files + 1]):
            with closing(open_number(directory, after, os.O_RDONLY)) as fd:
                first = parse(os.pread(fd, LONGEST, 0).partition(b"\n")[0])
            if first is None:
                break  # a damaged file and all later files are kept for an investigation
            begins = {"seq": first.seq, "prev": first.prev}
            lines.append(
                EventEntry(events.LOG_REMOVED, who, {"file": audit_file(number), "begins": begins})
            )
            old.append(number)
        return lines, old


def _repaired(end: End, who: Who) -> list[EventEntry]:
    return [
        EventEntry(events.LOG_REPAIRED, who, {"reason": repair.reason, "message": repair.message})
        for repair in end.repairs
    ]


def _encoded(entries: Sequence[EventEntry], last: _Last) -> tuple[bytes, _Last]:
    parts = []
    for entry in entries:
        raw, digest = encode(
            last.seq + 1, rfc3339(), entry.event, entry.who, entry.facts, last.hash
        )
        parts.append(raw)
        last = _Last(last.seq + 1, digest)
    return b"".join(parts), last


def _write(fd: int, lines: bytes, size: int) -> None:
    """Append ``lines`` to a file of the log; if only a part can be written, remove the part.

    Raises:
        OSError: the lines cannot be written to the file.
    """
    try:
        view = memoryview(lines)
        while view:
            written = os.write(fd, view)
            if written == 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            view = view[written:]
    except OSError:
        with suppress(OSError):
            os.ftruncate(fd, size)
        raise
