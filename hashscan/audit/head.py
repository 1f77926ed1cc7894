"""The head file: number, hash and place of the newest line, which show if the end is missing.

It is one line of JSON in ASCII, filled up with spaces to 255 bytes, and a line feed:

    {"file": 3, "hash": "<64 hex>", "seq": 1207, "size": 48113}

``file`` is the number of the file that has the newest line, ``size`` that file's length with it.
The head is written in place after the line, in one write of fixed length within one sector: so it
is either the old head or the new one. It may be behind the log after a kill, but never ahead.
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
    """The newest line.

    Attributes:
        seq: its number; 0: there is none yet.
        hash: its hash.
        file: number of the file that has it.
        size: bytes of that file up to the end of the line.
    """

    seq: int
    hash: str
    file: int
    size: int


#: Of a log without any line.
EMPTY = Head(0, GENESIS, 1, 0)


def read_head(fd: int) -> Head | None:
    """The head in an open file; ``None``: it is damaged, or empty.

    Raises:
        OSError: it cannot be read.
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
    if any(type(one) is not int or one < 0 for one in numbers) or head.file < 1:
        return None
    if not isinstance(head.hash, str) or not _HEX.fullmatch(head.hash):
        return None
    return head if _bytes(head) == raw else None


def write_head(fd: int, head: Head, *, sync: bool) -> None:
    """Write the head into an open file.

    Raises:
        OSError: it cannot be written.
    """
    raw = _bytes(head)
    if os.pwrite(fd, raw, 0) != len(raw):
        raise OSError(28, os.strerror(28))
    if sync:
        os.fdatasync(fd)


def _bytes(head: Head) -> bytes:
    text = json.dumps(head._asdict(), sort_keys=True)
    return text.ljust(LENGTH - 1).encode("ascii") + b"\n"
