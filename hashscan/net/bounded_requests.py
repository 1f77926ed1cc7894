"""Adds to requests the bounds that it lacks: a time limit for a whole request, a size limit.

A download has no time limit as a whole, but a minimum rate: each received byte moves its deadline.

The time-out of requests begins again with every address of a name, every proxy on the way and every
received byte, so a server that sends one byte a second delays the client for ever. ``http.client``
accepts six megabytes of headers and any number of ``100 Continue``. In this module one deadline is
for name resolution, connection, proxy, TLS handshake and the whole answer. The module counts every
byte, raises for an answer whose end is ambiguous, and never reads bytes after an answer as the
next answer.
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

#: Largest number of bytes of one HTTP answer on the wire: status line, headers and body.
ANSWER_LIMIT = 64 * 1024

# Pattern of a status line: RFC 9112, section 4, with a line end of section 2.2.
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] [1-9][0-9]{2}(?: [^\r\n]*)?\r?\n")
# Pattern of a chunk's size, which old servers pad with blanks, or of the line end after a chunk:
# RFC 9112, 7.1.
_CHUNK_LINE = re.compile(rb"(?:[0-9A-Fa-f]{1,8}[ \t]*(?:;[^\r\n]*)?)?\r?\n")
_LAST_CHUNK = re.compile(rb"0+[ \t]*(?:;[^\r\n]*)?\r?\n")
# Pattern of a trailer field, or of the end of the trailers: RFC 9112, 7.1.2. http.client accepts
# any line as a trailer field, and even the end of the connection as the end of the trailers.
_TRAILER_LINE = re.compile(rb"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]{1,200}:[^\r\n\0]*)?\r?\n")


class BrokenAnswerError(http.client.HTTPException):
    """An HTTP answer is too long, or its end is ambiguous; the message never quotes the answer."""


class SocksProxyError(ConnectionError):
    """The environment or the configuration names a SOCKS proxy; hashscan supports none."""


class Bounds(NamedTuple):
    """Bounds of the size and the speed of an HTTP answer.

    Attributes:
        answer: largest number of bytes on the wire: status line, headers and body.
        slowest: smallest number of bytes a second of a body, on average; 0: the whole answer must
            arrive within the time-out.
    """

    answer: int = ANSWER_LIMIT
    slowest: float = 0.0


class _Tap(io.RawIOBase):
    """Reads a socket, with one deadline and one count of bytes for the whole HTTP answer."""

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
        """Note that the headers are complete, so that a download's body has its own deadline."""
        if self._bounds.slowest:
            self._deadline.begin(self._deadline.seconds)

    def pending(self) -> bool:
        """Return True if TLS has decrypted bytes that would be read as the next answer."""
        pending = getattr(self._sock, "pending", None)
        return pending is not None and pending() > 0

    def sever(self) -> None:
        """Shut the connection down, so that urllib3 does not use the connection again."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._file.close()
        super().close()


class _Reader(io.BufferedReader):
    """A reader that makes the connection unusable if bytes follow a complete answer."""

    stray = False

    def __init__(self, tap: _Tap) -> None:
        super().__init__(tap)
        self._tap = tap
        #: the lines of the answer's status and headers, until they are checked
        self.lines: list[bytes] | None = []
        self.chunked = False
        self._trailers = False

    def readline(self, size: int | None = -1, /) -> bytes:
        line = super().readline(size)
        if self.lines is not None:
            self.lines.append(line)
        elif self.chunked:
            if not (_TRAILER_LINE if self._trailers else _CHUNK_LINE).fullmatch(line):
                raise BrokenAnswerError("invalid chunks")
            self._trailers = self._trailers or _LAST_CHUNK.fullmatch(line) is not None
        return line

    def body_begins(self, *, chunked: bool) -> None:
        """Note that the answer's headers are complete and were checked."""
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
    """``http.client``'s parser with a bounded reader; an ambiguous end of an answer is an error."""

    bounds = Bounds()
    deadline = Deadline()

    def __init__(
        self,
        sock: socket.socket,
        debuglevel: int = 0,  # noqa: ARG002 - http.client's debug output would print the credentials
        method: str | None = None,
        url: str | None = None,
    ) -> None:
        super().__init__(sock, 0, method, url)
        self._reader = _Reader(_Tap(self.fp.detach(), sock, self.deadline, self.bounds))
        self.fp = self._reader

    def begin(self) -> None:
        super().begin()
        # http.client splits the status line at any Unicode white space, and reads 2_00 as 200.
        status_next = True
        for line in self._reader.lines or []:
            if status_next and not _STATUS_LINE.fullmatch(line):
                raise BrokenAnswerError("an invalid status line")
            status_next = line in {b"\r\n", b"\n"}  # after ``100 Continue``, a status line follows
        # Blanks around a header's value are legal (RFC 9110, 5.5); so is the same length twice
        # (8.6).
        lengths = {one.strip(" \t") for one in self.msg.get_all("content-length", [])}
        codings = [one.strip(" \t").lower() for one in self.msg.get_all("transfer-encoding", [])]
        # http.client does not recognise the value "chunked" with a blank after it.
        if codings == ["chunked"] and not self.chunked:
            self.chunked, self.chunk_left, self.length = True, None, None
        self._reader.body_begins(chunked=bool(self.chunked))
        if self.msg.defects or self.msg.get_payload():
            raise BrokenAnswerError("invalid headers")
        if (
            len(lengths) + len(codings) > 1
            or not all(length.isascii() and length.isdecimal() for length in lengths)
            or not all(coding == "chunked" for coding in codings)
        ):
            raise BrokenAnswerError("a length that can be read in more than one way")

    def _read_status(self) -> tuple[str, int, str]:
        """Return the answer's status; skip 102 and 103, too, because http.client skips only 100."""
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
    """Return a connected socket for urllib3; raise urllib3's own error for each fault."""
    try:
        return connect(to._dns_host, to.port, deadline, to.socket_options or ())  # noqa: SLF001
    except socket.gaierror as error:
        raise NameResolutionError(to.host, to, error) from error
    except TimeoutError as error:
        raise ConnectTimeoutError(to, "no connection in time") from error
    except OSError as error:
        raise NewConnectionError(to, "no connection") from error


