"""The service manager is told how the daemon is: sd_notify(3), without a library.

Each message is one datagram of ``NAME=value`` lines to the socket that NOTIFY_SOCKET names. Without
one, nothing is told. A socket that is gone, or full, is no reason to end.
"""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress

_LONGEST_STATUS = 400


class ServiceManager:
    """Tells the service manager, if there is one.

    Attributes:
        watchdog_interval: seconds between two pings that it wants; ``None``: it wants none.
    """

    def __init__(self) -> None:
        """Take what the environment says; processes that are started later do not inherit it."""
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
            # Half of the time, as sd_watchdog_enabled(3) advises.
            self.watchdog_interval = int(microseconds) / 2e6

    def _send(self, *lines: str) -> None:
        if self._socket is not None:
            with suppress(OSError):
                self._socket.sendto("\n".join(lines).encode("utf-8", "replace"), self._address)

    def close(self) -> None:
        """Say nothing more."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def ready(self, status: str) -> None:
        """It works; also after a reload."""
        self._send("READY=1", _status(status))

    def status(self, text: str) -> None:
        """What it does, for ``systemctl status``."""
        self._send(_status(text))

    def reloading(self) -> None:
        """The configuration is read anew; ``ready`` ends it."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """It ends."""
        self._send("STOPPING=1")

    def watchdog(self) -> None:
        """Work goes on."""
        self._send("WATCHDOG=1")


def _status(text: str) -> str:
    # A line of its own would be a message of its own.
    return "STATUS=" + " ".join(text.split())[:_LONGEST_STATUS]
