"""A central service on a real loopback socket, with every fault that a network can have.

    with KnownServer(known={"da39…"}, username="u", password="p") as server:
        server.inject(None, answer(500), reset())     # the next three requests
        server.inject_at(7, hang())                   # the seventh since the start
        server.always(answer(503))                    # all that nothing else was said for
        ...  # server.url, server.questions, server.counts, server.requests, server.connections

A fault is a function of one ``Exchange``. It may send any bytes, or none; the connection is
closed after it unless it was an ``answer`` that keeps it.
"""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import struct
import threading
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable


@dataclass(frozen=True)
class Request:
    """One request as it arrived. ``connection`` counts from 1."""

    connection: int
    line: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return self.line.split(" ")[1]

    @property
    def credentials(self) -> str | None:
        """``user:password`` of Basic authentication."""
        scheme, _, rest = self.headers.get("authorization", "").partition(" ")
        return base64.b64decode(rest).decode() if scheme == "Basic" else None


@dataclass
class Exchange:
    """What a fault can do to the connection that its request came on."""

    sock: socket.socket
    request: Request
    stopping: threading.Event
    known: set[str]
    keep: bool = field(default=False)

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def wait(self, seconds: float) -> bool:
        """True when the server is being stopped."""
        return self.stopping.wait(seconds)


Fault = Callable[[Exchange], None]


def answer(status=200, body: bytes | None = b"", *, keep=True, length=True, **headers) -> Fault:
    """A well-formed answer; header names with ``_`` for ``-``. ``body=None``: the true verdict."""

    def fault(exchange: Exchange) -> None:
        content = body
        if content is None:
            content = b"true" if exchange.request.body.decode() in exchange.known else b"false"
        lines = [f"HTTP/1.1 {status} Whatever"]
        if length and status != 204:
            lines.append(f"Content-Length: {len(content)}")
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        if not keep:
            lines.append("Connection: close")
        exchange.send("\r\n".join([*lines, "", ""]).encode("latin-1") + content)
        exchange.keep = keep and length

    return fault


def raw(data: bytes, *, keep=False) -> Fault:
    """Exactly these bytes instead of an answer."""

    def fault(exchange: Exchange) -> None:
        exchange.send(data)
        exchange.keep = keep

    return fault


def drip(data: bytes, every: float, *, forever: bytes = b"") -> Fault:
    """One byte, a pause, and the next; then ``forever`` again and again."""

    def fault(exchange: Exchange) -> None:
        position = 0
        while position < len(data) or forever:
            byte = data[position : position + 1] or forever
            exchange.send(byte)
            position += 1
            if exchange.wait(every):
                return

    return fault


def endless(head: bytes, block: bytes) -> Fault:
    """``head``, then ``block`` as fast as the client takes it, up to two gigabytes.

    What was sent is added up in ``fault.sent``.
    """

    def fault(exchange: Exchange) -> None:
        exchange.send(head)
        while fault.sent < 2 << 30 and not exchange.stopping.is_set():
            exchange.send(block)
            fault.sent += len(block)

    fault.sent = 0
    return fault


def slow(seconds: float, then: Fault) -> Fault:
    """``then``, after so many seconds."""

    def fault(exchange: Exchange) -> None:
        exchange.wait(seconds)
        then(exchange)

    return fault


def hang() -> Fault:
    """No answer, and the connection stays open until the server stops."""

    def fault(exchange: Exchange) -> None:
        exchange.wait(300)

    return fault


def close() -> Fault:
    """An orderly end instead of an answer."""
    return raw(b"")


def reset(after: bytes = b"") -> Fault:
    """A TCP reset, after these bytes."""

    def fault(exchange: Exchange) -> None:
        exchange.send(after)
        exchange.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    return fault


