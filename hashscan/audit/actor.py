"""The person or process that caused an event, for a line of the audit log."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self, TypeGuard, cast, get_args

from hashscan.fs.metadata import user_name
from hashscan.text import shown

if TYPE_CHECKING:
    from collections.abc import Mapping

By = Literal["command", "daemon", "scan", "notice"]
_LOGIN_UID = "/proc/self/loginuid"
#: The kernel's number for a process that no login started.
_NO_LOGIN = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class Who:
    """The person or process that caused an event.

    Attributes:
        uid: user id of the process that caused the event.
        user: user name of ``uid``; ``None``: this host has no user name for the user id.
        by: ``command``: a person or a script ran a command; ``scan``: a one-off scan; ``daemon``:
            the daemon by itself; ``notice``: a notice demands the action.
        login: user id of the login session, which sudo and su do not change; ``None``: the process
            has no login session, e.g. a service, or the kernel has no audit.
        sudo: user id that the environment names as the caller of sudo; the caller can change the
            environment.
    """

    uid: int
    user: str | None
    by: By
    login: int | None = None
    sudo: int | None = None

    @classmethod
    def current(cls, by: By) -> Self:
        """The actor of an event that this process causes."""
        uid = os.geteuid()
        return cls(uid, user_name(uid), by, _login(), _sudo())

    @classmethod
    def parse(cls, found: Any) -> Self | None:
        """The actor from the field ``who`` of an audit line; ``None``: the field is invalid."""
        if not isinstance(found, dict):
            return None
        uid, user, by = found.get("uid"), found.get("user"), found.get("by")
        login, sudo = found.get("login"), found.get("sudo")
        if not _is_uid(uid) or by not in get_args(By) or not isinstance(user, str | None):
            return None
        if not ((login is None or _is_uid(login)) and (sudo is None or _is_uid(sudo))):
            return None
        return cls(uid, user, cast("By", by), login, sudo)

    def as_dict(self) -> dict[str, int | str | None]:
        """The actor for JSON; ``login`` and ``sudo`` only if they are known."""
        found: dict[str, int | str | None] = {"uid": self.uid, "user": self.user, "by": self.by}
        if self.login is not None:
            found["login"] = self.login
        if self.sudo is not None:
            found["sudo"] = self.sudo
        return found

    def __str__(self) -> str:
        """The actor for people: ``the daemon``, ``root``, ``root (login alice)``."""
        if self.by == "daemon":
            return "daemon"
        name = str(self.uid) if self.user is None else shown(self.user)
        person = self.login if self.login is not None else self.sudo
        if person is None or person == self.uid:
            return name
        return f"{shown(user_name(person) or str(person))} as {name}"


def _is_uid(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _NO_LOGIN


def _login() -> int | None:
    """User id of this process's login session; source: proc(5), /proc/[pid]/loginuid."""
    try:
        with open(_LOGIN_UID, encoding="ascii") as file:
            uid = int(file.read(16))
    except (OSError, ValueError):
        return None
    return None if uid == _NO_LOGIN else uid


def _sudo(environment: Mapping[str, str] | None = None) -> int | None:
    """User id of the caller of sudo, for a process of root; source: sudo(8), SUDO_UID."""
    text = (os.environ if environment is None else environment).get("SUDO_UID", "")
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        return None
    return int(text) if int(text) < _NO_LOGIN else None
