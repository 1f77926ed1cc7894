"""The users who may ask questions: names with hashed passwords, in ``users.json``.

The file has scrypt(password, salt) (RFC 7914) of each password, with scrypt's parameters. One
scrypt takes some 50 ms by design. So a running service remembers right credentials, as a keyed hash
that is useless outside of its process.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hashscan.errors import UsageError
from hashscan.service.named_file import NamedFile

if TYPE_CHECKING:
    from hashscan.service.data import Data

_N, _R, _P = 1 << 14, 8, 1
_REMEMBERED = 4096
#: Number of bytes of the longest password that the service checks.
PASSWORD_LIMIT = 1024


@dataclass(frozen=True, slots=True)
class HashedSecret:
    """A hashed password: scrypt's salt, result and parameters."""

    salt: bytes
    result: bytes
    n: int = _N
    r: int = _R
    p: int = _P

    @classmethod
    def of(cls, password: str) -> HashedSecret:
        """Return the hashed password for a password."""
        salt = secrets.token_bytes(16)
        return cls(salt, _scrypt(password, salt, _N, _R, _P))

    def fits(self, password: str) -> bool:
        """Return whether ``password`` is the hashed password; takes some 50 ms."""
        found = _scrypt(password, self.salt, self.n, self.r, self.p)
        return hmac.compare_digest(found, self.result)


def _scrypt(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(
        password.encode("utf-8", "surrogateescape"), salt=salt, n=n, r=r, p=p,
        maxmem=256 * n * r + (1 << 20), dklen=32,
    )  # fmt: skip


@functools.cache
def _nobody() -> HashedSecret:
    """Return a hashed password that belongs to no user."""
    return HashedSecret.of(secrets.token_hex(16))


def _load(one: Any) -> HashedSecret:
    salt, result = bytes.fromhex(one["salt"]), bytes.fromhex(one["scrypt"])
    return HashedSecret(salt, result, int(one["n"]), int(one["r"]), int(one["p"]))


def _dump(one: HashedSecret) -> dict[str, object]:
    return {
        "salt": one.salt.hex(),
        "scrypt": one.result.hex(),
        "n": one.n,
        "r": one.r,
        "p": one.p,
    }


USERS = NamedFile("users", "user", "hashscan service user", _load, _dump)


def add_user(data: Data, name: str, password: str) -> None:
    """Add a user with a password, or replace the password of a user.

    Raises:
        UsageError: the name or the password of the user cannot be used.
        StateError: the file of the users cannot be written.
    """
    USERS.check_name(name)
    if not 8 <= len(password.encode("utf-8", "surrogateescape")) <= PASSWORD_LIMIT:
        raise UsageError(f"a password has 8 to {PASSWORD_LIMIT} bytes; choose another one")
    if any(ord(sign) < 32 or sign == "\x7f" for sign in password):
        raise UsageError("a password is one line of text; choose another one")
    USERS.add(data, name, HashedSecret.of(password))


class Credentials:
    """Checks users' credentials; remembers right credentials until the user changes."""

    def __init__(self) -> None:
        """Start without users, so that nobody may ask questions; ``take`` sets the users."""
        self._users: dict[str, HashedSecret] = {}
        # The password of an unknown user is compared with this hash, so that the duration of the
        # answer reveals no names.
        self._nobody = _nobody()
        self._key = secrets.token_bytes(32)
        self._right: dict[bytes, HashedSecret] = {}

    def take(self, users: dict[str, HashedSecret]) -> None:
        """Replace the users by the users that are stored now."""
        self._users = users

    def remembered(self, name: str, password: str) -> bool:
        """Return whether credentials were right before, and the user has not changed since."""
        hashed = self._right.get(self._token(name, password))
        return hashed is not None and self._users.get(name) == hashed

    def check(self, name: str, password: str) -> bool:
        """Return whether credentials are right; takes some 50 ms, also for an unknown user."""
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
