"""Runs the reference service, in this process or in a child process (``running``)."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import re
import selectors
import signal
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hashscan import interpreter
from hashscan.errors import HashscanError, StateError, UsageError
from hashscan.service.app import Desk, application
from hashscan.service.audit import Audit
from hashscan.service.server import Listening, run
from hashscan.service.users import USERS
from hashscan.text import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from hashscan.known.confirmers.digest_index import LocalConfirmer
    from hashscan.service.data import Data, Which

#: Number of questions that one user may send in a second.
RATE = 2000.0
_READY = re.compile(r"hashscan: the service listens on (http\S+)\n")
_PATIENCE = 30.0


@dataclass(frozen=True, slots=True)
class ServeOptions(Listening):
    """The options of the service, including the address on which the service listens.

    Attributes:
        repository: directory of a signed repository that the service also serves.
        private_repository: True to serve the repository only to users of the service.
        rate: number of questions that one user may send in a second.
        audit_days: days after which the service removes rows from the audit; ``None``: never.
    """

    repository: str | None = None
    private_repository: bool = False
    rate: float = RATE
    audit_days: float | None = None


def serve(data: Data, options: ServeOptions, say: Callable[[str], None]) -> None:
    """Run the service until SIGTERM or SIGINT; then write the audit, and end the process.

    Args:
        data: the service's directory.
        options: the options of the service, including its address.
        say: a function that is called with a sentence when the service listens, and for each fault.

    Raises:
        UsageError: the service cannot, or must not, listen at the address in the options.
        StateError: the service's directory cannot be used.
    """
    _check(options)
    audit = Audit(data, days=options.audit_days)
    try:
        desk = Desk(audit, rate=options.rate)
        keeper = _Keeper(data, desk, say)
        keeper.look()
        app = application(
            desk,
            repository=options.repository,
            private_repository=options.private_repository,
        )
        run(
            app,
            options,
            ready=lambda address: say(f"the service listens on {address}"),
            beside=keeper.keep,
        )
    finally:
        audit.close()


class _Keeper:
    """Commits the audit, and loads changed users and sets, once a second."""

    def __init__(self, data: Data, desk: Desk, say: Callable[[str], None]) -> None:
        self._data = data
        self._desk = desk
        self._say = say
        self._users: object = ()
        self._sets: object = ()
        self._old: list[LocalConfirmer | None] = []
        self._trouble = ""

    async def keep(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            await asyncio.to_thread(self.look)

    def look(self) -> None:
        self._desk.audit.commit()
        trouble = self._desk.audit.trouble
        try:
            stamp: object = self._data.stamp(USERS.file)
            if stamp != self._users:
                self._desk.credentials.take(USERS.read(self._data))
                self._users = stamp
            stamp = self._data.stamp()
            if stamp != self._sets:
                names: tuple[Which, ...] = ("known", "test")
                old, self._old = self._old, list(self._desk.sets.values())
                self._desk.sets = {name: self._data.open_set(name) for name in names}
                self._sets = stamp
                # The known sets that were in use stay open for now: a question may still read them.
                for one in old:
                    if one is not None:
                        one.close()
        except HashscanError as error:
            trouble = trouble or str(error)
        if trouble and trouble != self._trouble:
            self._say(trouble)
        self._trouble = trouble


def _check(options: ServeOptions) -> None:
    options.check()
    if options.repository is not None and not os.path.isdir(options.repository):
        raise UsageError(f"{shown(options.repository)}: is no directory; see --repository")


@contextmanager
def running(
    data: str, arguments: Sequence[str] = (), command: Sequence[str] | None = None
) -> Iterator[str]:
    """Run the service in a child process, on a free port of loopback, during the block.

    Args:
        data: the service's directory.
        arguments: further arguments of ``hashscan service run``.
        command: command line that starts hashscan; default: the hashscan that runs now.

    Yields:
        The URL of the service.

    Raises:
        StateError: the child process does not start to serve.
    """
    start = command or interpreter.command()
    process = subprocess.Popen(  # noqa: S603 - our own interpreter, no shell
        [*start, "service", "run", "--data", data, "--listen", "127.0.0.1:0", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        preexec_fn=_end_with_parent,  # noqa: PLW1509 - callers fork workers, so have no threads
    )
    assert process.stderr is not None
    try:
        yield _wait_until_ready(process)
    finally:
        process.terminate()
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stderr.close()


def _end_with_parent() -> None:
    """Make the kernel end this process when its parent is killed (prctl(2), PR_SET_PDEATHSIG)."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def _wait_until_ready(process: subprocess.Popen[bytes]) -> str:
    assert process.stderr is not None
    told = b""
    deadline = time.monotonic() + _PATIENCE
    with selectors.DefaultSelector() as selector:
        selector.register(process.stderr, selectors.EVENT_READ)
        while time.monotonic() < deadline:
            if not selector.select(timeout=0.5):
                continue
            chunk = os.read(process.stderr.fileno(), 4096)
            if not chunk:
                break
            told += chunk
            if found := _READY.search(told.decode("utf-8", "replace")):
                return found[1]
    raise StateError(
        "the service did not start: "
        + (shown(told.decode("utf-8", "replace").strip()) or "it says nothing")
    )
