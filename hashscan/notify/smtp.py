"""Adds bounds to smtplib: a deadline for a whole mail, and a largest size of the answers.

The time-out of smtplib begins again with every answer, and an answer may have any number of lines.
"""

from __future__ import annotations

import contextlib
import io
import smtplib
import socket
import time
from typing import TYPE_CHECKING, Any

from hashscan.config.values import is_host_name
from hashscan.net.connect import Deadline, connect

if TYPE_CHECKING:
    import ssl

    from _typeshed import WriteableBuffer

#: Largest number of bytes of all answers of a mail server in one SMTP session.
_ANSWERS = 64 * 1024


class TooMuchError(smtplib.SMTPException):
    """The mail server's answers are longer than permitted."""


class _Tap(io.RawIOBase):
    """Reads a mail server's answers from a socket until the deadline, and counts their bytes."""

    def __init__(self, sock: socket.socket, session: BoundedSMTP) -> None:
        self._sock = sock
        self._session = session

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        self._sock.settimeout(self._session.deadline.left())
        count = self._sock.recv_into(buffer)
        self._session.left -= count
        if self._session.left < 0:
            raise TooMuchError("the answers are too long")
        return count


class BoundedSMTP(smtplib.SMTP):
    """An SMTP session that ends within ``seconds``.

    Attributes:
        deadline: deadline of the whole session, in monotonic seconds.
        left: number of bytes that further answers of the server may have.
        payload_sent: the client sent the whole mail, but the server has perhaps not answered yet.
    """

    def __init__(self, seconds: float, context: ssl.SSLContext, *, implicit: bool) -> None:
        """Keep the deadline; connect to no server; ``implicit``: begin TLS with the connection."""
        self.deadline = Deadline()
        self.deadline.begin(seconds)
        self.left = _ANSWERS
        self.payload_sent = False
        self._stopped = False
        self._made: socket.socket | None = None
        self._context = context
        self._implicit = implicit
        # By default, smtplib asks the DNS for this machine's name, and waits for the DNS's answer.
        name = socket.gethostname()
        super().__init__(
            timeout=seconds, local_hostname=name if is_host_name(name) else "[127.0.0.1]"
        )

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        del timeout
        sock = self._made = connect(host, port, self.deadline)
        if self._stopped:
            sock.close()
            raise ConnectionAbortedError("the mail is not sent, because hashscan ends")
        self._host = host  # smtplib itself sets ``_host`` only if __init__ gets a host.
        if self._implicit:
            sock = self._context.wrap_socket(sock, server_hostname=host)
        return sock

    def stop(self) -> None:
        """End the SMTP session soon, also if another thread uses the session."""
        self._stopped = True
        # With TLS, ``self.sock`` has the descriptor, and ``self._made`` has none any more.
        for sock in (self._made, self.sock):
            if sock is not None:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)

    @property
    def is_late(self) -> bool:
        """Return True if the deadline of the SMTP session has passed."""
        return time.monotonic() >= self.deadline.at

    def begin_tls(self) -> None:
        """Begin TLS with STARTTLS, and verify the certificate.

        Raises:
            smtplib.SMTPException: the server does not offer STARTTLS.
            OSError: the TLS handshake with the mail server failed.
        """
        assert self.sock is not None
        self.sock.settimeout(self.deadline.left())
        self.starttls(context=self._context)

    def getreply(self) -> tuple[int, bytes]:
        """Read an answer of the mail server, within the bounds of time and size."""
        if self.file is None:
            assert self.sock is not None
            self.file = io.BufferedReader(_Tap(self.sock, self))
        return super().getreply()

    def send(self, s: Any) -> None:
        """Send bytes to the mail server, at the latest at the deadline."""
        if self.sock is not None:
            self.sock.settimeout(self.deadline.left())
        super().send(s)

    def data(self, msg: Any) -> tuple[int, bytes]:
        """Send the mail itself as smtplib does, and note the moment at which the sending begins.

        Raises:
            smtplib.SMTPDataError: the mail server refuses the mail.
        """
        self.putcmd("data")
        code, said = self.getreply()
        if code != 354:
            raise smtplib.SMTPDataError(code, said)
        assert isinstance(msg, bytes)
        lines = msg if msg.endswith(b"\r\n") else msg + b"\r\n"
        quoted = lines.replace(b"\r\n.", b"\r\n..")
        quoted = b"." + quoted if quoted.startswith(b".") else quoted
        self.payload_sent = True  # If the connection breaks from now on, the mail may have arrived.
        self.send(quoted + b".\r\n")
        return self.getreply()
