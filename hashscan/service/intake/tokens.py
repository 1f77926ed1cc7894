"""The tokens of senders: names and hashed tokens, in ``tokens.json``.

A token has 256 random bits, so nobody can guess a token, and SHA-256 is enough to store the token.
(Passwords, which people choose, need scrypt.)
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from hashscan.errors import UsageError
from hashscan.service.connections import network_of
from hashscan.service.limits import Limiter
from hashscan.service.named_file import NamedFile
from hashscan.service.passwords import WRONG_BURST, WRONG_SECONDS, TooManyError
from hashscan.text import shown

if TYPE_CHECKING:
    from hashscan.service.data import Data

#: Number of characters of the longest token that the intake compares.
_LONGEST = 256


class Token(NamedTuple):
    """A stored token of a sender; ``added``: time of its making, in seconds since the epoch."""

    sha256: bytes
    added: float


def _load(one: Any) -> Token:
    return Token(bytes.fromhex(one["sha256"]), float(one["added"]))


def _dump(one: Token) -> dict[str, object]:
    return {"sha256": one.sha256.hex(), "added": one.added}


TOKENS = NamedFile("tokens", "token", "hashscan notice token", _load, _dump)


def add_token(data: Data, name: str) -> str:
    """Make a token for a sender, store the token's hash, and return the token.

    Raises:
        UsageError: the sender's name cannot be used, or has a token already.
        StateError: the hash of the token cannot be stored.
    """
    TOKENS.check_name(name)
    if name in TOKENS.read(data):
        raise UsageError(
            f"there is a token {shown(name)} already; remove it first with 'hashscan notice token "
            "remove', or give the new one another name"
        )
    token = secrets.token_urlsafe(32)
    TOKENS.add(data, name, Token(_hashed(token), time.time()))
    return token


def _hashed(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


class TokenSenders:
    """Finds the sender of a token.

    Attributes:
        wrong: number of wrong tokens that clients have sent so far.
    """

    def __init__(self, clock: Limiter | None = None) -> None:
        """Start without tokens; the ``clock`` is used to limit wrong tokens by address."""
        self._tokens: dict[str, Token] = {}
        self._limits = clock or Limiter(1 / WRONG_SECONDS, WRONG_BURST)
        self.wrong = 0

    def take(self, tokens: dict[str, Token]) -> None:
        """Replace all tokens by the tokens that are stored now."""
        self._tokens = tokens

    def name_of(self, token: str, address: str) -> str | None:
        """Return the name of the token's sender; ``None``: the token does not exist.

        A right token is accepted even during a flood of wrong tokens from the same address, e.g.
        from a
        proxy: nobody can guess a right token.

        Raises:
            TooManyError: the token is wrong, and too many wrong tokens came from its address
                before.
        """
        name = self._find(token)
        if name is None:
            self.wrong += 1
            if wait := self._limits.wait(network_of(address)):
                raise TooManyError(wait)
        return name

    def _find(self, token: str) -> str | None:
        if len(token) > _LONGEST:
            return None
        hashed = _hashed(token)
        found = None
        for name, one in self._tokens.items():  # compare all, so that the duration reveals nothing
            if hmac.compare_digest(one.sha256, hashed):
                found = name
        return found
