"""Connects to a host before one deadline, also if the host's name has many addresses.

The attempts to connect run at the same time, and each begins a moment after the attempt before
(RFC 8305, "Happy Eyeballs"). So an address that does not answer delays the connection by a moment,
and not by a whole time-out.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

#: Seconds between the begins of two attempts to connect; fewer if the name has many addresses.
_STAGGER = 0.25
#: Largest number of addresses of a name to which hashscan tries to connect.
_MOST = 64

_AddressInfo = tuple[int, int, int, str, Any]


class Deadline:
    """The deadline of a session's present request.

    Attributes:
        seconds: seconds from the begin of the request to the deadline.
        at: the deadline of the request, in monotonic seconds.
    """

    def __init__(self) -> None:
        """Start before the first request, without a deadline."""
        self.seconds = 0.0
        self.at = 0.0

    def begin(self, seconds: float) -> None:
        """Set the deadline of a request that begins now."""
        self.seconds = seconds
        self.at = time.monotonic() + seconds

    def left(self) -> float:
        """Return the seconds until the deadline of the request.

        Raises:
            TimeoutError: the deadline of the request has passed.
        """
        left = self.at - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer as a whole took too long")
        return left


def connect(
    host: str, port: int, deadline: Deadline, options: Iterable[tuple[int, int, int | bytes]] = ()
) -> socket.socket:
    """Return a connection to ``host``; the connection's time-out ends at the deadline.

    Raises:
        TimeoutError: no address accepted a connection before the deadline.
        OSError: no address accepted a connection; the error is that of the first address, or
            ``socket.gaierror``.
    """
    found = _resolve(host, port, deadline)
    sock = _race(_interleaved(found)[:_MOST], deadline, list(options))
    sock.settimeout(deadline.left())
    return sock


class _Resolving(threading.Thread):
    """Resolves a host's name in a thread, because the system's resolver has no time limit."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(name="resolver", daemon=True)
        self._asked = (host, port)
        self.found: Sequence[_AddressInfo] = ()
        self.error: OSError | None = None

    def run(self) -> None:
        try:
            self.found = socket.getaddrinfo(*self._asked, 0, socket.SOCK_STREAM)
        except OSError as error:
            self.error = error
        except UnicodeError:
            self.error = socket.gaierror(socket.EAI_NONAME, "not a host name")
        finally:
            with _lock:
                _running.pop(self._asked, None)


#: Running resolutions by host name, so that a resolver that hangs blocks only one thread for a
#: name.
_running: dict[tuple[str, int], _Resolving] = {}
_lock = threading.Lock()


def _forked() -> None:
    global _lock  # noqa: PLW0603 - another thread may have held the lock at the fork
    _lock = threading.Lock()
    _running.clear()


os.register_at_fork(after_in_child=_forked)


def _resolve(host: str, port: int, deadline: Deadline) -> Sequence[_AddressInfo]:
    host = host.strip("[]")
    try:
        return socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM, 0, socket.AI_NUMERICHOST)
    except (socket.gaierror, UnicodeError):
        pass  # ``host`` is a name, and no address
    with _lock:
        one = _running.get((host, port))
        if one is None:
            one = _running[host, port] = _Resolving(host, port)
            try:
                one.start()
            except RuntimeError as error:  # The machine starts no further thread.
                del _running[host, port]
                raise OSError(str(error)) from error
    one.join(deadline.left())
    if one.is_alive():
        raise TimeoutError("the name was not resolved in time")
    if one.error is not None:
        raise one.error
    return one.found


def _interleaved(found: Sequence[_AddressInfo]) -> list[_AddressInfo]:
    """Return the addresses with IPv6 and IPv4 by turns, because one of the two may not work."""
    families: dict[int, deque[_AddressInfo]] = {}
    for one in found:
        families.setdefault(one[0], deque()).append(one)
    ordered: list[_AddressInfo] = []
    while any(families.values()):
        ordered += [waiting.popleft() for waiting in families.values() if waiting]
    return ordered


def _race(
    addresses: list[_AddressInfo],
    deadline: Deadline,
    options: list[tuple[int, int, int | bytes]],
) -> socket.socket:
    """Return the first connection that succeeds; close the sockets of all other attempts."""
    waiting = deque(addresses)
    trying: set[socket.socket] = set()
    first_error: OSError | None = None
    stagger = min(_STAGGER, deadline.left() / (2 * max(1, len(addresses))))
    begin = time.monotonic()
    try:
        with selectors.PollSelector() as selector:
            while waiting or trying:
                left = deadline.left()
                now = time.monotonic()
                if waiting and (now >= begin or not trying):
                    begin = now + stagger
                    try:
                        sock = _begin(waiting.popleft(), options)
                    except OSError as error:
                        first_error = first_error or error
                        begin = now
                        continue
                    trying.add(sock)
                    selector.register(sock, selectors.EVENT_WRITE)
                for key, _ in selector.select(min(left, begin - now) if waiting else left):
                    sock = key.fileobj  # type: ignore[assignment]
                    selector.unregister(sock)
                    trying.remove(sock)
                    if not (number := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)):
                        return sock
                    first_error = first_error or OSError(number, os.strerror(number))
                    sock.close()
                    begin = now
    finally:
        for sock in trying:
            sock.close()
    raise first_error or OSError("the name has no address")


def _begin(address: _AddressInfo, options: list[tuple[int, int, int | bytes]]) -> socket.socket:
    """Return a socket that has begun to connect to an address."""
    family, kind, protocol, _, where = address
    sock = socket.socket(family, kind, protocol)
    try:
        for option in options:
            sock.setsockopt(*option)
        sock.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            sock.connect(where)
    except BaseException:
        sock.close()
        raise
    return sock
