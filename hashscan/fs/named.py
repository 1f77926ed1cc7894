"""Opens paths that the administrator names; no customer can redirect such a path.

The path of ``--to``, ``--state`` or a volume may go through directories of customers, and a
customer can make a symbolic link in the customer's directory at any instant. So each component is
opened by descriptor. A link is followed only if nobody but root and the running user can have made
the link and can replace it. For every other link, this module raises an error with the link's path
and owner.

``Named.unsafe`` says whether another user can replace a directory.
"""

from __future__ import annotations

import errno
import grp
import os
import pwd
import stat
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hashscan.errors import UnsafePathError
from hashscan.fs.metadata import group_name, user_name
from hashscan.text import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_ENTRY = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_MOST_LINKS = 40  # as the kernel, path_resolution(7)
_ABOVE_MODE = 0o755
_ACL = "system.posix_acl_access"


@dataclass(frozen=True, slots=True)
class Unsafe:
    """Why others than root and the running user can change or replace a file or directory.

    Attributes:
        what: why other users can change the file, e.g. ``/srv/www/a belongs to user 1001 (a)``.
        fix: a command or advice, after which other users cannot change the file any more.
    """

    what: str
    fix: str

    def __str__(self) -> str:
        return self.what


@dataclass(frozen=True, slots=True)
class Named:
    """An open directory that the administrator named.

    Attributes:
        fd: a descriptor of the directory (``O_PATH``), which the caller closes.
        path: absolute path of the directory, without symbolic links.
        unsafe: why others than root and the running user can replace this directory or its
            entries; ``None``: no other user can.
    """

    fd: int
    path: bytes
    unsafe: Unsafe | None


def user_shown(uid: int) -> str:
    """A user for a message: the user id, and the user name if this host has the name."""
    name = user_name(uid)
    return f"user {uid}" if name is None else f"user {uid} ({shown(name)})"


def why_unsafe(status: os.stat_result, path: bytes, fd: int | None = None) -> Unsafe | None:
    """Why others than root and the running user can change a file or a directory's entries.

    A directory with the sticky bit, e.g. ``/tmp``, is safe: only an entry's owner can replace it.

    Args:
        status: ``stat`` result of the file or directory to check.
        path: path of the file or directory to check, for the message.
        fd: descriptor of the file or directory, to find out whether its group has only the owner
            as member; ``None``: a group that can write is unsafe.
    """
    mode = stat.S_IMODE(status.st_mode)
    if status.st_uid not in _trusted_users():
        fix = f"chown {_owner()} {shown(path)}"
        if stat.S_ISDIR(status.st_mode):
            fix = _elsewhere()
        return Unsafe(f"{shown(path)} belongs to {user_shown(status.st_uid)}", fix)
    if stat.S_ISDIR(status.st_mode) and mode & stat.S_ISVTX:
        return None
    if mode & 0o002:
        return Unsafe(
            f"everybody can write to {shown(path)} (mode {mode:04o})", f"chmod o-w {shown(path)}"
        )
    if mode & 0o020 and not (fd is not None and _is_private_group(status, fd)):
        return Unsafe(
            f"the group {_group_shown(status.st_gid)} can write to {shown(path)} ({mode:04o})",
            f"chmod g-w {shown(path)}",
        )
    return None


def _owner() -> str:
    return "root" if os.geteuid() == 0 else str(os.geteuid())


def _elsewhere() -> str:
    return f"use another directory, one that {_owner()} owns, e.g. in /etc or /var/lib"


def _trusted_users() -> set[int]:
    # The owner of "/" can replace everything: in a user namespace it is not number 0.
    return {0, os.geteuid(), os.stat("/").st_uid}


def _group_shown(gid: int) -> str:
    name = group_name(gid)
    return str(gid) if name is None else f"{gid} ({shown(name)})"


