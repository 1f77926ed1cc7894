"""A directory behind a real loopback socket, with every fault that a mirror can have.

    with FileServer(directory) as server:
        server.requests                      # paths, in order
        server.fault("timestamp.json", status(500), times=1)
        server.replace("timestamp.json", old_bytes)

A fault is a function of one ``Exchange``; the first whose pattern is found in the path is used.
"""

import http.server
import os
import ssl
import threading
import time
from dataclasses import dataclass, field
from urllib.parse import unquote


@dataclass
class Exchange:
    """One request, and what an honest server would answer."""

    handler: http.server.BaseHTTPRequestHandler
    path: str
    content: bytes | None
    stopping: threading.Event

    def answer(self, code, body=b"", **headers):
        self.handler.send_response(code)
        headers = {"Content_Length": str(len(body)), **headers}
        for name, value in headers.items():
            if value is not None:
                self.handler.send_header(name.replace("_", "-"), value)
        self.handler.end_headers()
        self.write(body)

    def write(self, body):
        try:
            self.handler.wfile.write(body)
            self.handler.wfile.flush()
        except OSError:
            self.handler.close_connection = True


@dataclass
class _Fault:
    pattern: str
    act: object
    times: float = float("inf")
    skip: int = 0


@dataclass
class FileServer:
    directory: object
    ranges: bool = True
    credentials: str | None = None
    tls: ssl.SSLContext | None = None
    requests: list = field(default_factory=list)
    sent: dict = field(default_factory=dict)
    faults: list = field(default_factory=list)

    def fault(self, pattern, act, times=float("inf")):
        self.faults.append(_Fault(pattern, act, times))

    def fault_at(self, number, act):
        """Only the ``number``-th request from now on, counted from 0."""
        fault = _Fault("", act, 1)
        fault.skip = number
        self.faults.append(fault)

    def replace(self, pattern, content):
        self.fault(pattern, lambda exchange: exchange.answer(200, content))

    def heal(self):
        self.faults.clear()
        self.requests.clear()

    @property
    def url(self):
        scheme = "http" if self.tls is None else "https"
        return f"{scheme}://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self):
        outer = self
        self._stopping = threading.Event()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *arguments):
                pass

            def do_GET(self):
                outer._serve(self)

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if self.tls is not None:
            self._server.socket = self.tls.wrap_socket(self._server.socket, server_side=True)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stopping.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _serve(self, handler):
        self.requests.append(handler.path)
        self.sent[handler.path] = dict(handler.headers)
        path = os.path.join(self.directory, unquote(handler.path.lstrip("/")))
        content = None
        if os.path.isfile(path):
            with open(path, "rb") as file:
                content = file.read()
        exchange = Exchange(handler, handler.path, content, self._stopping)
        for fault in self.faults:
            if fault.pattern in handler.path and fault.times > 0:
                if fault.skip:
                    fault.skip -= 1
                    continue
                fault.times -= 1
                fault.act(exchange)
                return
        if self.credentials and handler.headers.get("Authorization") != self.credentials:
            exchange.answer(401, b"who?", WWW_Authenticate="Basic")
        elif content is None:
            exchange.answer(404, b"nothing here")
        elif self.ranges and handler.headers.get("Range"):
            start = int(handler.headers["Range"].removeprefix("bytes=").rstrip("-"))
            if start >= len(content):
                exchange.answer(416)
                return
            told = f"bytes {start}-{len(content) - 1}/{len(content)}"
            exchange.answer(206, content[start:], Content_Range=told)
        else:
            exchange.answer(200, content)


# -- faults -----------------------------------------------------------------------------------


def status(code, **headers):
    return lambda exchange: exchange.answer(code, b"an error page", **headers)


def truncate(share=0.5):
    """The announced length, and fewer bytes; then the end of the connection."""

    def act(exchange):
        body = exchange.content[: int(len(exchange.content) * share)]
        exchange.answer(200, b"", Content_Length=str(len(exchange.content)))
        exchange.write(body)
        exchange.handler.close_connection = True

    return act


def shorter(share=0.5):
    """Fewer bytes, and an announced length that fits them."""
    return lambda exchange: exchange.answer(
        200, exchange.content[: int(len(exchange.content) * share)]
    )


def flip(exchange):
    content = bytearray(exchange.content)
    content[len(content) // 2] ^= 1
    exchange.answer(200, bytes(content))


def endless(exchange):
    """Bytes without an end, for as long as somebody reads them."""
    exchange.answer(200, exchange.content, Content_Length=None, Connection="close")
    exchange.handler.close_connection = True
    while not exchange.stopping.is_set():
        try:
            exchange.handler.wfile.write(b" " * 65536)
        except OSError:
            return


def stall(exchange):
    """The head of an answer, and then nothing."""
    exchange.answer(200, b"", Content_Length=str(len(exchange.content)))
    exchange.write(exchange.content[:10])
    exchange.stopping.wait(20)
    exchange.handler.close_connection = True


def trickle(exchange):
    """A byte at a time, for ever within any time-out of a single read."""
    exchange.answer(200, b"", Content_Length=str(len(exchange.content)))
    for at in range(len(exchange.content)):
        if exchange.stopping.is_set() or exchange.handler.close_connection:
            break
        exchange.write(exchange.content[at : at + 1])
        time.sleep(0.02)
    exchange.handler.close_connection = True


def redirect(to):
    return lambda exchange: exchange.answer(302, b"", Location=to)
