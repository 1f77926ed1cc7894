"""Accepts clients' connections, including the TLS handshake, and ends slow connections."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
import time
from typing import TYPE_CHECKING

from hashscan.service.connections import Client, ConnectionBounds, Connections
from hashscan.service.protocol import HEAD, LINGER, Protocol

if TYPE_CHECKING:
    from uvicorn.config import Config
    from uvicorn.server import ServerState

#: Number of connections that are accepted, and number that start, in one pass of the event loop.
_ACCEPTED, _BEGUN = 128, 32
_EVERY = 0.5
#: Bytes of an answer that the kernel buffers: few, to notice a client that does not read.
_SEND_BUFFER = 256 * 1024
_DESCRIPTORS = 8192


class Door:
    """The listening socket of a running service, with the connections that it accepts."""

    def __init__(
        self,
        listener: socket.socket,
        config: Config,
        state: ServerState,
        protocol: type[Protocol],
        *,
        one_address: bool,
    ) -> None:
        """Prepare the listening socket. ``one_address``: see ``ConnectionBounds.within``."""
        self._protocol = protocol
        self._listener = listener
        self._config = config
        self._state = state
        self._connections = Connections(
            ConnectionBounds().within(_descriptors(), one_address=one_address)
        )
        self._silent: dict[Client, socket.socket] = {}
        self._ready: dict[Client, socket.socket] = {}
        self._arriving: set[asyncio.Task[object]] = set()
        self._loop = asyncio.get_running_loop()

    def open(self) -> None:
        """Start to accept clients' connections."""
        self._listener.setblocking(False)
        with contextlib.suppress(OSError):  # connections inherit it
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        self._loop.add_reader(self._listener, self._accept)

    async def watch(self) -> None:
        """End connections that take too long, until the task of this method is cancelled."""
        while True:
            await asyncio.sleep(_EVERY)
            now = time.monotonic()
            for client in [one for one in self._silent if now - one.since > HEAD]:
                self._connections.remove(client)
                client.close()
            for connection in list(self._state.connections):
                if isinstance(connection, Protocol):
                    connection.check(now)

    def close(self) -> None:
        """Accept no more connections of clients."""
        self._loop.remove_reader(self._listener)
        for task in self._arriving:
            task.cancel()
        for client in list(self._silent):
            client.close()

    def abort(self) -> None:
        """End all connections of clients."""
        for client in self._connections.all():
            client.close()

    def _accept(self) -> None:
        for _ in range(_ACCEPTED):
            try:
                sock, address = self._listener.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionError:
                continue
            except OSError:  # no descriptor or no memory is left
                if not self._connections.close_one():
                    self._loop.remove_reader(self._listener)
                    self._loop.call_later(_EVERY, self.open)
                return
            self._welcome(sock, address[0] if address else "")

    def _welcome(self, sock: socket.socket, address: str) -> None:
        """Admit a connection; the expensive work begins after the client has sent something.

        So a flood of connections that are closed again costs next to nothing, and delays no client.
        """
        sock.setblocking(False)
        client = Client(address, lambda: self._close_silent(sock, client))
        if self._connections.add(client):
            self._silent[client] = sock
            self._loop.add_reader(sock, self._spoke, sock, client)
        else:
            sock.close()

    def _close_silent(self, sock: socket.socket, client: Client) -> None:
        self._silent.pop(client, None)
        self._ready.pop(client, None)
        self._loop.remove_reader(sock)
        sock.close()

    def _spoke(self, sock: socket.socket, client: Client) -> None:
        """Handle a client that has sent its first bytes, or has disconnected."""
        self._loop.remove_reader(sock)
        if not self._ready:
            self._loop.call_soon(self._begin_some)
        self._ready[client] = sock

    def _begin_some(self) -> None:
        for _ in range(min(_BEGUN, len(self._ready))):
            client, sock = self._ready.popitem()  # the newest client first: older ones are late
            self._begin(sock, client)
        if self._ready:
            self._loop.call_soon(self._begin_some)

    def _begin(self, sock: socket.socket, client: Client) -> None:
        with contextlib.suppress(BlockingIOError, InterruptedError):
            try:
                gone = not sock.recv(1, socket.MSG_PEEK)
            except ConnectionError:
                gone = True
            if gone:
                self._connections.remove(client)
                self._close_silent(sock, client)
                return
        self._silent.pop(client, None)
        task: asyncio.Task[object] = self._loop.create_task(self._arrive(sock, client))
        client.close = task.cancel
        self._arriving.add(task)

        def arrived(_: asyncio.Task[object]) -> None:
            self._arriving.discard(task)
            if task.cancelled() or task.exception() is not None:
                self._connections.remove(client)
                sock.close()

        task.add_done_callback(arrived)

    async def _arrive(self, sock: socket.socket, client: Client) -> None:
        """Start the HTTP protocol of the connection, after a TLS handshake if TLS is configured.

        Raises:
            OSError: the client disconnected, or does not speak TLS.
        """
        context = self._config.ssl
        limits = (
            {}
            if context is None
            else {"ssl_handshake_timeout": HEAD, "ssl_shutdown_timeout": LINGER}
        )
        await self._loop.connect_accepted_socket(
            lambda: self._protocol(self._config, self._state, client, self._connections),
            sock, ssl=context, **limits,
        )  # fmt: skip


def _descriptors() -> int:
    """Raise this process's limit of descriptors as far as is useful; return the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    wanted = _DESCRIPTORS if hard == unlimited else min(_DESCRIPTORS, hard)
    if soft != unlimited and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    return _DESCRIPTORS if soft == unlimited else soft
