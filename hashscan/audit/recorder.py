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
    """Writes lines of the audit log for one person or process."""

    def __init__(self, log: AuditLog, who: Who) -> None:
        """Use an audit log and an actor; the first written line makes the files of the log."""
        self.log = log
        self.who = who

    @classmethod
    def of(cls, settings: Settings, by: By, state: State | None = None) -> Self:
        """A recorder for this process's user and the state directory ``state``, or the configured.

        Raises:
            UsageError, StateError: the state directory cannot be used.
        """
        state = State(settings.state) if state is None else state
        audit = settings.audit
        log = AuditLog(state.directory, file_size=audit.file_size, files=audit.files)
        return cls(log, Who.current(by))

    def write(self, event: str, *, sync: bool = True, **facts: Any) -> None:
        """Write a line to the audit log; with ``sync``, the line is on disk when ``write`` returns.

        A line that announces an act must be written with ``sync``, before the act. The line about
        the result needs no ``sync``: a kill does not lose that line, and the next line with
        ``sync`` brings it to the disk.

        Raises:
            StateError: the line cannot be written, so the act must not happen.
        """
        self.log.append_all([EventEntry(event, self.who, facts)], sync=sync)
