"""Finds the account that owns a user id of a range in /etc/subuid.

A user with a range in /etc/subuid can change the owner of files to any id of the range, by
`unshare` or a container, without root. So each limit by owner counts files of all ids in a range
as files of the user who has the range.
"""

from __future__ import annotations

import os
import pwd
from contextlib import suppress

from hashscan.fs.metadata import user_name

PATH = "/etc/subuid"
#: User ids below this number belong to the system (login.defs(5), UID_MIN). A range of root or of a
#: container manager is not the range of one customer.
_FIRST_USER = 1000
#: Maximum number of bytes of /etc/subuid that are read; a line has about 25 bytes.
_LARGEST = 16 << 20


class Accounts:
    """The ranges of user ids in /etc/subuid; the file is read again after each change."""

    def __init__(self, path: str | None = None) -> None:
        """Use the file ``path`` (default: /etc/subuid); the first call of ``of`` reads the file."""
        self._path = PATH if path is None else path
        self._stamp: tuple[int, ...] | None = None
        self._ranges: list[tuple[int, int, str]] = []
        self._found: dict[int, int] = {}

    def of(self, uid: int) -> int:
        """The user whose range contains ``uid``; ``uid`` itself if no range contains it."""
        self._refresh()
        found = self._found.get(uid)
        if found is None:
            found = self._found[uid] = self._user(uid)
        return found

    def _user(self, uid: int) -> int:
        for first, count, name in self._ranges:
            if first <= uid < first + count:
                user = _id_of(name)
                # A faulty range could contain the ids of other customers.
                if user is not None and user >= _FIRST_USER and user_name(uid) is None:
                    return user
        return uid

    def _refresh(self) -> None:
        stamp: tuple[int, ...] = ()
        with suppress(OSError):
            status = os.stat(self._path)
            stamp = (status.st_ino, status.st_size, status.st_mtime_ns)
        if stamp != self._stamp:
            self._stamp, self._ranges, self._found = stamp, _ranges_in(self._path), {}


def _ranges_in(path: str) -> list[tuple[int, int, str]]:
    """The ranges in /etc/subuid: first id, number of ids, and user; see subuid(5)."""
    found = []
    with suppress(OSError), open(path, encoding="utf-8", errors="surrogateescape") as file:
        for line in file.read(_LARGEST).splitlines():
            name, _, rest = line.strip().partition(":")
            first, _, count = rest.partition(":")
            if name and all(number.isascii() and number.isdigit() for number in (first, count)):
                found.append((int(first), int(count), name))
    return found


def _id_of(name: str) -> int | None:
    with suppress(KeyError, ValueError):
        return pwd.getpwnam(name).pw_uid
    return int(name) if name.isascii() and name.isdigit() else None
