"""requests, with the bounds that it lacks: a time limit for a whole question, and a size limit.

A download has no time limit as a whole, but a minimum rate: its bytes add seconds as they arrive.

The time-out of requests begins again with every address of a name, every proxy on the way and every
byte that arrives, so a server that sends one byte a second holds it for ever; ``http.client``
accepts six megabytes of headers and any number of ``100 Continue``. Here one deadline covers name
resolution, connection, proxy, TLS handshake and answer, from its status line to its last byte;
every byte is counted, and framing that could be read in two ways is an error. Bytes after an answer
are never taken for the next answer.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import re
import socket
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.auth import HTTPBasicAuth
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

from hashscan.hosts import is_loopback
from hashscan.net.connect import Deadline, connect

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

#: Bytes of one answer on the wire: status line, headers and body.
ANSWER_LIMIT = 64 * 1024

# RFC 9112, 4, and the end of line that 2.2 allows
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] [1-9][0-9]{2}(?: [^\r\n]*)?\r?\n")
# RFC 9112, 7.1: a chunk's size, which old servers pad with blanks, or the line end after a chunk
_CHUNK_LINE = re.compile(rb"(?:[0-9A-Fa-f]{1,8}[ \t]*(?:;[^\r\n]*)?)?\r?\n")
_LAST_CHUNK = re.compile(rb"0+[ \t]*(?:;[^\r\n]*)?\r?\n")
# RFC 9112, 7.1.2: a trailer field, or the end. http.client takes anything for one, and even the end
# of the connection.
_TRAILER_LINE = re.compile(rb"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]{1,200}:[^\r\n\0]*)?\r?\n")


class BrokenAnswerError(http.client.HTTPException):
    """An answer that is too long or whose end is not certain. The text quotes nothing of it."""


class SocksProxyError(ConnectionError):
    """The environment or the configuration names a SOCKS proxy, which is not supported."""


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
        deadline: Deadline,
        bounds: Bounds,
    ) -> None:
        self._file = file
        self._sock = sock
        self._deadline = deadline
        self._bounds = bounds
        self._left = bounds.answer
        self.ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int | None:
        if self.ended:
            return 0
        self._sock.settimeout(min(self._deadline.left(), self._deadline.seconds))
        count: int | None = self._file.readinto(buffer)
        self._left -= count or 0
        if self._left < 0:
            raise BrokenAnswerError(f"more than {self._bounds.answer} bytes of headers and body")
        if self._bounds.slowest and count:
            self._deadline.at += count / self._bounds.slowest
        return count

    def body_begins(self) -> None:
        """Note that the head is complete: a download's first bytes have the time of a question."""
        if self._bounds.slowest:
            self._deadline.begin(self._deadline.seconds)

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
        self._trailers = False

    def readline(self, size: int | None = -1, /) -> bytes:
        line = super().readline(size)
        if self.lines is not None:
            self.lines.append(line)
        elif self.chunked:
            if not (_TRAILER_LINE if self._trailers else _CHUNK_LINE).fullmatch(line):
                raise BrokenAnswerError("chunks that are invalid")
            self._trailers = self._trailers or _LAST_CHUNK.fullmatch(line) is not None
        return line

    def body_begins(self, *, chunked: bool) -> None:
        """Note that the head is complete and was checked."""
        self.lines = None
        self.chunked = chunked
        self._tap.body_begins()

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
    deadline = Deadline()

    def __init__(
        self,
        sock: socket.socket,
        debuglevel: int = 0,  # noqa: ARG002 - it would print the credentials
        method: str | None = None,
        url: str | None = None,
    ) -> None:
        super().__init__(sock, 0, method, url)
        self._reader = _Reader(_Tap(self.fp.detach(), sock, self.deadline, self.bounds))
        self.fp = self._reader

    def begin(self) -> None:
        super().begin()
        # http.client splits the status line at any white space of Unicode and takes 2_00 for 200
        status_next = True
        for line in self._reader.lines or []:
            if status_next and not _STATUS_LINE.fullmatch(line):
                raise BrokenAnswerError("a status line that is none")
            status_next = line in {b"\r\n", b"\n"}  # as after 100 Continue
        # Blanks around a value are legal (RFC 9110, 5.5), and so is the same length twice (8.6).
        lengths = {one.strip(" \t") for one in self.msg.get_all("content-length", [])}
        codings = [one.strip(" \t").lower() for one in self.msg.get_all("transfer-encoding", [])]
        if codings == ["chunked"] and not self.chunked:  # http.client takes no blank after it
            self.chunked, self.chunk_left, self.length = True, None, None
        self._reader.body_begins(chunked=bool(self.chunked))
        if self.msg.defects or self.msg.get_payload():
            raise BrokenAnswerError("headers that are none")
        if (
            len(lengths) + len(codings) > 1
            or not all(length.isascii() and length.isdecimal() for length in lengths)
            or not all(coding == "chunked" for coding in codings)
        ):
            raise BrokenAnswerError("a length that can be read in more than one way")

    def _read_status(self) -> tuple[str, int, str]:
        """The status of the answer; http.client skips 100 only, and not 102 and 103."""
        found = super()._read_status()  # type: ignore[misc]
        while 100 < found[1] < 200 and found[1] != 101:
            while self._reader.readline().strip(b"\r\n"):
                pass
            found = super()._read_status()  # type: ignore[misc]
        return found  # type: ignore[no-any-return]

    def read(self, amt: int | None = None) -> bytes:
        data = super().read(amt)
        if self._reader.stray:
            raise BrokenAnswerError("more bytes than the answer has")
        return data