def _is_private_group(status: os.stat_result, fd: int) -> bool:
    """Whether a file's group has only the owner as member: useradd(8) makes such groups.

    If the file has an ACL, the result is false: the group's bits then apply to other users, too.
    """
    uid = status.st_uid
    if uid == 0 or uid != status.st_gid:
        return False
    try:
        name = pwd.getpwuid(uid).pw_name
        group = grp.getgrgid(status.st_gid)
        if stat.S_ISDIR(status.st_mode):  # listxattr(2) refuses O_PATH
            readable = os.open(b".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=fd)
        else:
            readable = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            has_acl = _ACL in os.listxattr(readable)
        finally:
            os.close(readable)
    except (KeyError, OSError):
        return False
    return group.gr_name == name and set(group.gr_mem) <= {name} and not has_acl


class _Walk:
    """A path that is being resolved: the directory that is open, and the names that remain."""

    def __init__(self, path: bytes, make: int | None, *, to_file: bool = False) -> None:
        self._given = path
        self._make = make
        self._to_file = to_file
        self._links = 0
        self._names: list[bytes] = []
        self.rest: list[bytes] = []
        if not path:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        if b"\0" in path:
            raise ValueError(f"a path with a NUL: {path!r}")
        self._add_names(path if path.startswith(b"/") else os.getcwdb() + b"/" + path)
        self.here = self._top()

    def _add_names(self, path: bytes) -> None:
        names = [name for name in path.split(b"/") if name not in {b"", b"."}]
        self.rest += reversed(names)

    @staticmethod
    def _top() -> Named:
        fd = os.open(b"/", _DIRECTORY)
        return Named(fd, b"/", why_unsafe(os.fstat(fd), b"/", fd))

    def close(self) -> None:
        os.close(self.here.fd)

    def _restart(self, names: list[bytes]) -> None:
        """Start the path again at ``/``, and enter ``names`` before the remaining names."""
        top = self._top()
        self.close()
        self.here = top
        self._names = []
        self.rest += reversed(names)

    def step(self) -> None:
        """Enter the next directory of the path, or follow a symbolic link."""
        name = self.rest.pop()
        if name == b"..":
            self._restart(self._names[:-1])
            return
        path = os.path.join(self.here.path, name)
        try:
            fd = self._open(name)
            try:
                status = os.fstat(fd)
                if stat.S_ISLNK(status.st_mode):
                    self._follow(fd, status, path)
                    os.close(fd)
                    return
                if not stat.S_ISDIR(status.st_mode) and (self.rest or not self._to_file):
                    raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
                unsafe = self.here.unsafe or why_unsafe(status, path, fd)
            except BaseException:
                os.close(fd)
                raise
        except OSError as error:
            self.rest.append(name)
            error.filename = path
            raise
        self.close()
        self.here = Named(fd, path, unsafe)
        self._names.append(name)

    def _open(self, name: bytes) -> int:
        for last in (False, True):
            try:
                return os.open(name, _DIRECTORY, dir_fd=self.here.fd)
            except NotADirectoryError:
                return os.open(name, _ENTRY, dir_fd=self.here.fd)
            except FileNotFoundError:
                if last or self._make is None:
                    raise
            mode = _ABOVE_MODE if self.rest else self._make
            with suppress(FileExistsError):
                os.mkdir(name, mode, dir_fd=self.here.fd)
                sync_names(self.here.fd)
        raise AssertionError  # pragma: no cover - the last pass of the loop returns or raises

    def _follow(self, fd: int, status: os.stat_result, path: bytes) -> None:
        target = os.readlink(b"", dir_fd=fd)
        why = None if self.here.unsafe is None else str(self.here.unsafe)
        if status.st_uid not in _trusted_users():
            why = f"the link belongs to {user_shown(status.st_uid)}"
        elif why is None and status.st_nlink > 1 and self._others_can_link():
            why = "it has another name (a hard link), so anybody may have put it there"
        if why is not None:
            raise UnsafePathError(
                f"{shown(self._given)}: {shown(path)} is a link to {shown(target)}, and {why}: "
                "hashscan does not follow it; name the directory itself, by a path without links "
                "of other users"
            )
        self._links += 1
        if self._links > _MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        if target.startswith(b"/"):
            self._restart([])
        self._add_names(target)

    def _others_can_link(self) -> bool:
        return bool(os.fstat(self.here.fd).st_mode & 0o022)


def open_named(path: bytes, *, make: int | None = None) -> Named:
    """Open a directory that the administrator names; the caller closes its descriptor.

    Args:
        path: path of the directory, absolute or relative to the working directory.
        make: mode of a new directory, if the directory is missing; missing directories above it are
            made with mode 0755. ``None``: make no directory.

    Raises:
        UnsafePathError: the path has a symbolic link that another user made or can replace.
        OSError: a component of the path cannot be opened (the kernel's error); ``filename`` is the
            component.
        ValueError: ``path`` contains a NUL.
    """
    walk = _Walk(path, make)
    try:
        while walk.rest:
            walk.step()
    except BaseException:
        walk.close()
        raise
    return walk.here


@contextmanager
def opened_named(path: bytes, *, make: int | None = None) -> Iterator[Named]:
    """Open a directory as ``open_named`` does, and close it when the block ends."""
    named = open_named(path, make=make)
    try:
        yield named
    finally:
        os.close(named.fd)


def why_replaceable(path: str, *, optional: bool = False) -> Unsafe | None:
    """Why others than root and the running user can change a file; ``None``: no other user can.

    sshd(8) has the same rule for its files: the file, each directory above it and each symbolic
    link in its path must belong to root or the running user, and no other user may write to them.
    Then nobody else can replace the file between this check and its opening. If another user
    controls a directory of the path, the result names the first of these directories, even if the
    file is missing, or if a later ``..`` leaves the directory.

    Args:
        path: path of the file to check.
        optional: the file may be missing; then the result also says why other users can make the
            file.

    Raises:
        OSError: the file is missing or cannot be reached, and no other user can make or replace it.
        ValueError: ``path`` contains a NUL.
    """
    try:
        walk = _Walk(os.fsencode(path), None, to_file=True)
        try:
            while walk.rest and walk.here.unsafe is None:
                walk.step()
            return walk.here.unsafe
        except FileNotFoundError:
            mode = os.fstat(walk.here.fd).st_mode
            # If others can write to a directory without the sticky bit, ``why_unsafe`` already
            # reports it.
            if optional and mode & stat.S_ISVTX and mode & 0o022:
                return Unsafe(f"anybody can make {shown(path)}", _elsewhere())
            raise
        finally:
            walk.close()
    except UnsafePathError as error:
        what, _, _ = str(error).partition(": hashscan does not follow it")
        return Unsafe(
            what.removeprefix(f"{shown(path)}: "), "name the file itself, by a path without links"
        )


@contextmanager
def opened_above(path: bytes) -> Iterator[tuple[Named, bytes]]:
    """Open the directory of a file that the administrator names; also yield the file's name.

    Raises:
        IsADirectoryError: ``path`` ends in a slash, ``.`` or ``..``.
        UnsafePathError, OSError, ValueError: ``open_named`` raised the error.
    """
    above, name = os.path.split(path)
    if name in {b"", b".", b".."}:
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    with opened_named(above or b".") as named:
        yield named, name


def sync_names(directory: int) -> None:
    """Write an open directory's names to disk (fsync), if its file system supports that.

    Args:
        directory: descriptor of the directory; it may be an ``O_PATH`` descriptor.

    Raises:
        OSError: the directory's names could not be written, e.g. EIO.
    """
    try:
        fd = os.open(b".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=directory)
    except PermissionError:
        return  # the running user may enter the directory, but not list it
    try:
        os.fsync(fd)
    except OSError as error:  # some network and FUSE file systems cannot sync a directory
        if error.errno not in {errno.EINVAL, errno.EOPNOTSUPP}:
            raise
    finally:
        os.close(fd)


def resolve(path: str) -> str:
    """A path without symbolic links, see ``os.path.realpath``; raises if another user made a link.

    If a component is missing or cannot be entered, the rest of the path is returned unchanged.

    Raises:
        UnsafePathError: the path has a symbolic link that another user made or can replace.
    """
    walk = _Walk(os.fsencode(path), None)
    try:
        with suppress(OSError):
            while walk.rest:
                walk.step()
        rest = b"/".join(reversed(walk.rest))
        return os.path.normpath(os.fsdecode(os.path.join(walk.here.path, rest)))
    finally:
        walk.close()
