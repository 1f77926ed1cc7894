"""Runs the service: uvicorn in this process, or in one of its own (``running``)."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import re
import selectors
import signal
import socket
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import uvicorn

from hashscan import interpreter
from hashscan.errors import HashscanError, StateError, UsageError
from hashscan.hosts import is_loopback
from hashscan.service.app import Desk, application
from hashscan.service.audit import Audit
from hashscan.service.door import Door
from hashscan.service.users import USERS, read_users
from hashscan.text import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from hashscan.known.confirmers.index import LocalConfirmer
    from hashscan.service.data import Data, Which

#: Questions a second of one user.
RATE = 2000.0
#: Seconds for the requests under way when the service ends.
_GRACE = 10
_READY = re.compile(r"hashscan: the service listens on (http\S+)\n")
_PATIENCE = 30.0


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """How to serve.

    Attributes:
        host, port: where to listen; port 0 takes a free one.
        certificate, key: PEM files for TLS; both or none.
        behind_proxy: a TLS proxy stands before it, so plain HTTP may be served to others.
        repository: directory of a signed repository to serve too.
        private_repository: only to users.
        rate: questions a second of one user.
        audit_days: how long the audit is kept; ``None``: for ever.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    certificate: str | None = None
    key: str | None = None
    behind_proxy: bool = False
    repository: str | None = None
    private_repository: bool = False
    rate: float = RATE
    audit_days: float | None = None


class _Server(uvicorn.Server):
    """uvicorn with our own ``Door``, signals that end it cleanly, and a message when it listens."""

    ready: Callable[[], None]
    listener: socket.socket
    one_address: bool
    _door: Door
    _watch: asyncio.Task[None]

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        del sockets
        await super().startup([])
        self._door = Door(
            self.listener, self.config, self.server_state, one_address=self.one_address
        )
        self._door.open()
        self._watch = asyncio.create_task(self._door.watch())
        self.ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._door.close()
        # earlier than uvicorn, which would cancel them with a traceback each
        asyncio.get_running_loop().call_later(_GRACE - 1, self._door.abort)
        await super().shutdown(sockets)
        self._watch.cancel()


def serve(data: Data, options: ServeOptions, say: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT; the audit is written in the end.

    Args:
        data: the service's directory.
        options: how.
        say: gets a sentence when it listens, and when something is wrong.

    Raises:
        UsageError: it cannot listen there, or must not.
        StateError: the directory cannot be used.
    """
    _check(options)
    audit = Audit(data, days=options.audit_days)
    try:
        desk = Desk(audit, rate=options.rate)
        keeper = _Keeper(data, desk, say)
        keeper.look()
        with _listening(options) as listener:
            app = application(
                desk,
                repository=options.repository,
                private_repository=options.private_repository,
            )
            config = uvicorn.Config(
                app,
                access_log=False,
                log_level="error",
                lifespan="off",
                server_header=False,
                ws="none",
                timeout_keep_alive=30,
                timeout_graceful_shutdown=_GRACE,
                ssl_certfile=options.certificate,
                ssl_keyfile=options.key,
                proxy_headers=options.behind_proxy,
            )
            server = _Server(config)
            server.listener, server.one_address = listener, options.behind_proxy
            scheme = "https" if options.certificate else "http"
            host = f"[{options.host}]" if ":" in options.host else options.host
            port = listener.getsockname()[1]
            server.ready = lambda: say(f"the service listens on {scheme}://{host}:{port}")
            asyncio.run(_run(server, keeper))
    finally:
        audit.close()


async def _run(server: _Server, keeper: _Keeper) -> None:
    keeping = asyncio.create_task(keeper.keep())
    try:
        await server.serve()
    finally:
        keeping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await keeping


class _Keeper:
    """Once a second: commits the audit, and takes over users and sets that changed."""

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
            stamp: object = self._data.stamp(USERS)
            if stamp != self._users:
                self._desk.credentials.take(read_users(self._data))
                self._users = stamp
            stamp = self._data.stamp()
            if stamp != self._sets:
                names: tuple[Which, ...] = ("known", "test")
                old, self._old = self._old, list(self._desk.sets.values())
                self._desk.sets = {name: self._data.open_set(name) for name in names}
                self._sets = stamp
                # Those that were in use just now stay open: a question may be on its way.
                for one in old:
                    if one is not None:
                        one.close()
        except HashscanError as error:
            trouble = trouble or str(error)
        if trouble and trouble != self._trouble:
            self._say(trouble)
        self._trouble = trouble


def _check(options: ServeOptions) -> None:
    if bool(options.certificate) != bool(options.key):
        raise UsageError("give --tls-certificate and --tls-key together, or none of them")
    if not options.certificate and not options.behind_proxy and not is_loopback(options.host):
        raise UsageError(
            f"{shown(options.host)}: without TLS, passwords and digests would be readable on the "
            "way; give --tls-certificate and --tls-key, or --behind-proxy if a TLS proxy on this "
            "machine or network stands before it"
        )
    for path in (options.certificate, options.key):
        if path is not None and not os.access(path, os.R_OK):
            raise UsageError(f"{shown(path)}: cannot be read; see the path and its mode")
    if options.repository is not None and not os.path.isdir(options.repository):
        raise UsageError(f"{shown(options.repository)}: is no directory; see --repository")


@contextmanager
def _listening(options: ServeOptions) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    try:
        listener = socket.create_server((options.host, options.port), family=family, backlog=4096)
    except OSError as error:
        raise UsageError(
            f"{shown(options.host)}:{options.port}: cannot listen there: {error.strerror}; choose "
            "another --listen"
        ) from error
    # Connections inherit it; asyncio sets it only where a socket names its protocol. Without it the
    # two parts of each answer wait for one another: 40 ms.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with listener:
        yield listener


@contextmanager
def running(
    data: str, arguments: Sequence[str] = (), command: Sequence[str] | None = None
) -> Iterator[str]:
    """The service in a process of its own on a free port of loopback, for as long as the block.

    Args:
        data: the service's directory.
        arguments: more of ``hashscan service run``.
        command: starts hashscan; by default this very one.

    Yields:
        Its URL.

    Raises:
        StateError: it does not start.
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
    """Have the kernel end this process when its parent is killed (prctl(2), PR_SET_PDEATHSIG)."""
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
