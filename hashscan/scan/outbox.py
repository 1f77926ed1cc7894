"""Sends a worker process's findings, in batches, and its signs of life to the engine."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from hashscan.scan.messages import PART_FILES, Alive, At

if TYPE_CHECKING:
    import mmap
    from collections.abc import Callable

    from hashscan.scan.messages import Findings, Message

#: Seconds after which a process sends its findings even if there are few.
_SEND_AFTER = 0.2
_ALIVE_AFTER = 1.0


class FindingsOutbox:
    """Collects a worker process's findings and sends them to the engine.

    Attributes:
        gather: function that makes the running task add its findings so far.
    """

    def __init__(self, send: Callable[[Message], None], idle: mmap.mmap) -> None:
        """Prepare to send messages to the engine through ``send``.

        ``idle`` is a byte in shared memory: the number of idle worker processes.
        """
        self._send = send
        self._idle = idle
        self._unsent: list[Findings] = []
        self._count = 0
        self._last_sent = self._last_alive = time.monotonic()
        self._bytes_since = 0
        self.gather: Callable[[], None] = nothing

    def put(self, findings: Findings) -> None:
        """Send findings to the engine, immediately or with the next batch."""
        self._unsent.append(findings)
        self._count += 1 + len(findings.rows) + len(findings.problems) + len(findings.gone)
        if self._count >= PART_FILES or time.monotonic() - self._last_sent >= _SEND_AFTER:
            self.flush()

    def flush(self) -> None:
        """Send the collected findings that are not sent yet."""
        if self._unsent:
            self._send(self._unsent)
            self._unsent = []
            self._count = 0
            self._bytes_since = 0
            self._last_sent = self._last_alive = time.monotonic()

    def show_life(self, count: int = 0) -> None:
        """Note ``count`` bytes read; report once a second that this process is alive."""
        self._bytes_since += count
        now = time.monotonic()
        if now - self._last_alive >= _ALIVE_AFTER:
            self._send(Alive(self._bytes_since))
            self._bytes_since = 0
            self._last_alive = now
            # Findings from before a long read must not wait for its end.
            self.gather()
            self.flush()

    def announce(self, group: int, name: bytes) -> None:
        """Report the next name that the process opens, in a task at which a process died."""
        self._send(At(group, name))

    def may_hand_over(self) -> bool:
        """Return whether a worker process is idle; afterwards all processes count as busy."""
        if self._idle[0]:
            self._idle[0] = 0
            return True
        return False


def nothing() -> None:
    """Add no findings, because no task is under way."""
