"""An audit log together with the person or process that writes to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from hashscan.audit.actor import Who
from hashscan.audit.log import AuditLog, EventEntry
from hashscan.state import State

if TYPE_CHECKING:
    from hashscan.audit.actor import By
    from hashscan.config.settings import Settings


class Recorder:
    """Writes lines for one person or process."""

    def __init__(self, log: AuditLog, who: Who) -> None:
        """Nothing is opened or made before the first line."""
        self.log = log
        self.who = who

    @classmethod
    def of(cls, settings: Settings, by: By, state: State | None = None) -> Self:
        """Of this process's user, for the state of ``settings``, or for ``state``.

        Raises:
            UsageError, StateError: the state directory cannot be used.
        """
        state = State(settings.state) if state is None else state
        audit = settings.audit
        log = AuditLog(state.directory, file_size=audit.file_size, files=audit.files)
        return cls(log, Who.current(by))

    def write(self, event: str, *, sync: bool = True, **facts: Any) -> None:
        """Write a line; with ``sync`` it is on disk when this returns.

        Write a line with ``sync`` before the act that it announces. The line about the result
        needs no ``sync``: a kill does not lose it, and the next line with ``sync`` brings it to the
        disk.

        Raises:
            StateError: it cannot be written, so the act must not happen.
        """
        self.log.append_all([EventEntry(event, self.who, facts)], sync=sync)
