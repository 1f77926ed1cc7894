"""Changes the file of notices in transactions, and writes the history and the audit log."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

from hashscan.audit import events
from hashscan.audit.log import EventEntry
from hashscan.notices.notice import EventKind
from hashscan.notices.reader import NoticeReader
from hashscan.notices.schema import FORMAT
from hashscan.text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hashscan.audit.recorder import Recorder
    from hashscan.notices.notice import Channel

#: Steps of a notice's history that hashscan also writes to the audit log, and the names of their
#: lines there. The audit log has no line for a note on why an item waits, because each round may
#: change the note.
_LINES = {
    EventKind.REPEATED: events.NOTICE_ACTION,
    EventKind.STATE: events.NOTICE_ACTION,
    EventKind.FILE: events.NOTICE_ACTION,
    EventKind.APPROVED: events.NOTICE_ACTION,
    EventKind.ANSWERED: events.NOTICE_ACTION,
    EventKind.CLOSED: events.NOTICE_CLOSED,
    EventKind.REOPENED: events.NOTICE_REOPENED,
}
#: Steps of a notice's history whose lines in the audit log must survive a power cut. A notice has
#: few of these steps.
_SYNCED = frozenset({EventKind.APPROVED, EventKind.CLOSED, EventKind.REOPENED})
#: The most characters, in the audit log, of the reason why a mail or file is no notice.
_LONGEST_REASON = 1000


class NoticeWriter(NoticeReader):
    """A connection that changes the file of notices."""

    def __init__(self, path: str, recorder: Recorder | None = None) -> None:
        """Open the file of notices; create it if it is missing.

        ``recorder``: writes the audit log; ``None``: no audit log is written, only in tests.

        Raises:
            StateError: the file of notices cannot be opened or used.
        """
        super().__init__(path)
        self._recorder = recorder
        self._lines: list[EventEntry] = []
        self._is_urgent = False

    @contextlib.contextmanager
    def _change(self) -> Iterator[None]:
        """Run the block in one transaction, and undo the transaction if the block raises.

        The lines of the audit log are written before the transaction is committed.
        """
        try:
            with FORMAT.change(self._connection, self.path):
                yield
                if self._recorder is not None and self._lines:
                    self._recorder.log.append_all(self._lines, sync=self._is_urgent)
        finally:
            self._lines, self._is_urgent = [], False

    def note_refused(self, channel: Channel, why: str, **facts: Any) -> None:
        """Write to the audit log that a mail or file is no notice; ``facts``: e.g. the file's path.

        Raises:
            StateError: the line cannot be written to the audit log.
        """
        if self._recorder is not None:
            message = one_line(why)[:_LONGEST_REASON]
            self._recorder.write(
                events.NOTICE_REFUSED, sync=False, channel=channel.value, message=message, **facts
            )

    def announce_answer(self, notice: str, **facts: Any) -> None:
        """Write to the audit log, on the disk, that an answer to a notice is about to be sent.

        Raises:
            StateError: the line cannot be written to the audit log, so the answer must not be sent.
        """
        if self._recorder is not None:
            self._recorder.write(events.NOTICE_ANSWERING, notice=notice, **facts)

    def _event(
        self,
        notice: str,
        item: int | None,
        now: float,
        kind: EventKind,
        detail: Mapping[str, object],
    ) -> None:
        """Add a step to the history of a notice, and a line about the step to the audit log."""
        self._connection.execute(
            "INSERT INTO event (notice, item, time, kind, detail) VALUES (?, ?, ?, ?, ?)",
            (notice, item, now, kind.value, json.dumps(detail)),
        )
        if kind in _LINES:
            facts = {**detail, "notice": notice}
            if item is not None:
                facts["item"] = item
            if _LINES[kind] == events.NOTICE_ACTION:
                # In the audit log's line, ``action`` names the step of the notice's history. So
                # ``done`` has what happened to the file: reported, held or quarantined.
                facts["done"], facts["action"] = detail.get("action", ""), kind.value
            self._line(_LINES[kind], urgent=kind in _SYNCED, **facts)

    def _line(self, event: str, *, urgent: bool, **facts: Any) -> None:
        if self._recorder is not None:
            self._lines.append(EventEntry(event, self._recorder.who, facts))
            self._is_urgent = self._is_urgent or urgent
