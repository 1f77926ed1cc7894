"""The person or process that did something, for a line of the audit log."""

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
    """Who did something.

    Attributes:
        uid: the process's user.
        user: its name; ``None``: this host has none for it.
        by: ``command``: somebody at a terminal or a script; ``scan``: a one-off scan; ``daemon``:
            the daemon by itself; ``notice``: because a notice demands it.
        login: the user who logged in, whatever sudo or su did since, as the kernel knows it;
            ``None``: no login, as for services and for the kernel without audit.
        sudo: the user who called sudo, as the environment says: the caller can change it.
    """

    uid: int
    user: str | None
    by: By
    login: int | None = None
    sudo: int | None = None

    @classmethod
    def current(cls, by: By) -> Self:
        """The user of this process."""
        uid = os.geteuid()
        return cls(uid, user_name(uid), by, _login(), _sudo())

    @classmethod
    def parse(cls, found: Any) -> Self | None:
        """The ``who`` of a line; ``None``: it is invalid."""
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
        """Ready for JSON; ``login`` and ``sudo`` only if they are known."""
        found: dict[str, int | str | None] = {"uid": self.uid, "user": self.user, "by": self.by}
        if self.login is not None:
            found["login"] = self.login
        if self.sudo is not None:
            found["sudo"] = self.sudo
        return found

    def __str__(self) -> str:
        """For people: ``the daemon``, ``root``, ``root (login alice)``."""
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
    """Source: proc(5), /proc/[pid]/loginuid."""
    try:
        with open(_LOGIN_UID, encoding="ascii") as file:
            uid = int(file.read(16))
    except (OSError, ValueError):
        return None
    return None if uid == _NO_LOGIN else uid


def _sudo(environment: Mapping[str, str] | None = None) -> int | None:
    """Source: sudo(8), SUDO_UID. Only root's processes can have been started by sudo."""
    text = (os.environ if environment is None else environment).get("SUDO_UID", "")
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        return None
    return int(text) if int(text) < _NO_LOGIN else None
