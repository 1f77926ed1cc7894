"""uvicorn's HTTP protocol with time limits, and with one meaning for the end of a request.

A client has ``HEAD`` seconds for a head and ``BODY`` seconds for a body, however their bytes
arrive. The connection ends if its client reads nothing of an answer for ``STALLED`` seconds. If two
programs may see the end of a request at different bytes, the answer to the request is the error 400
(RFC 9112, 11.2).
"""

from __future__ import annotations

import contextlib
import http
import socket
import struct
import time
from typing import TYPE_CHECKING

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from uvicorn.config import Config
    from uvicorn.server import ServerState

    from hashscan.service.connections import Client, Connections

#: Seconds from the connection's begin, or from the first byte of a head, to the head's end, with
#: TLS.
HEAD = 10.0
#: Seconds from the end of a request's head to the end of its body.
BODY = 10.0
#: Seconds in which the client must read some bytes of an answer.
STALLED = 60.0
#: Seconds for sending the rest of an answer before the service closes the connection.
LINGER = 10.0
_LONGEST_HEAD = 16 * 1024


class _Strict(h11.Connection):
    """h11's parser, limited to requests that end at the same byte for every program."""

    #: A function that is called after each event of the parser.
    on_event: Callable[[object], None]

    def next_event(self) -> h11.Event | type[h11.NEED_DATA | h11.PAUSED]:
        """Parse the next event of a request.

        Raises:
            h11.RemoteProtocolError: the bytes are not HTTP, or two programs may read them
            differently.
        """
        if self.their_state is h11.IDLE:
            # h11 accepts bare line feeds and folded lines, which other programs read differently
            head = self.trailing_data[0].partition(b"\r\n\r\n")[0]
            if len(head) > _LONGEST_HEAD:
                # h11 limits only heads that arrive in parts
                raise h11.RemoteProtocolError(f"a head of more than {_LONGEST_HEAD >> 10} KiB")
            rest = head.removesuffix(b"\r").replace(b"\r\n", b"")
            if b"\n" in rest or b"\r" in rest or b"\r\n " in head or b"\r\n\t" in head:
                raise h11.RemoteProtocolError("a head with invalid line ends")
        event = super().next_event()
        if isinstance(event, h11.Request):
            _check_length(event)
        self.on_event(event)
        return event


def _check_length(request: h11.Request) -> None:
    names = [name for name, _ in request.headers]
    if b"transfer-encoding" in names and (
        b"content-length" in names or request.http_version < b"1.1"
    ):
        raise h11.RemoteProtocolError("a length that can be read in more than one way")


class Protocol(H11Protocol):
    """The protocol of one connection of a client."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        client: Client,
        connections: Connections,
    ) -> None:
        """Serve ``client``, one of the ``connections``."""
        # ``scope["state"]`` of each request, for the application
        state = {
            "proven": lambda: connections.proven(client),
            "gone": self._is_gone,
        }
        super().__init__(config, server_state, state)
        conversation = _Strict(h11.SERVER, _LONGEST_HEAD)
        conversation.on_event = self._note
        self.conn = conversation
        self._holder = client
        self._connections = connections
        self._head_since: float | None = client.since
        self._body_since = 0.0
        self._stuck_since: float | None = None
        self._closing_since: float | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to serve the client, after the connection and its TLS handshake are complete."""
        super().connection_made(transport)
        self._holder.close = self._reset

    def connection_lost(self, exc: Exception | None) -> None:
        """Remove the connection, which has ended, from the service's connections."""
        self._connections.remove(self._holder)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Handle received bytes of a request."""
        if self.conn.their_state is h11.IDLE and self._head_since is None:
            self._head_since = time.monotonic()
        super().data_received(data)

    def pause_writing(self) -> None:
        """Record that the client does not read its answer."""
        self._stuck_since = time.monotonic()
        super().pause_writing()

    def resume_writing(self) -> None:
        """Record that the client reads its answer again."""
        self._stuck_since = None
        super().resume_writing()

    def on_response_complete(self) -> None:
        """Record that the answer to a request has ended."""
        self._holder.asking = False
        self._holder.since = time.monotonic()
        super().on_response_complete()

    def shutdown(self) -> None:
        """End the connection with the service, after the answer to a complete request."""
        if self.conn.their_state in {h11.IDLE, h11.SEND_BODY}:
            self._end()
            self._reset()
        else:
            super().shutdown()

    def send_400_response(self, msg: str) -> None:
        """Answer received bytes that are no HTTP request with an error."""
        self._refuse(400, msg)

    def check(self, now: float) -> None:
        """End the connection if its client takes too long; ``now``: time in monotonic seconds."""
        if self.transport.is_closing():
            self._closing_since = self._closing_since or now
            if now - self._closing_since > LINGER:
                self._reset()
        elif self._stuck_since is not None and now - self._stuck_since > STALLED:
            self._reset()
        elif self.conn.their_state is h11.IDLE:
            if self._head_since is not None and now - self._head_since > HEAD:
                self._refuse(408, f"no whole head within {HEAD:.0f} s")
        elif self.conn.their_state is h11.SEND_BODY and now - self._body_since > BODY:
            self._refuse(408, f"no whole body within {BODY:.0f} s")

    def _note(self, event: object) -> None:
        if isinstance(event, h11.Request):
            self._head_since = None
            self._body_since = time.monotonic()
            self._holder.asking = True

    def _refuse(self, status: int, why: str) -> None:
        """Send an error and close the connection; only close it if an answer has begun."""
        begun = self.conn.our_state not in {h11.IDLE, h11.SEND_RESPONSE}
        self._end()
        if not begun:
            kind, body = self.refusal(why)
            headers = [
                ("content-type", kind),
                ("content-length", str(len(body))),
                ("connection", "close"),
            ]
            head = h11.Response(
                status_code=status, headers=headers, reason=http.HTTPStatus(status).phrase
            )
            self.transport.write(
                b"".join(
                    self.conn.send(event) or b""
                    for event in (head, h11.Data(data=body), h11.EndOfMessage())
                )
            )
        self.transport.close()

    @staticmethod
    def refusal(why: str) -> tuple[str, bytes]:
        """Return the ``Content-Type`` and body of the error for bytes that are no whole request."""
        return "text/plain; charset=utf-8", f"{why}\n".encode("ascii", "replace")

    def _is_gone(self) -> bool:
        return self.transport.is_closing()

    def _reset(self) -> None:
        """End the connection immediately; the kernel drops the rest of the answer."""
        with contextlib.suppress(OSError, AttributeError):
            self.transport.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
            )
        self.transport.abort()

    def _end(self) -> None:
        """Make the application see that the client is gone, so that it sends nothing more."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
