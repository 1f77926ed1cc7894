"""The head file names the audit log's newest line, so that a missing end is found.

The head is one line of JSON in ASCII, padded with spaces to 255 bytes, and a line feed:

    {"file": 3, "hash": "<64 hex>", "seq": 1207, "size": 48113}

``file`` is the number of the log's file that has the newest line; ``size`` is the length of that
file up to the end of the line. The head is overwritten after each line, in one write of fixed
length within one sector: so a crash leaves either the old or the new head. After a kill, the head
may name an earlier line than the newest, but never a line that is not in the log.
"""

from __future__ import annotations

import json
import os
import re
from typing import NamedTuple

from hashscan.audit.line import GENESIS

LENGTH = 256
_HEX = re.compile("[0-9a-f]{64}")


class Head(NamedTuple):
    """The audit log's newest line, as the head file names it.

    Attributes:
        seq: number of the newest line; 0: the log has no line yet.
        hash: hash of the newest line.
        file: number of the log's file that contains the newest line.
        size: bytes of that file up to the end of the newest line.
    """

    seq: int
    hash: str
    file: int
    size: int


#: The head of an audit log without any line.
EMPTY = Head(0, GENESIS, 1, 0)


def read_head(fd: int) -> Head | None:
    """The head from the open head file; ``None``: the head file is damaged or empty.

    Raises:
        OSError: the head file cannot be read.
    """
    raw = os.pread(fd, LENGTH + 1, 0)
    if len(raw) != LENGTH:
        return None
    try:
        found = json.loads(raw)
        head = Head(found["seq"], found["hash"], found["file"], found["size"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    numbers = (head.seq, head.file, head.size)
    if any(type(number) is not int or number < 0 for number in numbers) or head.file < 1:
        return None
    if not isinstance(head.hash, str) or not _HEX.fullmatch(head.hash):
        return None
    return head if _bytes(head) == raw else None


def write_head(fd: int, head: Head, *, sync: bool) -> None:
    """Write the head into the open head file.

    Raises:
        OSError: the head file cannot be written.
    """
    raw = _bytes(head)
    if os.pwrite(fd, raw, 0) != len(raw):
        raise OSError(28, os.strerror(28))
    if sync:
        os.fdatasync(fd)


def _bytes(head: Head) -> bytes:
    text = json.dumps(head._asdict(), sort_keys=True)
    return text.ljust(LENGTH - 1).encode("ascii") + b"\n"
