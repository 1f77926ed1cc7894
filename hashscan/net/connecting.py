"""Connections within one deadline, whatever number of addresses a name has.

The addresses are tried side by side, each a moment after the one before (RFC 8305, "Happy
Eyeballs"), so dead ones cost a moment each and not a time-out each.
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

#: Seconds between the beginnings of two attempts; less if there are many addresses.
_STAGGER = 0.25
#: Addresses of one name that are tried.
_MOST = 64

_AddressInfo = tuple[int, int, int, str, Any]


class Deadline:
    """When the question that a session asks must be answered.

    Attributes:
        seconds: from its beginning to its end.
        at: monotonic seconds.
    """

    def __init__(self) -> None:
        """No question was asked yet."""
        self.seconds = 0.0
        self.at = 0.0

    def begin(self, seconds: float) -> None:
        """A question begins."""
        self.seconds = seconds
        self.at = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds that are left.

        Raises:
            TimeoutError: none.
        """
        left = self.at - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer as a whole took too long")
        return left


def connect(
    host: str, port: int, deadline: Deadline, options: Iterable[tuple[int, int, int | bytes]] = ()
) -> socket.socket:
    """A connection to ``host``, whose time-out is what is left.

    Raises:
        TimeoutError: there is none before the deadline.
        OSError: the first address's error; of the resolver: ``socket.gaierror``.
    """
    found = _resolve(host, port, deadline)
    sock = _race(_interleaved(found)[:_MOST], deadline, list(options))
    sock.settimeout(deadline.left())
    return sock


class _Resolving(threading.Thread):
    """One look-up: the system's resolver has no time limit that a caller may set."""

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
            self.error = socket.gaierror(socket.EAI_NONAME, "no name of a host")
        finally:
            with _lock:
                _running.pop(self._asked, None)


#: Look-ups under way, so that a resolver that hangs holds one thread for a name and not many.
_running: dict[tuple[str, int], _Resolving] = {}
_lock = threading.Lock()


def _forked() -> None:
    global _lock  # noqa: PLW0603 - another thread of the parent may have held it
    _lock = threading.Lock()
    _running.clear()


os.register_at_fork(after_in_child=_forked)


def _resolve(host: str, port: int, deadline: Deadline) -> Sequence[_AddressInfo]:
    host = host.strip("[]")
    try:
        return socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM, 0, socket.AI_NUMERICHOST)
    except (socket.gaierror, UnicodeError):
        pass  # a name
    with _lock:
        one = _running.get((host, port))
        if one is None:
            one = _running[host, port] = _Resolving(host, port)
            try:
                one.start()
            except RuntimeError as error:  # no thread can be started
                del _running[host, port]
                raise OSError(str(error)) from error
    one.join(deadline.left())
    if one.is_alive():
        raise TimeoutError("the name was not resolved in time")
    if one.error is not None:
        raise one.error
    return one.found


def _interleaved(found: Sequence[_AddressInfo]) -> list[_AddressInfo]:
    """One address of each family in turn, so that a family that is dead delays little."""
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
    """The first connection that is made; the others are closed."""
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
    """A socket that connects."""
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