class KnownServer:
    """A HashCheckService on loopback. Start and stop it as a context manager.

    Attributes:
        known: hex digests that it answers ``true`` for; may be changed while it runs.
        requests: all requests, in order of arrival.
        connections: how many were accepted.
        received: bytes that arrived, of TLS the decrypted ones.
    """

    def __init__(
        self,
        known: Iterable[str] = (),
        *,
        username="hashscan",
        password="correct horse",
        host="127.0.0.1",
        tls: ssl.SSLContext | None = None,
        on_connect: Fault | None = None,
        idle_close: bool = False,
    ):
        """``on_connect`` replaces the reading of a request; ``idle_close`` ends each connection
        after its answer without having said so."""
        self.known = set(known)
        self.username = username
        self.password = password
        self.requests: list[Request] = []
        self.connections = 0
        self.received = 0
        self._host = host
        self._tls = tls
        self._on_connect = on_connect
        self._idle_close = idle_close
        self._next: deque[Fault | None] = deque()
        self._at: dict[int, Fault] = {}
        self._always: Fault | None = None
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []

    @property
    def port(self) -> int:
        return self._listener.getsockname()[1]

    @property
    def url(self) -> str:
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{'https' if self._tls else 'http'}://{host}:{self.port}"

    @property
    def questions(self) -> list[str]:
        """Bodies of all requests, in order."""
        return [request.body.decode("latin-1") for request in self.requests]

    @property
    def counts(self) -> Counter[str]:
        """How often each digest was asked."""
        return Counter(self.questions)

    def inject(self, *faults: Fault | None) -> None:
        """Faults for the next requests, one each; ``None`` is the proper answer."""
        self._next.extend(faults)

    def inject_at(self, number: int, fault: Fault) -> None:
        """A fault for the ``number``-th request since the start, from 1."""
        self._at[number] = fault

    def always(self, fault: Fault | None) -> None:
        """A fault for all requests that have none of their own; ``None`` ends it."""
        self._always = fault

    def __enter__(self):
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        self._listener = socket.socket(family, socket.SOCK_STREAM)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind((self._host, 0))
        self._listener.listen(64)
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()
        return self

    def __exit__(self, *_):
        self._stopping.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._acceptor.join(60)
        self._listener.close()
        with self._lock:
            for sock in self._open:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(60)

    def _accept(self):
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
            thread = threading.Thread(
                target=self._serve, args=(sock, self.connections), daemon=True
            )
            self._threads = [one for one in self._threads if one.is_alive()] + [thread]
            thread.start()

    def _serve(self, sock: socket.socket, number: int):
        with self._lock:
            self._open.add(sock)
        plain = sock
        try:
            # The client goes away in the middle of many faults, on purpose.
            with contextlib.suppress(OSError):
                if self._tls:
                    sock = self._tls.wrap_socket(sock, server_side=True)
                    with self._lock:
                        self._open.add(sock)
                if self._on_connect:
                    nothing = Request(number, "", {}, b"")
                    self._on_connect(Exchange(sock, nothing, self._stopping, self.known))
                    return
                self._talk(sock, number)
        finally:
            with self._lock:
                self._open -= {sock, plain}
            sock.close()

    def _talk(self, sock: socket.socket, number: int):
        with sock.makefile("rb") as file:
            while request := self._read(file, number):
                exchange = Exchange(sock, request, self._stopping, self.known)
                with self._lock:
                    self.requests.append(request)
                    fault = self._at.get(len(self.requests))
                    if fault is None and self._next:
                        fault = self._next.popleft()
                    elif fault is None:
                        fault = self._always
                (fault or self._proper)(exchange)
                if not exchange.keep or self._idle_close:
                    return

    def _read(self, file, number: int) -> Request | None:
        lines = []
        while line := file.readline(65537):
            self.received += len(line)
            if line in (b"\r\n", b"\n"):
                break
            lines.append(line.decode("latin-1").rstrip("\r\n"))
        if not lines:
            return None
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        body = file.read(int(headers.get("content-length", "0")))
        self.received += len(body)
        return Request(number, lines[0], headers, body)

    def _proper(self, exchange: Exchange):
        request = exchange.request
        if request.credentials != f"{self.username}:{self.password}":
            answer(401, b"who are you?", WWW_Authenticate='Basic realm="hashes"')(exchange)
            return
        parts = request.path.removeprefix("/v1/").removeprefix("test/").split("/")
        lengths = {"md5": 32, "sha1": 40, "sha256": 64}
        proper = (
            len(parts) == 2 and parts[0] == "check" and len(request.body) == lengths.get(parts[1])
        )
        if not request.line.startswith("POST ") or not proper:
            answer(404, json.dumps({"error": "not found"}).encode())(exchange)
            return
        answer(200, None)(exchange)
