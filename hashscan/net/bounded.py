"""requests, with the bounds that it lacks: one time limit for a whole answer, and one size.

A download has no time limit as a whole, but a least rate: seconds are added as its bytes arrive.

The time-out of requests starts anew with every byte that arrives, so a server that sends one byte
a second holds it for ever; ``http.client`` accepts six megabytes of headers and any number of
``100 Continue``. Here the seconds cover the answer as a whole, from its status line to its last
byte, every byte is counted, and framing that could be read in two ways is an error. Nothing that
came after an answer is ever taken for the next one.

Name resolution is bounded by the system's resolver alone (see ``resolv.conf(5)``).
"""

from __future__ import annotations

import contextlib
import http.client
import io
import re
import socket
import time
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING, Any, NamedTuple

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

#: Bytes of one answer on the wire: status line, headers and body.
ANSWER_LIMIT = 64 * 1024

# RFC 9112, 4, and the end of line that 2.2 allows
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] [1-9][0-9]{2}(?: [^\r\n]*)?\r?\n")
# RFC 9112, 7.1: a chunk's size, or the empty line at the end. Trailers are refused: http.client
# takes any garbage for one, and even the end of the connection.
_CHUNK_LINE = re.compile(rb"(?:[0-9A-Fa-f]{1,8}(?:;[^\r\n]*)?)?\r?\n")


class BrokenAnswerError(http.client.HTTPException):
    """An answer that is too long or whose end is not certain. The text quotes nothing of it."""


class Bounds(NamedTuple):
    """What one answer may cost.

    Attributes:
        answer: bytes on the wire: status line, headers and body.
        slowest: bytes a second that a body must bring on average, or it is given up; 0: all of the
            answer must be there within the time-out.
    """

    answer: int = ANSWER_LIMIT
    slowest: float = 0.0


class _Tap(io.RawIOBase):
    """A socket's file with one deadline and one byte count for everything that is read."""

    def __init__(
        self,
        file: io.RawIOBase,
        sock: socket.socket,
        seconds: float | None,
        bounds: Bounds,
    ) -> None:
        self._file = file
        self._sock = sock
        self._silence = seconds
        self._deadline = None if seconds is None else time.monotonic() + seconds
        self._bounds = bounds
        self._left = bounds.answer
        self.ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int | None:
        if self.ended:
            return 0
        if self._deadline is not None:
            remaining = self._deadline - time.monotonic()
            if remaining <= 0:
                raise TimeoutError("the answer as a whole took too long")
            assert self._silence is not None
            self._sock.settimeout(min(remaining, self._silence))
        count: int | None = self._file.readinto(buffer)
        self._left -= count or 0
        if self._left < 0:
            raise BrokenAnswerError(f"more than {self._bounds.answer} bytes of headers and body")
        if self._deadline is not None and self._bounds.slowest and count:
            self._deadline += count / self._bounds.slowest
        return count

    def pending(self) -> bool:
        """Whether TLS holds decrypted bytes, which the next answer would begin with."""
        pending = getattr(self._sock, "pending", None)
        return pending is not None and pending() > 0

    def sever(self) -> None:
        """Make the connection useless, so that urllib3 throws it away instead of using it."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._file.close()
        super().close()


class _Reader(io.BufferedReader):
    """Notes, when the answer is complete, whether bytes that belong to nothing came with it."""

    stray = False

    def __init__(self, tap: _Tap) -> None:
        super().__init__(tap)
        self._tap = tap
        #: lines of the status and the headers, until they are checked
        self.lines: list[bytes] | None = []
        self.chunked = False

    def readline(self, size: int | None = -1, /) -> bytes:
        line = super().readline(size)
        if self.lines is not None:
            self.lines.append(line)
        elif self.chunked and not _CHUNK_LINE.fullmatch(line):
            raise BrokenAnswerError("chunks that are none")
        return line

    def close(self) -> None:
        if not self.closed:
            self._tap.ended = True
            if self.peek(1) or self._tap.pending():
                self.stray = True
                self._tap.sever()
        super().close()


class _Answer(http.client.HTTPResponse):
    """``http.client``'s parser over a bounded reader, strict about where an answer ends."""

    bounds = Bounds()

    def __init__(
        self,
        sock: socket.socket,
        debuglevel: int = 0,  # noqa: ARG002 - it would print the credentials
        method: str | None = None,
        url: str | None = None,
    ) -> None:
        super().__init__(sock, 0, method, url)
        # urllib3 has just set the seconds that are left for the answer as the socket's time-out
        self._reader = _Reader(_Tap(self.fp.detach(), sock, sock.gettimeout(), self.bounds))
        self.fp = self._reader

    def begin(self) -> None:
        super().begin()
        # http.client splits the status line at any white space of Unicode and takes 2_00 for 200
        status_next = True
        for line in self._reader.lines or []:
            if status_next and not _STATUS_LINE.fullmatch(line):
                raise BrokenAnswerError("a status line that is none")
            status_next = line in {b"\r\n", b"\n"}  # as after 100 Continue
        self._reader.lines = None
        self._reader.chunked = bool(self.chunked)
        if self.msg.defects or self.msg.get_payload():
            raise BrokenAnswerError("headers that are none")
        lengths = self.msg.get_all("content-length", [])
        codings = self.msg.get_all("transfer-encoding", [])
        if (
            len(lengths) + len(codings) > 1
            or not all(length.isascii() and length.isdecimal() for length in lengths)
            or not all(coding.lower() == "chunked" for coding in codings)
        ):
            raise BrokenAnswerError("a length that can be read in more than one way")

    def read(self, amt: int | None = None) -> bytes:
        data = super().read(amt)
        if self._reader.stray:
            raise BrokenAnswerError("more bytes than the answer has")
        return data


