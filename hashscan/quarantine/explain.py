"""Errors about a customer's file: a reason in one word for reports, and a message with a fix."""

from __future__ import annotations

import errno
import os
import shlex

from hashscan.errors import QuarantineError
from hashscan.fs.beneath import closing, open_file
from hashscan.fs.flags import APPEND, IMMUTABLE, inode_flags
from hashscan.machine import explain
from hashscan.text import shown

# error number: reason in one word, fix
_KNOWN: dict[int, tuple[str, str]] = {
    errno.EROFS: ("read-only", "remount the file system read-write, then scan again"),
    errno.EACCES: ("denied", "run hashscan as root, or give it the right to write there"),
    errno.EPERM: ("denied", "run hashscan as root, or look for a security module that forbids it"),
    errno.ENOSPC: ("no-space", "free some space there, then scan again"),
    errno.EDQUOT: ("no-space", "raise the quota or free some space there, then scan again"),
    errno.ENOENT: ("vanished", "it was removed or renamed meanwhile; the next scan checks again"),
    errno.ELOOP: ("swapped", "a link has replaced a directory of the path; scan again"),
    errno.ENOTDIR: ("swapped", "a file has replaced a directory of the path; scan again"),
    errno.EXDEV: (
        "other-filesystem",
        "another file system is mounted in the path; scan it too with one_file_system: false",
    ),
    errno.ESTALE: ("stale", "the network file system lost it; check the mount, then scan again"),
    errno.EIO: ("io-error", "check the kernel's log: the disk may be failing"),
    errno.EBUSY: ("busy", "it is in use, e.g. as a mount point; free it, then scan again"),
    errno.EEXIST: ("taken", "another file has the name; it was not overwritten"),
}


def explained(error: OSError, path: bytes, doing: str) -> QuarantineError:
    """An error with a message that names the file, the failed step, the kernel's error and a fix.

    Args:
        error: the kernel's error in the failed step.
        path: full path of the customer's file or directory.
        doing: the failed step, e.g. ``could not be moved to quarantine``.
    """
    reason, fix = _KNOWN.get(error.errno or 0, ("other", "check the kernel's log"))
    what = os.strerror(error.errno) if error.errno else str(error)
    limit = explain(error)
    if limit is not None:
        return QuarantineError(f"{shown(path)}: {doing}: {limit}", reason=reason)
    return QuarantineError(f"{shown(path)}: {doing}: {what}; {fix}", reason=reason)


def explained_move(error: OSError, parent: int, name: bytes, path: bytes) -> QuarantineError:
    """An error about a failed move; also names an immutable or append-only file or directory."""
    doing = "could not be moved to quarantine"
    if error.errno != errno.EPERM:
        return explained(error, path, doing)
    for what, shown_path, flags in (
        ("the file", path, _flags_of(parent, name)),
        ("its directory", os.path.dirname(path), inode_flags(parent)),
    ):
        for bit, letter, reason in (
            (IMMUTABLE, "i", "immutable"),
            (APPEND, "a", "append-only"),
        ):
            if flags and flags & bit:
                return QuarantineError(
                    f"{shown(path)}: {doing}: {what} is {reason}; find out who set that, then "
                    f"`chattr -{letter} {shlex.quote(shown(shown_path))}` and scan again",
                    reason=reason,
                )
    return explained(error, path, doing)


def _flags_of(parent: int, name: bytes) -> int | None:
    try:
        with closing(open_file(parent, name)) as fd:
            return inode_flags(fd)
    except OSError:
        return None
