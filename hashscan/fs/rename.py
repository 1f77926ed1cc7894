"""Moving one entry between directories, both given by descriptor, never onto something else.

The two directions differ in who may interfere. ``take`` moves an entry out of a customer's
directory to a name in a private one that nobody else uses; ``put`` moves it from a private
directory to a customer's, where another process may make the same name at any instant. Both use
renameat2(2) with RENAME_NOREPLACE; where the file system lacks it (NFS, some FUSE) each falls back
on what is safe in its own direction.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat

_RENAME_NOREPLACE = 1
# glibc has the wrapper since 2.28; without it the fallbacks serve.
_renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
_UNSUPPORTED = frozenset({errno.EINVAL, errno.ENOSYS})


def _no_replace(old_directory: int, old: bytes, new_directory: int, new: bytes) -> bool:
    """Rename without replacing; false where kernel or file system cannot."""
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
    """Move the entry ``name``, whatever it is, to ``unique`` in a private directory.

    Raises:
        OSError: as the kernel says; EXDEV where the two lie on different mounts.
    """
    if not _no_replace(directory, name, private, unique):
        # Nobody but the agent can make a name in `private`, so there is nothing to overwrite.
        # link + unlink would be wrong here: by then `name` could be another file.
        os.rename(  # noqa: TID251
            name, unique, src_dir_fd=directory, dst_dir_fd=private
        )


def put(private: int, unique: bytes, directory: int, name: bytes) -> None:
    """Move the entry ``unique`` of a private directory to ``name``, which must not exist.

    A name that is already a link to the very same inode counts as success (an earlier ``put`` was
    killed half way, or someone made that link).

    Raises:
        FileExistsError: something else has the name; the entry stays where it is.
        OSError: as the kernel says; the entry stays where it is.
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
        # A directory has one name only. The fresh, empty one is ours, and rename replaces nothing
        # that is not empty.
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
