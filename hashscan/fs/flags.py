"""Reads the inode flags of a file (lsattr(1)), and sets the flags of the file's copy.

Source: ioctl_iflags(2) and include/uapi/linux/fs.h, for 64-bit longs; the flags themselves are an
int.
"""

from __future__ import annotations

import array
import fcntl

_GET = 0x80086601
_SET = 0x40086602

APPEND = 0x20
IMMUTABLE = 0x10
#: Flags that prevent renaming and removing a file; a restore sets these flags last.
SEALS = APPEND | IMMUTABLE
_NO_COW = 0x800000  # btrfs allows this flag only for an empty file
_ENCRYPTED = 0x800
_VERITY = 0x100000

# The flags that chattr(1) may set for a file. All other flags describe how a file system stores the
# file.
_LETTERS = {
    0x1: "s",
    0x2: "u",
    0x4: "c",
    0x8: "S",
    IMMUTABLE: "i",
    APPEND: "a",
    0x40: "d",
    0x80: "A",
    0x400: "m",
    0x4000: "j",
    0x8000: "t",
    _NO_COW: "C",
    0x2000000: "x",
}
_SETTABLE = sum(_LETTERS)
# Flags that no program can set for a copy, although the file's owner may need them.
_OTHERS = {_ENCRYPTED: "encrypted (E)", _VERITY: "protected by fs-verity (V)"}


def inode_flags(fd: int) -> int | None:
    """The inode flags of an open file; ``None``: the file system has no inode flags."""
    buffer = array.array("i", [0, 0])
    try:
        fcntl.ioctl(fd, _GET, buffer)
    except OSError:
        return None
    return buffer[0]


def prepare_flags(fd: int, flags: int | None) -> None:
    """Set a copy's flags that only an empty file can get, as far as the file system allows."""
    if flags is not None and flags & _NO_COW:
        _change(fd, _NO_COW, flags)


def apply_flags(fd: int, flags: int | None) -> None:
    """Set a copy's recorded flags except ``SEALS``, as far as the copy's file system allows."""
    if flags is not None:
        _change(fd, _SETTABLE & ~SEALS, flags)


def apply_seals(fd: int, flags: int | None) -> None:
    """Make a copy immutable or append-only if the recorded flags say so, as far as possible."""
    if flags is not None:
        _change(fd, SEALS, flags)


def _change(fd: int, among: int, flags: int) -> None:
    """Change a file's flags ``among`` to ``flags`` in one call; after an error, one by one."""
    now = inode_flags(fd)
    if now is None or not (now ^ flags) & among:
        return
    if _set(fd, (now & ~among) | (flags & among)):
        return
    for bit in _LETTERS:
        if bit & among & (now ^ flags) and _set(fd, (now & ~bit) | (flags & bit)):
            now = (now & ~bit) | (flags & bit)


def _set(fd: int, flags: int) -> bool:
    try:
        fcntl.ioctl(fd, _SET, array.array("i", [flags, 0]))
    except OSError:
        return False
    return True


def lacking_flags(fd: int, flags: int | None) -> list[str]:
    """A sentence for each kind of recorded flags that a copy does not have."""
    lacking = (flags or 0) & ~(inode_flags(fd) or 0)
    letters = "".join(letter for bit, letter in _LETTERS.items() if lacking & bit)
    notes = [
        f"it was {words}, and a copy cannot be" for bit, words in _OTHERS.items() if lacking & bit
    ]
    if letters:
        notes.append(
            f"its inode flags {letters} (lsattr) could not be set: the file system does not take "
            f"them, or hashscan lacks the right; `chattr +{letters}` sets them if possible"
        )
    return notes
