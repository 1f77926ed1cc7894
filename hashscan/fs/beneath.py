"""Opens directories and files below a volume's root; safe while owners rename and replace them.

No component of a path below the root may be a symbolic link, ``.`` or ``..``. Mounts are crossed
only with ``cross_mounts``. openat2(2) opens many components in one call inside the kernel. If the
kernel lacks openat2, or mounts may be crossed, each component is opened by its own openat(2).
Paths may be longer than PATH_MAX.

All errors are ``OSError`` with the kernel's number. A caller can handle ``CrossesMountError`` and
``LoopError`` separately.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hashscan.model import Identity

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Maximum length, in bytes, of a path below a volume's root that a scan enters: sixteen times
#: PATH_MAX. The cost of a directory grows with its depth: without a limit, very deep directories
#: would stall a scan.
MAX_PATH = 65536

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_STEP = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
#: Flags to open a file for reading, without following a link and without waiting.
FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY

_PATH_MAX = 4096
_SYS_OPENAT2 = 437  # the number of openat2 on every architecture
_NO_LINKS = 0x02 | 0x04  # RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS
_BENEATH = _NO_LINKS | 0x01 | 0x08  # and RESOLVE_NO_XDEV, RESOLVE_BENEATH


class CrossesMountError(OSError):
    """The path crosses a mount, and ``cross_mounts`` is false."""


class LoopError(OSError):
    """A directory is mounted below itself."""


class _OpenHow(ctypes.Structure):
    """``struct open_how`` of openat2(2)."""

    _fields_ = (
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    )


_syscall = ctypes.CDLL(None, use_errno=True).syscall
_syscall.restype = ctypes.c_long


def _openat2(parent: int, path: bytes, flags: int, resolve: int = _BENEATH) -> int:
    how = _OpenHow(flags, 0, resolve)
    fd = _syscall(
        ctypes.c_long(_SYS_OPENAT2),
        ctypes.c_int(parent),
        ctypes.c_char_p(path),
        ctypes.byref(how),
        ctypes.c_size_t(ctypes.sizeof(how)),
    )
    if fd < 0:
        number = ctypes.get_errno()
        kind = CrossesMountError if number == errno.EXDEV else OSError
        raise kind(number, os.strerror(number), path)
    return int(fd)


def has_openat2() -> bool:
    """Whether this kernel has openat2(2); tested once for each process."""
    global _known  # noqa: PLW0603
    if _known is None:
        root = os.open("/", _STEP)
        try:
            os.close(_openat2(root, b".", _STEP))
            _known = True
        except OSError as error:
            # Container runtimes answer EPERM or ENOSYS if their filter forbids a system call.
            _known = error.errno not in {errno.ENOSYS, errno.EPERM}
        finally:
            os.close(root)
    return _known


_known: bool | None = None


def identity_of(fd: int) -> Identity:
    """The identity of an open file or directory: device and inode number."""
    status = os.fstat(fd)
    return Identity(status.st_dev, status.st_ino)


def components(path: bytes) -> list[bytes]:
    """The names in ``path``; empty for the path of the root.

    Raises:
        ValueError: a component is empty, ``.`` or ``..``, or contains a NUL.
    """
    if not path:
        return []
    names = path.split(b"/")
    if b"\0" in path or not {b"", b".", b".."}.isdisjoint(names):
        raise ValueError(f"not a path below a volume: {path!r}")
    return names


def open_root(path: bytes) -> int:
    """Open a volume's root; the caller closes the descriptor.

    No component of the path may be a symbolic link, because a customer may own the directory above
    the root, and can replace the root by a link at any instant. So ``named.resolve`` resolves the
    path once, when the administrator names it. Mounts in the path are crossed.

    Args:
        path: absolute path without symbolic links.

    Raises:
        ValueError: ``path`` is not absolute.
        OSError: the kernel's error: ENOENT, ENOTDIR or ELOOP (a component is a link), EACCES...
    """
    if not path.startswith(b"/"):
        raise ValueError(f"not an absolute path: {path!r}")
    with closing(os.open(b"/", _STEP)) as top:
        if len(path) < _PATH_MAX and has_openat2():
            return _openat2(top, path.strip(b"/") or b".", _DIRECTORY, _NO_LINKS)
        fd = os.dup(top)
        try:
            for name in path.split(b"/"):
                if name:
                    following = os.open(name, _STEP, dir_fd=fd)
                    os.close(fd)
                    fd = following
            return os.open(b".", _DIRECTORY, dir_fd=fd)
        finally:
            os.close(fd)


def open_step(parent: int, name: bytes, *, cross_mounts: bool = False) -> int:
    """Open the directory ``name`` in an open directory; the descriptor is ``O_PATH``.

    Raises:
        CrossesMountError: another file system is mounted at ``name`` and ``cross_mounts`` is false.
            ``open_step`` does not wait for a file system that does not answer.
        OSError: the kernel's error: ENOENT, ENOTDIR or ELOOP (``name`` is a link)...
    """
    if cross_mounts:
        return os.open(name, _STEP, dir_fd=parent)
    if has_openat2():
        return _openat2(parent, name, _STEP)
    fd = os.open(name, _STEP, dir_fd=parent)
    try:
        crosses = identity_of(fd).device != identity_of(parent).device
    except BaseException:
        os.close(fd)
        raise
    if crosses:
        os.close(fd)
        raise CrossesMountError(errno.EXDEV, os.strerror(errno.EXDEV), name)
    return fd


def open_directory(root: int, path: bytes, *, cross_mounts: bool = False) -> int:
    """Open the directory ``path`` below ``root``; the caller closes the descriptor.

    Args:
        root: descriptor of the volume's root.
        path: path below the root; empty for the root itself.
        cross_mounts: enter other file systems below the root, too.

    Raises:
        CrossesMountError: the path crosses a mount and ``cross_mounts`` is false.
        LoopError: the path enters one directory twice, because the directory is mounted below
            itself.
        OSError: the kernel's error: ENOENT, ENOTDIR or ELOOP (a component is a link), EACCES...
    """
    names = components(path)
    if not names:
        return os.open(b".", _DIRECTORY, dir_fd=root)
    if cross_mounts or not has_openat2():
        return _open_by_steps(root, names, cross_mounts=cross_mounts)
    return _open_by_chunks(root, names)


def _open_by_chunks(root: int, names: list[bytes]) -> int:
    chunks: list[list[bytes]] = [[]]
    length = 0
    for name in names:
        if length + len(name) + 1 >= _PATH_MAX:
            chunks.append([])
            length = 0
        chunks[-1].append(name)
        length += len(name) + 1
    fd = root
    try:
        for number, chunk in enumerate(chunks, 1):
            last = number == len(chunks)
            following = (
                _without_atime(fd, b"/".join(chunk))
                if last
                else _openat2(fd, b"/".join(chunk), _STEP)
            )
            if fd != root:
                os.close(fd)
            fd = following
    except BaseException:
        if fd != root:
            os.close(fd)
        raise
    return fd


def _without_atime(parent: int, path: bytes) -> int:
    try:
        return _openat2(parent, path, _DIRECTORY | os.O_NOATIME)
    except PermissionError as error:
        if error.errno != errno.EPERM:  # EPERM: only root and the owner may use O_NOATIME
            raise
        return _openat2(parent, path, _DIRECTORY)


def _open_by_steps(root: int, names: list[bytes], *, cross_mounts: bool) -> int:
    seen = {identity_of(root)}
    device = next(iter(seen)).device
    fd = root
    try:
        for number, name in enumerate(names, 1):
            flags = _DIRECTORY if number == len(names) else _STEP
            following = os.open(name, flags, dir_fd=fd)
            if fd != root:
                os.close(fd)
            fd = following
            here = identity_of(fd)
            if here.device != device and not cross_mounts:
                raise CrossesMountError(errno.EXDEV, os.strerror(errno.EXDEV), name)
            if here in seen:
                raise LoopError(errno.ELOOP, "the directory is mounted below itself", name)
            seen.add(here)
    except BaseException:
        if fd != root:
            os.close(fd)
        raise
    return fd


def each_on_the_way(root: int, path: bytes) -> Iterator[tuple[bytes, int]]:
    """Yield name and descriptor (``O_PATH``) of each directory from below ``root`` to ``path``.

    Mounts are crossed. Each descriptor is closed before the next directory is yielded.

    Raises:
        OSError: the kernel's error, see ``open_directory``.
    """
    fd = root
    try:
        for name in components(path):
            following = os.open(name, _STEP, dir_fd=fd)
            if fd != root:
                os.close(fd)
            fd = following
            yield name, fd
    finally:
        if fd != root:
            os.close(fd)


def open_file(directory: int, name: bytes) -> int:
    """Open the file ``name`` for reading, without following a link and without waiting.

    Opening does not change the access time if the agent is root or owns the file. The caller must
    fstat the descriptor before reading: the file may be a FIFO or a device by now.

    Raises:
        OSError: ELOOP for a link, ENXIO for a socket, EAGAIN if another process holds a lease,
            else the kernel's error.
    """
    try:
        return os.open(name, FILE_FLAGS | os.O_NOATIME, dir_fd=directory)
    except PermissionError as error:
        if error.errno != errno.EPERM:
            raise
        return os.open(name, FILE_FLAGS, dir_fd=directory)


def open_parent(root: int, path: bytes, *, cross_mounts: bool = False) -> tuple[int, bytes]:
    """Open the directory of the file ``path``; return its descriptor and the file's name.

    Raises:
        ValueError: ``path`` is not the path of a file below the root.
        OSError: the kernel's error, see ``open_directory``.
    """
    head, _, name = path.rpartition(b"/")
    if name in {b"", b".", b".."}:
        raise ValueError(f"not the path of a file below a volume: {path!r}")
    return open_directory(root, head, cross_mounts=cross_mounts), name


@contextmanager
def closing(fd: int) -> Iterator[int]:
    """Close the descriptor ``fd`` when the ``with`` block ends."""
    try:
        yield fd
    finally:
        os.close(fd)


def is_regular(status: os.stat_result) -> bool:
    """Whether a ``stat`` result belongs to a regular file."""
    return stat.S_ISREG(status.st_mode)
