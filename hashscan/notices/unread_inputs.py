"""Keeps mails and files in which hashscan found no notice, so that nobody has to send them again.

The mails and files come from standard input or over HTTP. Each mail or file is kept as a file in
``STATE/notices-unread``. The number of these files and their bytes are bounded, because a program
that sends nonsense must not fill the disk. An administrator reads the files, adds the files with
``--format``, and removes the files.
"""

from __future__ import annotations

import hashlib
import os
import time
from contextlib import suppress

from hashscan.durable import make_directories, new_file
from hashscan.errors import StateError
from hashscan.files import UNREAD_NOTICES, temporary_of
from hashscan.text import said_by, shown

#: The most kept files without a notice, and the most bytes of all these files together.
MOST_FILES, MOST_BYTES = 200, 256 << 20


def directory_of(state: str) -> str:
    """The directory, in a state directory, of kept mails and files without a notice."""
    return os.path.join(state, UNREAD_NOTICES)


def names(state: str) -> list[str]:
    """The names of the kept files in which hashscan found no notice, oldest first."""
    try:
        found = os.listdir(directory_of(state))
    except OSError:
        return []
    return sorted(one for one in found if temporary_of(one) is None)


def keep(state: str, content: bytes) -> str:
    """Keep bytes without a notice in a file, and return its path; equal bytes share one file.

    Raises:
        StateError: the disk is full, or too many files without a notice are kept already.
    """
    directory = directory_of(state)
    digest = hashlib.sha256(content).hexdigest()[:16]
    there = names(state)
    for name in there:
        if name.endswith(digest):
            return os.path.join(directory, name)
    size = 0
    for name in there:
        with suppress(OSError):
            size += os.stat(os.path.join(directory, name)).st_size
    if len(there) >= MOST_FILES or size + len(content) > MOST_BYTES:
        raise StateError(
            f"it was not kept: {shown(directory)} has {len(there)} inputs of {size:,} bytes that "
            "wait for an administrator; add them with 'hashscan notice add FILE --format ...', "
            "remove their files, and send this input again"
        )
    path = os.path.join(directory, f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{digest}")
    try:
        make_directories(directory)
        with suppress(FileExistsError), new_file(path) as file:
            file.write(content)
    except OSError as error:
        raise StateError(
            f"it was not kept: {shown(path)}: {said_by(error)}; free some space there, and send it "
            "again"
        ) from error
    return path