def _new_connection(to: HTTPConnection, deadline: Deadline) -> socket.socket:
    """A connected socket for urllib3, which has an error of its own for each fault."""
    try:
        return connect(to._dns_host, to.port, deadline, to.socket_options or ())  # noqa: SLF001
    except socket.gaierror as error:
        raise NameResolutionError(to.host, to, error) from error
    except TimeoutError as error:
        raise ConnectTimeoutError(to, "no connection in time") from error
    except OSError as error:
        raise NewConnectionError(to, "no connection") from error


def _pools(bounds: Bounds, deadline: Deadline) -> dict[str, type[HTTPConnectionPool]]:
    """Pools by scheme whose answers are within the bounds: urllib3 takes classes, not values."""

    class BoundedAnswer(_Answer):
        pass

    BoundedAnswer.bounds = bounds
    BoundedAnswer.deadline = deadline

    class Connection(HTTPConnection):
        response_class = BoundedAnswer
        debuglevel = 0  # a global debug level would print the credentials

        def _new_conn(self) -> socket.socket:
            return _new_connection(self, deadline)

    class TLSConnection(HTTPSConnection):
        response_class = BoundedAnswer
        debuglevel = 0

        def _new_conn(self) -> socket.socket:
            return _new_connection(self, deadline)

        def _tunnel(self) -> None:
            super()._tunnel()
            self.sock.settimeout(deadline.left())  # for the TLS handshake as a whole

    class RequestPool(HTTPConnectionPool):
        ConnectionCls = Connection

    class TLSPool(HTTPSConnectionPool):
        ConnectionCls = TLSConnection

    return {"http": RequestPool, "https": TLSPool}


class _Adapter(HTTPAdapter):
    def __init__(self, bounds: Bounds, deadline: Deadline) -> None:
        self._pools = _pools(bounds, deadline)
        super().__init__(pool_connections=1, pool_maxsize=1)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        if proxy.lower().startswith("socks"):  # its connections would be without bounds
            raise SocksProxyError("the proxy is a SOCKS proxy")
        manager = super().proxy_manager_for(proxy, **options)
        manager.pool_classes_by_scheme = self._pools
        return manager


class BoundedSession(requests.Session):
    """A session for one thread at a time, with one connection that is kept for the next question.

    It follows no redirect and keeps no cookie. Ask it with ``stream=True``, and read the body
    from ``response.raw``: requests would unpack a compressed one.

    Plain ``http`` to this machine never goes to a proxy that the environment names, and neither
    does plain ``http`` with credentials: the proxy would read them.
    """

    def __init__(self, *, bounds: Bounds = Bounds()) -> None:  # noqa: B008
        """Start without a connection; ``bounds`` are those of each answer."""
        super().__init__()
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self._deadline = Deadline()
        adapter = _Adapter(bounds, self._deadline)
        self.mount("http://", adapter)
        self.mount("https://", adapter)

    def ask(self, method: str, url: str, seconds: float, **more: Any) -> requests.Response:
        """The head of an answer; its body is read from ``raw``.

        Args:
            method: the HTTP method.
            url: absolute.
            seconds: for the whole question; for a download without the body.
            more: arguments of ``requests``.

        Raises:
            FOREIGN_ERRORS: see ``hashscan.net.explain``.
        """
        self._deadline.begin(seconds)
        timeout: Any = urllib3.Timeout(total=seconds)
        return self.request(
            method, url, timeout=timeout, allow_redirects=False, stream=True, **more
        )

    def merge_environment_settings(
        self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any
    ) -> Any:
        """Settings of requests from the environment: the CA bundle, and permitted proxies."""
        own = dict(proxies or {})  # requests adds to the dict that it gets
        found = super().merge_environment_settings(url, proxies, stream, verify, cert)
        parts = urlsplit(url)
        if parts.scheme == "http" and (self._has_credentials or is_loopback(parts.hostname or "")):
            found["proxies"] = own
        return found

    @property
    def _has_credentials(self) -> bool:
        return isinstance(self.auth, HTTPBasicAuth)

    def get_redirect_target(self, resp: requests.Response) -> None:  # noqa: ARG002
        """None, always: for a redirect that is not followed requests still reads all its body."""
        return
