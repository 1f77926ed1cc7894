"""The record of the processes that take notices over HTTP; ``status`` reads this record."""

from __future__ import annotations

import fcntl
import json
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from hashscan.errors import StateError
from hashscan.files import INTAKE
from hashscan.state import holder_of
from hashscan.text import said_by, shown

if TYPE_CHECKING:
    from hashscan.service.data import Data
    from hashscan.state import State

_FILE = "serving.json"
_LONGEST = 4096


class Running(NamedTuple):
    """The state of the intake over HTTP.

    Attributes:
        tokens: number of tokens of senders.
        process: id of the process that serves notices over HTTP; ``None``: no process serves.
        address: address on which the process listens.
        since: time when the process started, in seconds since the epoch.
    """

    tokens: int
    process: int | None = None
    address: str = ""
    since: float | None = None


class Serving:
    """Locks the record while a process serves; the kernel releases the lock if the process dies."""

    def __init__(self, data: Data) -> None:
        """Take the lock of the record, which several processes may share.

        Raises:
            StateError: the file of the lock cannot be made.
        """
        path = data.path(_FILE)
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            self._fd = os.open(path, flags, 0o600)
            fcntl.lockf(self._fd, fcntl.LOCK_SH)
        except OSError as error:
            raise StateError(f"{shown(path)} cannot be made: {said_by(error)}") from error

    def listens(self, address: str) -> None:
        """Write the process's address into the record; on a full disk, the record remains empty."""
        content = json.dumps({"address": address, "since": time.time()}).encode()
        with suppress(OSError):
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, content, 0)

    def close(self) -> None:
        """Release the lock of the record."""
        os.close(self._fd)


def running_intake(state: State) -> Running | None:
    """Return the state of the intake over HTTP; ``None``: no token exists, and no process serves.

    Raises:
        HashscanError: the tokens of the intake cannot be read.
    """
    directory = os.path.join(state.directory, INTAKE)
    if not os.path.isdir(directory):
        return None
    from hashscan.service.data import Data  # noqa: PLC0415 - heavy
    from hashscan.service.intake.tokens import TOKENS  # noqa: PLC0415

    data = Data(directory, "--state")
    tokens = len(TOKENS.read(data))
    process = holder_of(data.path(_FILE))
    if process is None:
        return Running(tokens) if tokens else None
    try:
        with open(data.path(_FILE), "rb") as file:
            found = json.loads(file.read(_LONGEST))
        return Running(tokens, process, str(found["address"]), float(found["since"]))
    except (OSError, ValueError, TypeError, KeyError):
        return Running(tokens, process)