def _pools(bounds: Bounds) -> dict[str, type[HTTPConnectionPool]]:
    """Pools by scheme whose answers are within ``bounds``: urllib3 takes classes, not values."""

    class Answer(_Answer):
        pass

    Answer.bounds = bounds

    class Connection(HTTPConnection):
        response_class = Answer
        debuglevel = 0  # a global debug level would print the credentials

    class TLSConnection(HTTPSConnection):
        response_class = Answer
        debuglevel = 0

    class Pool(HTTPConnectionPool):
        ConnectionCls = Connection

    class TLSPool(HTTPSConnectionPool):
        ConnectionCls = TLSConnection

    return {"http": Pool, "https": TLSPool}


class _Adapter(HTTPAdapter):
    def __init__(self, bounds: Bounds) -> None:
        self._pools = _pools(bounds)
        super().__init__(pool_connections=1, pool_maxsize=1)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **options)
        manager.pool_classes_by_scheme = self._pools
        return manager


class BoundedSession(requests.Session):
    """A session for one thread at a time, with one connection that is kept for the next question.

    It follows no redirect and keeps no cookie. Ask it with ``stream=True``, and read the body
    from ``response.raw``: requests would unpack a compressed one.
    """

    def __init__(self, *, trust_env: bool, bounds: Bounds = Bounds()) -> None:  # noqa: B008
        """``trust_env`` allows the proxies and the CA bundle that the environment names."""
        super().__init__()
        self.trust_env = trust_env
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        adapter = _Adapter(bounds)
        self.mount("http://", adapter)
        self.mount("https://", adapter)

    def get_redirect_target(self, resp: requests.Response) -> None:  # noqa: ARG002
        """None, always: for a redirect that is not followed requests still reads all its body."""
        return


def whole_timeout(seconds: float) -> urllib3.Timeout:
    """A time-out for connection and answer together.

    Half of it goes to the connection, so that a dead IPv6 address leaves time for IPv4. A name
    with more than two dead addresses takes half of it for each.
    """
    return urllib3.Timeout(connect=seconds / 2, total=seconds)
