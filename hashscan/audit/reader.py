"""Reads the audit log, even while other processes write to it."""

from __future__ import annotations

import os
from collections import deque
from datetime import datetime
from typing import TYPE_CHECKING

from hashscan.audit.folder import explained, numbers, open_file, open_number, opened
from hashscan.audit.head import read_head
from hashscan.audit.line import LONGEST, AuditEvent, parse
from hashscan.files import AUDIT_HEAD, audit_file
from hashscan.fs.beneath import closing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["AuditEvent", "newest", "read", "read_last", "seconds_of"]

#: Number of bytes of the last range of a binary search for a line; the lines of the range are read
#: one by one.
_NEAR = 64 << 10
#: Seconds that are added to the time at which a file of the log changed, because the clock may have
#: been set back.
_MARGIN = 86400.0


def newest(state_directory: str) -> int:
    """The number of the log's newest line, by one small read; 0: the log has no line.

    Raises:
        StateError: the audit log cannot be read.
    """
    with explained(state_directory, "read"):
        try:
            with (
                opened(state_directory, make=False) as directory,
                closing(open_file(directory, AUDIT_HEAD, os.O_RDONLY)) as fd,
            ):
                head = read_head(fd)
        except FileNotFoundError:
            return 0
    return 0 if head is None else head.seq


def read(
    state_directory: str,
    after_seq: int = 0,
    since: float | None = None,
    *,
    on_damaged: Callable[[str, int], None] = lambda _file, _line: None,
) -> Iterator[AuditEvent]:
    """The events of the log with numbers above ``after_seq``, oldest first.

    Damaged lines and lines that are being written are skipped.

    Args:
        state_directory: path of the state directory; if it has no audit log, the result is empty.
        after_seq: number of the last event that the caller has read.
        since: time in seconds since the epoch; earlier events are skipped.
        on_damaged: ``read`` calls this function with the name of a file and the number of a damaged
            line in the file; 0: the number is unknown, because earlier lines were not read.

    Raises:
        StateError: the audit log cannot be read.
    """
    with explained(state_directory, "read"):
        try:
            with opened(state_directory, make=False) as directory:
                for number in _files_since(directory, _files_after(directory, after_seq), since):
                    for event in _events(directory, number, after_seq, on_damaged):
                        if since is None or seconds_of(event.time) >= since:
                            yield event
        except FileNotFoundError:
            return


def read_last(
    state_directory: str,
    count: int,
    wanted: Callable[[AuditEvent], bool],
    *,
    since: float | None = None,
    on_damaged: Callable[[str, int], None] = lambda _file, _line: None,
) -> list[AuditEvent]:
    """The newest ``count`` events for which ``wanted`` is true, the oldest event first.

    Args:
        state_directory: path of the state directory with the audit log.
        count: maximum number of events to return, at least 1.
        wanted: returns whether to return an event.
        since: time in seconds since the epoch; files of the log without a later event need not be
            read.
        on_damaged: ``read_last`` calls this function for each damaged line, see ``read``.

    Raises:
        StateError: the audit log cannot be read.
    """
    kept: list[AuditEvent] = []
    with explained(state_directory, "read"):
        try:
            with opened(state_directory, make=False) as directory:
                for number in reversed(_files_since(directory, numbers(directory), since)):
                    lines = _events(directory, number, 0, on_damaged)
                    kept[:0] = deque(filter(wanted, lines), count - len(kept))
                    if len(kept) == count:
                        break
        except FileNotFoundError:
            return kept
    return kept


def _files_since(directory: int, found: list[int], since: float | None) -> list[int]:
    """The files of the log, of ``found``, that may have an event since a time."""
    if since is None:
        return found
    return [number for number in found if _changed(directory, number) >= since - _MARGIN]


def _changed(directory: int, number: int) -> float:
    """The time of the last change of a file of the log; 0: the rotation removed the file."""
    try:
        return os.stat(audit_file(number), dir_fd=directory, follow_symlinks=False).st_mtime
    except FileNotFoundError:
        return 0.0


def seconds_of(time: str) -> float:
    """The time of an event in seconds since the epoch; 0: the line has no valid time."""
    try:
        return datetime.fromisoformat(time).timestamp()
    except ValueError:
        return 0.0


def _files_after(directory: int, after_seq: int) -> list[int]:
    """The files of the log that have lines with numbers above ``after_seq``."""
    found = numbers(directory)
    if after_seq <= 0:
        return found
    for index in range(len(found) - 1, 0, -1):
        first = _first_after(directory, found[index], 0)
        if first is not None and first.seq <= after_seq:
            return found[index:]
    return found


def _first_after(directory: int, number: int, offset: int) -> AuditEvent | None:
    """The event in the line at ``offset`` of a file; ``None``: no line, or a damaged line."""
    try:
        with closing(open_number(directory, number, os.O_RDONLY)) as fd:
            return parse(os.pread(fd, LONGEST, offset).partition(b"\n")[0])
    except FileNotFoundError:  # the rotation removed the file
        return None


def _events(
    directory: int, number: int, after_seq: int, on_damaged: Callable[[str, int], None]
) -> Iterator[AuditEvent]:
    try:
        fd = open_number(directory, number, os.O_RDONLY)
    except FileNotFoundError:
        return
    with open(fd, "rb") as file:
        start = _offset_near(fd, after_seq) if after_seq > 0 else 0
        file.seek(start)
        line = 0
        while raw := file.readline(LONGEST + 1):
            line += 1
            if not raw.endswith(b"\n") and len(raw) <= LONGEST:
                return  # another process is writing the line
            event = parse(raw[:-1]) if raw.endswith(b"\n") else None
            if event is None:
                on_damaged(audit_file(number), 0 if start else line)
            elif event.seq > after_seq:
                yield event


def _offset_near(fd: int, seq: int) -> int:
    """The offset of the line with number ``seq`` in a file, or of a line shortly before it."""
    low, high = 0, os.fstat(fd).st_size
    while high - low > _NEAR:
        middle = (low + high) // 2
        piece = os.pread(fd, _NEAR, middle)
        start = piece.find(b"\n") + 1
        end = piece.find(b"\n", start)
        found = parse(piece[start:end]) if 0 < start < end else None
        if found is None:
            return low
        if found.seq <= seq:
            low = middle + start
        else:
            high = middle
    return low
