"""Remembers the matches in place that have a line in the audit log, also from earlier processes."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from xxhash import xxh3_64_digest

from hashscan.files import temporary
from hashscan.model import ALGORITHMS

if TYPE_CHECKING:
    from hashscan.model import MatchEvent

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
_KEY = 8
#: Maximum number of matches that are remembered; older matches are forgotten and logged again.
_MOST = 200_000


def _key_of(event: MatchEvent) -> bytes:
    candidate = event.match.candidate
    digests = [digest or b"" for digest in candidate.digests]
    assert len(digests) == len(ALGORITHMS)
    acted = event.acted
    about = (candidate.full_path, candidate.stamp, digests, acted.action, acted.problem)
    return xxh3_64_digest(repr(about).encode())


class Reported:
    """Keys of the matches in place that have a line in the audit log, saved in a file.

    Attributes:
        again: number of matches since the last ``save`` that already had a line.
    """

    def __init__(self, path: str) -> None:
        """Read the matches' keys that an earlier process saved; a damaged file counts as empty."""
        self._path = path
        directory, name = os.path.split(path)
        self._beside = os.path.join(directory, temporary(name))
        self._keys: dict[bytes, None] = {}
        self._is_new = False
        self.again = 0
        with suppress(OSError):
            fd = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            with open(fd, "rb") as file:
                data = file.read(_KEY * _MOST)
            if len(data) % _KEY == 0:
                keys = (data[at : at + _KEY] for at in range(0, len(data), _KEY))
                self._keys = dict.fromkeys(keys)

    def is_new(self, event: MatchEvent) -> bool:
        """Whether the audit log lacks a line about a match in this state; remember the match."""
        key = _key_of(event)
        if key in self._keys:
            self.again += 1
            return False
        if len(self._keys) >= _MOST:
            del self._keys[next(iter(self._keys))]
        self._keys[key] = None
        self._is_new = True
        return True

    def forget(self, event: MatchEvent) -> None:
        """Forget a match whose line could not be written."""
        self._keys.pop(_key_of(event), None)

    def save(self) -> None:
        """Save the matches' keys; otherwise the next process logs the matches again."""
        self.again = 0
        if not self._is_new:
            return
        with suppress(OSError):
            with open(os.open(self._beside, _FLAGS, 0o600), "wb") as file:
                file.write(b"".join(self._keys))
            os.replace(self._beside, self._path)
            self._is_new = False