def _pools(bounds: Bounds, deadline: Deadline) -> dict[str, type[HTTPConnectionPool]]:
    """Return classes of urllib3's pools, by scheme, that bound the answers of their servers."""

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
            self.sock.settimeout(deadline.left())  # the time-out for the whole TLS handshake

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
        # Connections through a SOCKS proxy would have no bounds.
        if proxy.lower().startswith("socks"):
            raise SocksProxyError("the proxy is a SOCKS proxy")
        manager = super().proxy_manager_for(proxy, **options)
        manager.pool_classes_by_scheme = self._pools
        return manager


class BoundedSession(requests.Session):
    """A session for one thread at a time; the session keeps its connection for the next request.

    The session follows no redirect and keeps no cookie. Callers read the body from
    ``response.raw``, because requests itself would unpack a compressed body without a bound.

    The session never sends plain ``http`` to this machine, or plain ``http`` with credentials, to a
    proxy that the environment names: the proxy would read the credentials.
    """

    def __init__(self, *, bounds: Bounds = Bounds()) -> None:  # noqa: B008
        """Start a session without a connection; ``bounds``: the bounds of each answer."""
        super().__init__()
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self._deadline = Deadline()
        adapter = _Adapter(bounds, self._deadline)
        self.mount("http://", adapter)
        self.mount("https://", adapter)

    def ask(self, method: str, url: str, seconds: float, **more: Any) -> requests.Response:
        """Send a request; return the answer's status and headers; ``raw`` has the answer's body.

        Args:
            method: the HTTP method.
            url: an absolute URL.
            seconds: seconds for the whole request; for a download, for the request without the
                body.
            more: further arguments of ``requests`` for the request.

        Raises:
            FOREIGN_ERRORS: the request failed (see ``hashscan.net.explain``).
        """
        self._deadline.begin(seconds)
        timeout: Any = urllib3.Timeout(total=seconds)
        return self.request(
            method, url, timeout=timeout, allow_redirects=False, stream=True, **more
        )

    def merge_environment_settings(
        self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any
    ) -> Any:
        """Return requests' settings from the environment: the CA bundle and permitted proxies."""
        own = dict(proxies or {})  # requests would add its own entries to the caller's dict
        found = super().merge_environment_settings(url, proxies, stream, verify, cert)
        parts = urlsplit(url)
        if parts.scheme == "http" and (self._has_credentials or is_loopback(parts.hostname or "")):
            found["proxies"] = own
        return found

    @property
    def _has_credentials(self) -> bool:
        return isinstance(self.auth, HTTPBasicAuth)

    def get_redirect_target(self, resp: requests.Response) -> None:  # noqa: ARG002
        """Return ``None``; after a URL, requests would read the whole body of a redirect."""
        return
