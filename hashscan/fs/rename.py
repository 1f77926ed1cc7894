"""Moves an entry from one open directory to another, and never replaces another entry.

``take`` moves an entry from a customer's directory to a private directory, in which only the agent
makes names. ``put`` moves an entry from a private directory to a customer's directory, in which
another process may make the same name at any instant. Both use renameat2(2) with RENAME_NOREPLACE.
If the file system lacks that call (NFS, some FUSE), ``take`` uses rename(2), and ``put`` uses
link(2) and unlink(2).
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat

_RENAME_NOREPLACE = 1
# A glibc before 2.28 lacks renameat2; then ``take`` and ``put`` use their fallbacks.
_renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
_UNSUPPORTED = frozenset({errno.EINVAL, errno.ENOSYS})


def _no_replace(old_directory: int, old: bytes, new_directory: int, new: bytes) -> bool:
    """Rename an entry, but replace none; false: the kernel or file system cannot do that."""
    if _renameat2 is None:
        return False
    result = _renameat2(
        ctypes.c_int(old_directory),
        ctypes.c_char_p(old),
        ctypes.c_int(new_directory),
        ctypes.c_char_p(new),
        ctypes.c_uint(_RENAME_NOREPLACE),
    )
    if result == 0:
        return True
    number = ctypes.get_errno()
    if number in _UNSUPPORTED:
        return False
    raise OSError(number, os.strerror(number), old, None, new)


def take(directory: int, name: bytes, private: int, unique: bytes) -> None:
    """Move the entry ``name`` (of any kind) to the name ``unique`` in a private directory.

    Raises:
        OSError: the entry cannot be moved (the kernel's error); EXDEV: the directories are on
            different mounts.
    """
    if not _no_replace(directory, name, private, unique):
        # Only the agent can make a name in `private`, so rename(2) replaces nothing. link(2) and
        # unlink(2) would be wrong: the unlink could remove another file that got `name` meanwhile.
        os.rename(  # noqa: TID251
            name, unique, src_dir_fd=directory, dst_dir_fd=private
        )


def put(private: int, unique: bytes, directory: int, name: bytes) -> None:
    """Move the entry ``unique`` of a private directory to a new name ``name``.

    If ``name`` is already a hard link to the same inode, only ``unique`` is removed: an earlier
    ``put`` was killed between link and unlink, or another process made that link.

    Raises:
        FileExistsError: another file has the name ``name``; the entry is not moved.
        OSError: the kernel's error; the entry is not moved.
    """
    try:
        if not _no_replace(private, unique, directory, name):
            _put_by_link(private, unique, directory, name)
    except FileExistsError:
        if not _same_inode(private, unique, directory, name):
            raise
        os.unlink(unique, dir_fd=private)


def _put_by_link(private: int, unique: bytes, directory: int, name: bytes) -> None:
    status = os.stat(unique, dir_fd=private, follow_symlinks=False)
    if stat.S_ISDIR(status.st_mode):
        # A directory cannot be hard-linked. So make an empty directory with the name ``name`` and
        # rename the entry over it: rename(2) replaces only an empty directory.
        os.mkdir(name, 0o700, dir_fd=directory)
        try:
            os.rename(  # noqa: TID251
                unique, name, src_dir_fd=private, dst_dir_fd=directory
            )
        except BaseException:
            os.rmdir(name, dir_fd=directory)
            raise
        return
    os.link(unique, name, src_dir_fd=private, dst_dir_fd=directory, follow_symlinks=False)
    os.unlink(unique, dir_fd=private)


def _same_inode(private: int, unique: bytes, directory: int, name: bytes) -> bool:
    ours = os.stat(unique, dir_fd=private, follow_symlinks=False)
    try:
        theirs = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return (ours.st_dev, ours.st_ino) == (theirs.st_dev, theirs.st_ino)
