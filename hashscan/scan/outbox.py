"""What a worker process sends to the engine: findings, a few together, and signs of life."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from hashscan.scan.messages import PART_FILES, Alive, At

if TYPE_CHECKING:
    import mmap
    from collections.abc import Callable

    from hashscan.scan.messages import Findings, Message

#: Seconds after which findings are sent although there are few.
_SEND_AFTER = 0.2
_ALIVE_AFTER = 1.0


class FindingsOutbox:
    """Collects findings and sends them.

    Attributes:
        gather: has the task under way put in what it found so far.
    """

    def __init__(self, send: Callable[[Message], None], idle: mmap.mmap) -> None:
        """``send`` to the engine; ``idle``: a shared byte, how many processes have no task."""
        self._send = send
        self._idle = idle
        self._unsent: list[Findings] = []
        self._count = 0
        self._last_sent = self._last_alive = time.monotonic()
        self._bytes_since = 0
        self.gather: Callable[[], None] = nothing

    def put(self, findings: Findings) -> None:
        """Send findings, now or soon."""
        self._unsent.append(findings)
        self._count += 1 + len(findings.rows) + len(findings.problems) + len(findings.gone)
        if self._count >= PART_FILES or time.monotonic() - self._last_sent >= _SEND_AFTER:
            self.flush()

    def flush(self) -> None:
        """Send what was put in and not yet sent."""
        if self._unsent:
            self._send(self._unsent)
            self._unsent = []
            self._count = 0
            self._bytes_since = 0
            self._last_sent = self._last_alive = time.monotonic()

    def show_life(self, count: int = 0) -> None:
        """Note ``count`` bytes read; send a sign of life if none was sent for a second."""
        self._bytes_since += count
        now = time.monotonic()
        if now - self._last_alive >= _ALIVE_AFTER:
            self._send(Alive(self._bytes_since))
            self._bytes_since = 0
            self._last_alive = now
            # What was found before a long read must not wait for its end.
            self.gather()
            self.flush()

    def announce(self, group: int, name: bytes) -> None:
        """Say which name comes next, in a task over which a process died."""
        self._send(At(group, name))

    def may_hand_over(self) -> bool:
        """Whether a process has nothing to do; it is then taken for busy."""
        if self._idle[0]:
            self._idle[0] = 0
            return True
        return False


def nothing() -> None:
    """No task is under way."""
