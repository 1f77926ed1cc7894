"""Reports the daemon's state to the service manager: sd_notify(3), without a library.

Each message is one datagram of ``NAME=value`` lines to the socket that NOTIFY_SOCKET names. Without
the variable NOTIFY_SOCKET, no message is sent. If the socket is gone or full, the daemon continues.
"""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress

_LONGEST_STATUS = 400


class ServiceManager:
    """Sends messages to the service manager, if the daemon runs under one.

    Attributes:
        watchdog_interval: seconds between two pings; ``None``: the service manager wants no pings.
    """

    def __init__(self) -> None:
        """Read the service manager's variables, and remove them: no process inherits them."""
        address = os.environ.pop("NOTIFY_SOCKET", "")
        microseconds = os.environ.pop("WATCHDOG_USEC", "")
        process = os.environ.pop("WATCHDOG_PID", "")
        self._socket: socket.socket | None = None
        self.watchdog_interval: float | None = None
        if not address.startswith(("/", "@")):
            return
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)
        if microseconds.isdecimal() and int(microseconds) and process in {"", str(os.getpid())}:
            # The interval is half of the time, as sd_watchdog_enabled(3) advises.
            self.watchdog_interval = int(microseconds) / 2e6

    def _send(self, *lines: str) -> None:
        if self._socket is not None:
            with suppress(OSError):
                self._socket.sendto("\n".join(lines).encode("utf-8", "replace"), self._address)

    def close(self) -> None:
        """Close the socket to the service manager; no more messages are sent."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def ready(self, status: str) -> None:
        """Report that the daemon works, at the start and after a reload."""
        self._send("READY=1", _status(status))

    def status(self, text: str) -> None:
        """Report the text that ``systemctl status`` shows."""
        self._send(_status(text))

    def reloading(self) -> None:
        """Report that the configuration is being read again.

        A call of ``ready`` reports the end of the reload.
        """
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """Report that the daemon ends."""
        self._send("STOPPING=1")

    def watchdog(self) -> None:
        """Report that the daemon's work makes progress."""
        self._send("WATCHDOG=1")


def _status(text: str) -> str:
    # The lines are joined, because a second line would be another message.
    return "STATUS=" + " ".join(text.split())[:_LONGEST_STATUS]
