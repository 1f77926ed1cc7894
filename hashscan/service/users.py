"""Who may ask: names with hashed passwords, in ``users.json``.

A password is kept as scrypt(password, salt) (RFC 7914) with its parameters. That takes some 50 ms
by design, so a running service remembers credentials that were right, as a keyed hash that is worth
nothing outside of its process.
"""

from __future__ import annotations

import fcntl
import functools
import hashlib
import hmac
import json
import os
import re
import secrets
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hashscan.durable import replace_file
from hashscan.errors import StateError, UsageError
from hashscan.text import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashscan.service.data import Data

USERS = "users.json"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_LONGEST = 16 << 20
_N, _R, _P = 1 << 14, 8, 1
_REMEMBERED = 4096
#: The longest password that is looked at, in bytes.
PASSWORD_LIMIT = 1024


@dataclass(frozen=True, slots=True)
class Hashed:
    """A hashed password: scrypt's salt, result and parameters."""

    salt: bytes
    result: bytes
    n: int = _N
    r: int = _R
    p: int = _P

    @classmethod
    def of(cls, password: str) -> Hashed:
        """Hash a password."""
        salt = secrets.token_bytes(16)
        return cls(salt, _scrypt(password, salt, _N, _R, _P))

    def fits(self, password: str) -> bool:
        """Whether this is the password; takes some 50 ms."""
        found = _scrypt(password, self.salt, self.n, self.r, self.p)
        return hmac.compare_digest(found, self.result)


def _scrypt(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(
        password.encode("utf-8", "surrogateescape"), salt=salt, n=n, r=r, p=p,
        maxmem=256 * n * r + (1 << 20), dklen=32,
    )  # fmt: skip


@functools.cache
def _nobody() -> Hashed:
    """A password of no user."""
    return Hashed.of(secrets.token_hex(16))


def read_users(data: Data) -> dict[str, Hashed]:
    """All users.

    Raises:
        StateError: the file is damaged.
    """
    path = data.path(USERS)
    try:
        with open(path, "rb") as file:
            found = json.loads(file.read(_LONGEST))
        return {
            name: Hashed(
                bytes.fromhex(one["salt"]),
                bytes.fromhex(one["scrypt"]),
                int(one["n"]),
                int(one["r"]),
                int(one["p"]),
            )
            for name, one in found["users"].items()
        }
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StateError(
            f"{shown(path)}: is damaged; move it away, and add the users again with 'hashscan "
            "service user add'"
        ) from error


def add_user(data: Data, name: str, password: str) -> None:
    """Add a user, or give one a new password.

    Raises:
        UsageError: name or password cannot be used.
        StateError: it cannot be written.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{shown(name)} is no user name: use up to 64 letters, digits, '.', '_', '@', '-'"
        )
    if not 8 <= len(password.encode("utf-8", "surrogateescape")) <= PASSWORD_LIMIT:
        raise UsageError(f"a password has 8 to {PASSWORD_LIMIT} bytes; choose another one")
    if any(ord(sign) < 32 or sign == "\x7f" for sign in password):
        raise UsageError("a password is one line of text; choose another one")
    hashed = Hashed.of(password)
    with _change(data) as users:
        users[name] = hashed


def remove_user(data: Data, name: str) -> None:
    """Remove a user; a running service refuses them within a second.

    Raises:
        UsageError: there is none of that name.
        StateError: it cannot be written.
    """
    with _change(data) as users:
        if users.pop(name, None) is None:
            raise UsageError(f"there is no user {shown(name)}; 'hashscan service user list'")


@contextmanager
def _change(data: Data) -> Iterator[dict[str, Hashed]]:
    try:
        lock = os.open(data.path("users.lock"), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            users = read_users(data)
            yield users
            content = {
                name: {
                    "salt": one.salt.hex(),
                    "scrypt": one.result.hex(),
                    "n": one.n,
                    "r": one.r,
                    "p": one.p,
                }
                for name, one in sorted(users.items())
            }
            text = json.dumps({"format": 1, "users": content}, indent=2) + "\n"
            replace_file(data.path(USERS), text.encode())
        finally:
            os.close(lock)
    except OSError as error:
        raise StateError(
            f"{shown(data.path(USERS))}: cannot be written: {error.strerror}; make room or mend "
            "the permissions there"
        ) from error


class Credentials:
    """Checks credentials; what was right is remembered until the user changes."""

    def __init__(self) -> None:
        """Nobody may ask yet: see ``take``."""
        self._users: dict[str, Hashed] = {}
        # Compared if there is no such user, so that the time does not tell names.
        self._nobody = _nobody()
        self._key = secrets.token_bytes(32)
        self._right: dict[bytes, Hashed] = {}

    def take(self, users: dict[str, Hashed]) -> None:
        """Take over the users as they now are."""
        self._users = users

    def remembered(self, name: str, password: str) -> bool:
        """Whether these were right before, and the user is as then."""
        hashed = self._right.get(self._token(name, password))
        return hashed is not None and self._users.get(name) == hashed

    def check(self, name: str, password: str) -> bool:
        """Whether these are right; takes some 50 ms, also for a user who does not exist."""
        hashed = self._users.get(name)
        right = (hashed or self._nobody).fits(password) and hashed is not None
        if right and hashed is not None:
            if len(self._right) >= _REMEMBERED:
                self._right.clear()
            self._right[self._token(name, password)] = hashed
        return right

    def _token(self, name: str, password: str) -> bytes:
        text = f"{name}\0{password}".encode("utf-8", "surrogateescape")
        return hmac.digest(self._key, text, "sha256")
