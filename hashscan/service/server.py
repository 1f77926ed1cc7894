"""Runs uvicorn for all services: its listening socket, its own ``Door``, and a clean end."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import grp
import os
import signal
import socket
import stat
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import uvicorn

from hashscan.errors import UsageError
from hashscan.fs.named import opened_above
from hashscan.hosts import is_loopback
from hashscan.service.door import Door
from hashscan.service.protocol import Protocol
from hashscan.text import said_by, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from starlette.types import ASGIApp

#: Seconds for the requests in progress after the service got the signal to end.
_GRACE = 10
_BACKLOG = 4096


@dataclass(frozen=True, slots=True)
class Listening:
    """The address or the Unix socket on which a service listens.

    Attributes:
        host, port: the address and the port; port 0 means a free port.
        path: path of the Unix socket, which replaces host and port.
        group: the group that may connect to the Unix socket; ``None``: only the socket's owner may
            connect.
        certificate, key: paths of the PEM files for TLS; both are set, or neither is set.
        behind_proxy: true if a TLS proxy is in front of the service: then the service may use plain
            HTTP on addresses other than loopback.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    path: str | None = None
    group: str | None = None
    certificate: str | None = None
    key: str | None = None
    behind_proxy: bool = False

    def check(self) -> None:
        """Check the options of the address, as far as that is possible before the service starts.

        Raises:
            UsageError: the service must not listen at the address in the options.
        """
        if bool(self.certificate) != bool(self.key):
            raise UsageError("give --tls-certificate and --tls-key together, or none of them")
        safe = self.path is not None or self.behind_proxy or is_loopback(self.host)
        if not self.certificate and not safe:
            raise UsageError(
                f"{shown(self.host)}: without TLS, passwords and digests would be readable on the "
                "way; give --tls-certificate and --tls-key, or --behind-proxy if a TLS proxy on "
                "this machine or network stands before it"
            )
        for path in (self.certificate, self.key):
            if path is not None and not os.access(path, os.R_OK):
                raise UsageError(f"{shown(path)}: cannot be read; see the path and its mode")

    def shown(self, listener: socket.socket) -> str:
        """Return the address for messages: a URL, or the path of the Unix socket."""
        if self.path is not None:
            return f"the socket {shown(self.path)}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        scheme = "https" if self.certificate else "http"
        return f"{scheme}://{host}:{listener.getsockname()[1]}"

    @contextmanager
    def opened(self) -> Iterator[socket.socket]:
        """Open the listening socket of the service.

        Raises:
            UsageError: the service cannot listen at the address.
        """
        if self.path is not None:
            with _unix(self.path, self.group) as listener:
                yield listener
            return
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        try:
            listener = socket.create_server((self.host, self.port), family=family, backlog=_BACKLOG)
        except OSError as error:
            why = said_by(error).partition(" (while attempting")[0]  # by create_server
            raise UsageError(
                f"{shown(self.host)}:{self.port}: cannot listen there: {why}; choose "
                "another --listen"
            ) from error
        # Connections inherit TCP_NODELAY; asyncio sets TCP_NODELAY only for sockets that name their
        # protocol. Without TCP_NODELAY, the two parts of each answer wait for one another for 40
        # ms.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with listener:
            yield listener


@contextmanager
def _unix(path: str, group: str | None) -> Iterator[socket.socket]:
    """Open a Unix socket, in place of an unused socket; remove the socket at the block's end.

    Raises:
        UsageError: another file has the name of the socket, or the socket cannot be made.
    """
    gid = None
    if group is not None:
        try:
            gid = grp.getgrnam(group).gr_gid
        except (KeyError, ValueError):
            raise UsageError(f"--socket-group: there is no group {shown(group)}") from None
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        try:
            above, name = stack.enter_context(opened_above(os.fsencode(path)))
            if above.unsafe is not None:
                raise UsageError(
                    f"{shown(path)}: somebody else can replace the socket: {above.unsafe}; choose "
                    "another --listen"
                )
            # The kernel takes paths of 107 bytes; a path through the directory's descriptor is
            # shorter.
            here = b"/proc/self/fd/%d/%s" % (above.fd, name)
            _remove_unused(path, here, name, above.fd)
            umask = os.umask(0o177)
            try:
                listener.bind(here)
            finally:
                os.umask(umask)
            stack.callback(_remove, name, above.fd, os.stat(here, follow_symlinks=False))
            if gid is not None:
                os.chown(here, -1, gid, follow_symlinks=False)
                os.chmod(here, 0o660)
            listener.listen(_BACKLOG)
        except OSError as error:
            raise UsageError(
                f"{shown(path)}: cannot listen there: {said_by(error)}; "
                f"{'make' if error.errno == errno.ENOENT else 'see'} its directory, or choose "
                "another --listen"
            ) from error
        yield listener


