"""Finds the end of the audit log, and repairs the end after a kill or a full disk.

The head names the newest line. A process that was killed before it wrote the head may have written
later lines; if the later lines continue the chain, they are kept. Bytes after the last line feed
are half a line, which is removed. Nothing else is changed: if the end of the log is missing, or
does not continue the chain, the next line goes to a new file and continues the chain from the head.
So ``verify`` finds the gap for as long as the log is kept.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from hashscan.audit.folder import numbers, open_number
from hashscan.audit.head import EMPTY, Head, read_head
from hashscan.audit.line import LONGEST, parse
from hashscan.files import audit_file
from hashscan.fs.beneath import closing

#: Number of bytes of the log that are read in one call.
_PIECE = 1 << 20


class Repair(NamedTuple):
    """A fault at the end of the audit log.

    Attributes:
        reason: ``torn``: half a line; ``cut``: lines are missing; ``head``: the head file is
            missing or damaged; ``foreign``: lines that do not continue the chain.
        message: a sentence about the fault, for people.
    """

    reason: str
    message: str


class End(NamedTuple):
    """The end of the audit log, at which the writer continues.

    Attributes:
        head: the head that names the log's newest line.
        file: number of the file for the next line. If it is not the head's file, the file is new
            or empty.
        repairs: the faults at the end of the log; the writer writes a line about each fault.
    """

    head: Head
    file: int
    repairs: list[Repair]


def find_end(directory: int, head_fd: int) -> End:
    """Find the end of the audit log, and remove half a line after the end.

    The caller holds the log's lock.

    Raises:
        OSError: a file of the log cannot be read or shortened.
    """
    head = read_head(head_fd)
    repairs: list[Repair] = []
    if head is None:
        head = _head_of_lines(directory)
        if head is None:
            return End(EMPTY, 1, repairs)
        repairs.append(
            Repair("head", f"the head file was missing or damaged; line {head.seq} was the newest")
        )
    while True:
        size = _size(directory, head.file)
        if size == head.size and not _exists(directory, head.file + 1):
            return End(head, head.file, repairs)
        if size is None and head.seq == 0 and not numbers(directory):
            return End(head, head.file, repairs)
        if size is None or size < head.size:
            after = max([head.file, *numbers(directory)]) + 1
            repairs.append(Repair("cut", f"the log's end before line {head.seq + 1} was missing"))
            return End(head, after, repairs)
        head, whole = _newest_after(directory, head, repairs)
        if not whole:
            return End(head, max([head.file, *numbers(directory)]) + 1, repairs)
        if not _exists(directory, head.file + 1):
            return End(head, head.file, repairs)
        following = _newest_after(directory, Head(head.seq, head.hash, head.file + 1, 0), repairs)
        if following[0].size == 0:  # the log's next file has no line that continues the chain
            after = head.file + 1 if following[1] else max(numbers(directory)) + 1
            return End(head, after, repairs)
        head = following[0]


def _size(directory: int, number: int) -> int | None:
    try:
        with closing(open_number(directory, number, os.O_RDONLY)) as fd:
            return os.fstat(fd).st_size
    except FileNotFoundError:
        return None


def _exists(directory: int, number: int) -> bool:
    try:
        os.stat(audit_file(number), dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _newest_after(directory: int, head: Head, repairs: list[Repair]) -> tuple[Head, bool]:
    """The newest line after ``head`` in the log's file; whether all lines continue the chain."""
    with closing(open_number(directory, head.file, os.O_RDWR)) as fd:
        rest = b""
        at = head.size
        while piece := os.pread(fd, _PIECE, at):
            at += len(piece)
            *lines, rest = (rest + piece).split(b"\n")
            for raw in lines:
                line = parse(raw)
                if line is None or line.seq != head.seq + 1 or line.prev != head.hash:
                    repairs.append(
                        Repair(
                            "foreign",
                            f"the lines after line {head.seq} did not continue the chain: they are"
                            f" left in file {head.file}",
                        )
                    )
                    return head, False
                size = head.size + len(raw) + 1
                head = Head(line.seq, line.hash, head.file, size)
        if rest:
            os.ftruncate(fd, head.size)
            message = f"{len(rest)} bytes of a line that was not finished were removed"
            repairs.append(Repair("torn", message))
    return head, True


def _head_of_lines(directory: int) -> Head | None:
    """The head that names the newest whole line; ``None``: the log has no whole line."""
    for number in reversed(numbers(directory)):
        newest: Head | None = None
        at = 0
        with open(open_number(directory, number, os.O_RDONLY), "rb") as file:
            while raw := file.readline(LONGEST + 1):
                at += len(raw)
                line = parse(raw[:-1])
                if line is not None:
                    newest = Head(line.seq, line.hash, number, at)
        if newest is not None:
            return newest
    return None
