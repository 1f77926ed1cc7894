"""Opens the place to which a file is restored; makes its directory if ``--mkdir`` is given."""

from __future__ import annotations

import errno
import os
import shlex
from contextlib import ExitStack
from typing import TYPE_CHECKING

from hashscan.errors import QuarantineError
from hashscan.fs.beneath import closing, components, identity_of, open_directory
from hashscan.fs.folders import make_below
from hashscan.fs.named import opened_named, resolve, user_shown
from hashscan.model import join
from hashscan.quarantine.file_place import failed, opened, opened_root
from hashscan.quarantine.records import Place
from hashscan.text import shown

if TYPE_CHECKING:
    from hashscan.fs.folders import Made
    from hashscan.quarantine.file_place import Opened
    from hashscan.quarantine.records import Record

_DOING = "could not be restored"
_NOT_THERE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})


def open_target(
    stack: ExitStack, record: Record, made: list[Made], *, to: bytes | None, mkdir: bool
) -> Opened:
    """Open the place to which a file is restored.

    Args:
        stack: closes the descriptors of the place at its end.
        record: record of the file to restore.
        made: list to which each new directory is added, even if a later step fails.
        to: directory that the administrator names for the file; ``None``: the original directory.
        mkdir: make the missing directories of the target's path.

    Raises:
        UnsafePathError: a customer's symbolic link is in ``to``.
        QuarantineError: the directory does not exist (reason ``no-directory``), or cannot be opened
            (the kernel's name of the error).
    """
    place = record.origin if to is None else _named_place(stack, record, to, made, mkdir=mkdir)
    try:
        return stack.enter_context(opened(place))
    except OSError as error:
        if not mkdir or error.errno != errno.ENOENT:
            raise _no_directory(error, record, place) from error
    try:
        _make(record, place, made)
        return stack.enter_context(opened(place))
    except OSError as error:
        raise failed(error, place, _DOING) from error


def _named_place(
    stack: ExitStack, record: Record, to: bytes, made: list[Made], *, mkdir: bool
) -> Place:
    """The file's place in ``to``, which remains open: no other file can get the inode of ``to``."""
    name = record.origin.path.rpartition(b"/")[2]
    try:
        try:
            named = stack.enter_context(opened_named(to))
        except FileNotFoundError:
            if not mkdir:
                raise
            _make_named(to, made)
            named = stack.enter_context(opened_named(to))
    except OSError as error:
        raise _no_named(error, record, Place(os.path.abspath(to), name)) from error
    return Place(named.path, name, root_inode=identity_of(named.fd).inode)


def _make_named(to: bytes, made: list[Made]) -> None:
    head = os.fsencode(resolve(os.fsdecode(to)))
    names: list[bytes] = []
    while True:
        try:
            with opened_named(head) as named:
                make_below(named.fd, names, named.path, made)
                return
        except FileNotFoundError:
            head, name = os.path.split(head)
            names.insert(0, name)
            if not name:
                raise


def _nearest(stack: ExitStack, place: Place) -> tuple[int, bytes, list[bytes]]:
    """Open the deepest existing directory of the path of a file's place.

    Returns:
        The directory's descriptor and path, and the names of the missing directories below it.

    Raises:
        QuarantineError: the volume's root is another directory (reason ``other-root``).
        OSError: the volume's root does not exist, or a directory cannot be opened.
    """
    root, _ = opened_root(place)
    stack.enter_context(closing(root))
    names = components(place.path)[:-1]
    for count in range(len(names), -1, -1):
        path = b"/".join(names[:count])
        try:
            fd = open_directory(root, path, cross_mounts=place.cross_mounts)
        except FileNotFoundError:
            continue
        stack.enter_context(closing(fd))
        return fd, join(place.volume, path), names[count:]
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), place.volume)


def _make(record: Record, place: Place, made: list[Made]) -> None:
    with ExitStack() as stack:
        try:
            fd, where, names = _nearest(stack, place)
        except OSError as error:
            raise _no_directory(error, record, place) from error
        make_below(fd, names, where, made)


def _no_directory(error: OSError, record: Record, place: Place) -> QuarantineError:
    """The error for a file's place that cannot be opened; the error's message names a fix."""
    if error.errno not in _NOT_THERE:
        return failed(error, place, _DOING)
    elsewhere = f"`hashscan quarantine restore {record.id} --to DIR`"
    directory = shown(os.path.dirname(place.full_path))
    with ExitStack() as stack:
        try:
            _, where, names = _nearest(stack, place)
        except FileNotFoundError:
            text = f"{shown(place.volume)}: not restored: the volume is not there; mount it, or"
            return QuarantineError(f"{text} {elsewhere}", reason="no-directory")
        except (OSError, QuarantineError):
            names = []
    if not names:
        text = f"{directory}: not restored: a file or a link has a directory's place; move it"
        return QuarantineError(f"{text} away, or {elsewhere}", reason="no-directory")
    owner = ""
    if record.metadata is not None:
        owner = f" (the file belongs to {user_shown(record.metadata.uid)})"
    return QuarantineError(
        f"{directory}: not restored: the directory is gone{owner}; --mkdir makes it with "
        f"the owner and mode of {shown(where)}, or run `mkdir -p {shlex.quote(directory)}` and "
        f"give it its owner, or {elsewhere}",
        reason="no-directory",
    )


def _no_named(error: OSError, record: Record, place: Place) -> QuarantineError:
    if error.errno not in _NOT_THERE:
        return failed(error, place, _DOING)
    directory = shown(place.volume)
    if error.errno == errno.ENOENT:
        return QuarantineError(
            f"{directory}: {record.id} not restored: there is no such directory; "
            f"`mkdir -p {shlex.quote(directory)}` or --mkdir makes it",
            reason="no-directory",
        )
    return QuarantineError(
        f"{directory}: {record.id} not restored: this is not a directory; name a directory with "
        "--to",
        reason="no-directory",
    )
