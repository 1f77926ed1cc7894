"""Serves the metrics over HTTP on this machine; no client can block the server.

Each connection is for one request and ends after a few seconds. The server permits a fixed number
of connections. At this limit, a new connection ends the connection that has waited longest without
a whole request. Clients that have sent the right token have a limit of their own. Not every request
causes a collection of metrics: for some seconds all clients get the same bytes.

All clients have the same address, so the server cannot limit connections by address. The kernel
lists the user at the other end of a connection (/proc/net/tcp), but only while the client keeps its
end open, and this list is long on a web server. So the server does not use this list.

Without a token, the server refuses a request for a foreign host name. If the server answered, the
owner of a web page could read the metrics through a browser on this machine, or at the other end of
an SSH tunnel: the owner only has to change the page's name in the DNS to 127.0.0.1 (DNS rebinding).
"""

from __future__ import annotations

import asyncio
import hmac
import math
import re
import socket
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from hashscan.hosts import is_address, is_loopback
from hashscan.service.connections import Client, ConnectionBounds, Connections

if TYPE_CHECKING:
    from collections.abc import Callable

#: Seconds from the begin of a connection to the end of its request, and to the end of its answer.
HEAD, LONGEST = 3.0, 10.0
#: Largest number of connections at a time without a token: enough for all Prometheus servers of a
#: provider. The second number is for clients that have sent the right token.
MOST, WITH_TOKEN = 64, 16
#: Largest number of connections that the server accepts in one pass of the event loop.
_ACCEPTED = 16
#: Length of the kernel's queue of new connections. If this queue is full, a client waits seconds
#: before it connects again.
_BACKLOG = 4096
#: Largest number of bytes of an HTTP request for the metrics.
_LONGEST_HEAD = 8192
_HOST = re.compile(r"(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
_OTHER_HOST = (
    ": without a token, this server answers only if it is called by an address (127.0.0.1), by"
    " localhost or by its own host name; use one of these, or set metrics.token_file"
)
_CONTENT = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """The text of the metrics to serve, and the clients that wait for a text."""

    def __init__(self, on_request: Callable[[], None]) -> None:
        """Call ``on_request`` at each request; ``on_request`` must lead to a call of ``put``."""
        self._on_request = on_request
        self._text: bytes | None = None
        self._until = -math.inf
        self._waiting: set[Callable[[bytes | None], None]] = set()

    def put(self, text: bytes | None, fresh_for: float) -> None:
        """Serve ``text`` for some seconds; ``None``: the metrics could not be collected."""
        self._text, self._until = text, time.monotonic() + fresh_for
        waiting, self._waiting = self._waiting, set()
        for answer in waiting:
            answer(text)

    def ask(self, answer: Callable[[bytes | None], None]) -> None:
        """Call ``answer`` with the text of the metrics, now or after the next ``put``."""
        if time.monotonic() <= self._until:
            answer(self._text)
        else:
            self._waiting.add(answer)
        self._on_request()

    def forget(self, answer: Callable[[bytes | None], None]) -> None:
        """Forget a client: do not call its ``answer`` any more."""
        self._waiting.discard(answer)


class _Conversation(asyncio.Protocol):
    """A client's connection with one HTTP request and its answer."""

    def __init__(self, metrics: Metrics, connections: Connections, token: str | None) -> None:
        self._metrics = metrics
        self._connections = connections
        self._token = token
        self._received = b""
        self._method = b""
        self._is_answered = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._client = Client("", self._transport.abort)
        self._began = asyncio.get_running_loop().time()
        self._end_after(min(HEAD, LONGEST))
        if not self._connections.add(self._client):
            self._transport.abort()

    def _end_after(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        self._end = loop.call_at(self._began + seconds, self._transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._end.cancel()
        self._metrics.forget(self._answer)
        self._connections.remove(self._client)

    def eof_received(self) -> bool:
        return True  # A client may close its half of the connection before it reads the answer.

    def data_received(self, data: bytes) -> None:
        if self._method or self._is_answered:
            return  # A connection gets one answer only.
        self._received += data
        head, end, _ = self._received.partition(b"\r\n\r\n")
        if end:
            self._client.asking = True
            self._end.cancel()
            self._end_after(LONGEST)
            self._request(head)
        elif len(self._received) > _LONGEST_HEAD:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def _request(self, head: bytes) -> None:
        first, *lines = head.split(b"\r\n")
        words = first.split(b" ")
        if len(head) > _LONGEST_HEAD or len(words) != 3 or not words[2].startswith(b"HTTP/1."):
            self._refuse(HTTPStatus.BAD_REQUEST)
            return
        method, target, _ = words
        if method not in {b"GET", b"HEAD"}:
            self._refuse(HTTPStatus.METHOD_NOT_ALLOWED)
        elif target.partition(b"?")[0] != b"/metrics":
            self._refuse(HTTPStatus.NOT_FOUND)
        elif self._may_read(dict(reversed([_header(line) for line in lines]))):
            self._method = method
            self._metrics.ask(self._answer)

    def _may_read(self, headers: dict[bytes, bytes]) -> bool:
        """Return True if the client may read the metrics; otherwise send an answer that refuses."""
        if self._token is None:
            is_ours = is_own_host(headers.get(b"host", b"").decode("latin-1"))
            if not is_ours:
                self._refuse(HTTPStatus.MISDIRECTED_REQUEST, _OTHER_HOST)
            return is_ours
        kind, _, given = headers.get(b"authorization", b"").partition(b" ")
        right = hmac.compare_digest(given.strip(), self._token.encode())
        if kind.lower() != b"bearer" or not right:
            self._refuse(HTTPStatus.UNAUTHORIZED)
            return False
        self._connections.proven(self._client)
        return True

    def _answer(self, text: bytes | None) -> None:
        if text is None:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE)
        else:
            self._send(HTTPStatus.OK, _CONTENT, text)

    def _refuse(self, status: HTTPStatus, reason: str = "") -> None:
        self._send(status, "text/plain; charset=utf-8", f"{status.phrase}{reason}\n".encode())

    def _send(self, status: HTTPStatus, content: str, body: bytes) -> None:
        self._is_answered = True
        self._received = b""
        more = {
            HTTPStatus.UNAUTHORIZED: 'WWW-Authenticate: Bearer realm="hashscan"\r\n',
            HTTPStatus.METHOD_NOT_ALLOWED: "Allow: GET, HEAD\r\n",
        }.get(status, "")
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {content}\r\n"
            f"Content-Length: {len(body)}\r\n{more}Connection: close\r\n\r\n"
        ).encode()
        self._transport.write(head if self._method == b"HEAD" else head + body)
        self._transport.close()


def is_own_host(host: str) -> bool:
    """Return False for a Host header that a foreign web page may have caused.

    A foreign page reaches this server by a name in the public DNS that leads to this machine (DNS
    rebinding). So the function returns True if the header has an address, the name of this machine,
    or a name without a dot, and also without a header, because a browser always sends one.
    """
    name = urlsplit(f"//{host}").hostname if _HOST.fullmatch(host) else None
    if name is None:
        return not host
    name = name.rstrip(".")
    own = "." not in name or name == socket.gethostname().lower()
    return own or is_loopback(name) or is_address(name)


def _header(line: bytes) -> tuple[bytes, bytes]:
    name, _, value = line.partition(b":")
    return name.lower(), value.strip()


async def serve(listener: socket.socket, metrics: Metrics, token: str | None) -> asyncio.Server:
    """Serve ``metrics`` on a bound socket; ``token``: the token of every client, or ``None``."""
    connections = Connections(ConnectionBounds(MOST + WITH_TOKEN, MOST, MOST))
    server = await asyncio.get_running_loop().create_server(
        lambda: _Conversation(metrics, connections, token), sock=listener, backlog=_ACCEPTED
    )
    # asyncio passed ``backlog`` to the kernel, too: set the length of the kernel's queue again.
    listener.listen(_BACKLOG)
    return server
