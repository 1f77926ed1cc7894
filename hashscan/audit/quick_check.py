"""Checks for ``status`` that the audit log can be read and has its newest line."""

from __future__ import annotations

import os

from hashscan.audit.folder import explained, numbers, open_file, open_number, opened, path_of
from hashscan.audit.head import Head, read_head
from hashscan.audit.line import LONGEST, parse
from hashscan.errors import StateError
from hashscan.files import AUDIT_HEAD, audit_file
from hashscan.fs.beneath import closing
from hashscan.text import shown


def fault_of(state_directory: str) -> str:
    """A sentence about a fault of the log's head or newest line, with a fix; empty: no fault.

    Other lines are not read; ``verify`` checks all lines.
    """
    try:
        with explained(state_directory, "read"):
            try:
                with opened(state_directory, make=False) as directory:
                    # The rotation may remove a file of the log between two reads: if a check finds
                    # a fault, check again.
                    fault = _fault(directory) and _fault(directory)
            except FileNotFoundError:
                return ""
    except StateError as error:
        return str(error)
    if not fault:
        return ""
    return (
        f"the audit log {shown(path_of(state_directory))} was changed: {fault}; keep a copy of it,"
        " and see 'hashscan history verify'"
    )


def _fault(directory: int) -> str:
    try:
        with closing(open_file(directory, AUDIT_HEAD, os.O_RDONLY)) as fd:
            head = read_head(fd)
    except FileNotFoundError:
        return f"the file {AUDIT_HEAD} is missing" if numbers(directory) else ""
    if head is None:
        # An empty head file without files of the log is no fault: a writer was killed before its
        # first line.
        return f"the file {AUDIT_HEAD} is damaged" if numbers(directory) else ""
    return _fault_of_line(directory, head) if head.seq else ""


def _fault_of_line(directory: int, head: Head) -> str:
    name = audit_file(head.file)
    try:
        with closing(open_number(directory, head.file, os.O_RDONLY)) as fd:
            size = os.fstat(fd).st_size
            begin = max(0, head.size - LONGEST - 1)
            raw = os.pread(fd, head.size - begin, begin)
    except FileNotFoundError:
        return f"{name}, the newest file, is missing"
    if size < head.size:
        return f"the end of {name} with line {head.seq} is missing"
    line = parse(raw.removesuffix(b"\n").rpartition(b"\n")[2])
    if line is None or line.hash != head.hash:
        return f"line {head.seq} in {name} is not the one that was written"
    return ""
