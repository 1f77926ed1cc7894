"""Writes the audit log's lines about the begin and the end of scans."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from hashscan.audit import events
from hashscan.errors import StateError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hashscan.audit.recorder import Recorder
    from hashscan.model import Summary

#: Maximum number of volumes that a line about a scan names.
_NAMED = 100


class ScanLines:
    """Writes the audit log's lines about one scan."""

    def __init__(
        self, recorder: Recorder, volumes: Iterable[bytes], *, kind: str, action: str
    ) -> None:
        """Write the line that a scan begins.

        Args:
            recorder: writes the audit log.
            volumes: roots of the scanned volumes.
            kind: ``command``, or the daemon's reason for the scan.
            action: action on the scan's matches: ``report`` or ``quarantine``.

        Raises:
            StateError: the line cannot be written.
        """
        self._recorder = recorder
        named = [os.fsdecode(root) for root in volumes]
        self._facts: dict[str, Any] = {"volumes": named[:_NAMED], "kind": kind}
        if len(named) > _NAMED:
            self._facts["more_volumes"] = len(named) - _NAMED
        recorder.write(events.SCAN_STARTED, **self._facts, action=action, pid=os.getpid())

    def ended(self, summary: Summary) -> None:
        """Write the line that the scan has ended.

        Raises:
            StateError: the line cannot be written.
        """
        counts = {**asdict(summary), "files": summary.files}
        counts["seconds"] = round(summary.seconds, 3)
        self._recorder.write(events.SCAN_ENDED, **self._facts, **counts)

    def failed(self, error: BaseException) -> None:
        """Write the line that the scan ended with an error, if the log can be written."""
        why = str(error) or type(error).__name__
        with suppress(StateError):
            self._recorder.write(events.SCAN_ENDED, **self._facts, interrupted=True, error=why)