def _remove(name: bytes, directory: int, made: os.stat_result) -> None:
    """Remove the Unix socket of this process, but not the socket of another process."""
    with contextlib.suppress(OSError):
        if os.path.samestat(made, os.stat(name, dir_fd=directory, follow_symlinks=False)):
            os.unlink(name, dir_fd=directory)


def _remove_unused(path: str, here: bytes, name: bytes, directory: int) -> None:
    try:
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(status.st_mode):
        raise UsageError(f"{shown(path)} is no socket; choose another --listen")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        found = probe.connect_ex(here)
    if found not in (errno.ECONNREFUSED, errno.ENOENT):
        raise UsageError(
            f"another process listens on {shown(path)}; end it, or choose another --listen"
        )
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=directory)


class Server(uvicorn.Server):
    """uvicorn with a ``Door``, a clean end after a signal, and a message when it listens."""

    ready: Callable[[], None]
    listener: socket.socket
    protocol: type[Protocol]
    one_address: bool
    _door: Door
    _watch: asyncio.Task[None]

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Let signals end the server; uvicorn would raise the signals again after its end."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to accept connections of clients."""
        del sockets
        await super().startup([])
        self._door = Door(
            self.listener,
            self.config,
            self.server_state,
            self.protocol,
            one_address=self.one_address,
        )
        self._door.open()
        self._watch = asyncio.create_task(self._door.watch())
        self.ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer the requests in progress, and end the server."""
        self._door.close()
        # ``abort`` ends the connections a second before uvicorn would cancel each with a traceback.
        asyncio.get_running_loop().call_later(_GRACE - 1, self._door.abort)
        await super().shutdown(sockets)
        self._watch.cancel()


def run(
    app: ASGIApp,
    listening: Listening,
    *,
    ready: Callable[[str], None],
    beside: Callable[[], Coroutine[None, None, None]],
    protocol: type[Protocol] = Protocol,
) -> None:
    """Run a server until SIGTERM or SIGINT.

    Args:
        app: the application that answers the requests.
        listening: the address or the Unix socket.
        ready: a function that is called with the address when the server accepts clients.
        beside: a task that runs while the server runs, and is cancelled at the end.
        protocol: the class of each connection's protocol.

    Raises:
        UsageError: the server cannot listen at the address.
    """
    with listening.opened() as listener:
        config = uvicorn.Config(
            app,
            access_log=False,
            log_level="error",
            lifespan="off",
            server_header=False,
            ws="none",
            timeout_keep_alive=30,
            timeout_graceful_shutdown=_GRACE,
            ssl_certfile=listening.certificate,
            ssl_keyfile=listening.key,
            proxy_headers=listening.behind_proxy,
            # Only permitted processes can connect to a Unix socket, so the server trusts their
            # headers.
            forwarded_allow_ips=None if listening.path is None else "*",
        )
        server = Server(config)
        server.listener, server.protocol = listener, protocol
        server.one_address = listening.behind_proxy or listening.path is not None
        address = listening.shown(listener)
        server.ready = lambda: ready(address)
        asyncio.run(_run(server, beside))


async def _run(server: Server, beside: Callable[[], Coroutine[None, None, None]]) -> None:
    task = asyncio.create_task(beside())
    try:
        await server.serve()
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
