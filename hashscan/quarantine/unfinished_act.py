"""The act that the audit log announces, and whose result it does not have yet.

All acts hold the store's lock, so there is at most one. ``STORE/act.json`` names it, and is missing
otherwise. The next start after a kill, or the next act if the log could not be written, reads the
log after the line that was the newest before the act, and writes a line ``recovered`` if the result
is missing.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from hashscan.audit import events
from hashscan.audit.reader import newest, read
from hashscan.errors import QuarantineError
from hashscan.quarantine.records import UNFINISHED
from hashscan.text import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from hashscan.audit.recorder import Recorder
    from hashscan.quarantine.records import Record

FILE: Final = b"act.json"
#: Bytes of the file; a longer one is damaged. A path beyond PATH_MAX may have 1 MiB, escaped.
MOST: Final = 8 << 20
#: Events that announce an act with a result.
_ACTS = frozenset({events.MOVING, events.RESTORING, events.PURGING})
#: Events that report the result of such an act.
_RESULTS = frozenset(
    {
        events.MOVED,
        events.NOT_MOVED,
        events.RESTORED,
        events.NOT_RESTORED,
        events.PURGED,
        events.NOT_PURGED,
        events.RECOVERED,
    }
)


class Begun(NamedTuple):
    """An act that was announced.

    Attributes:
        state: the state directory whose audit log has the line.
        after: number of the newest line before that line.
        has_line: false: the log has no line about the act, only one about its result.
    """

    event: str
    record_id: str
    path: bytes
    state: str
    after: int
    has_line: bool = True

    @classmethod
    def of(cls, event: str, facts: Mapping[str, Any], recorder: Recorder) -> Self | None:
        """The act that a line is about to announce; ``None``: the event is no act with a result.

        Raises:
            StateError: the audit log cannot be read.
        """
        if event not in _ACTS:
            return None
        state = recorder.log.state
        path = os.fsencode(facts["path"])
        return cls(event, facts["quarantine_id"], path, state, newest(state))

    @classmethod
    def parse(cls, raw: bytes) -> Self | None:
        """The act from ``to_json``; ``None``: there is no act, or a kill cut the file short."""
        with suppress(ValueError, TypeError, KeyError):
            event, record_id, path, state, after, has_line = json.loads(raw)
            return cls(event, record_id, os.fsencode(path), state, int(after), bool(has_line))
        return None

    def to_json(self) -> bytes:
        """The act as JSON, which ``parse`` reads."""
        return json.dumps([*self[:2], os.fsdecode(self.path), *self[3:]]).encode("ascii")

    def lacks_its_result(self) -> bool:
        """Whether the log has the line about the act, if it gets one, but none about its result.

        Raises:
            StateError: the log cannot be read.
        """
        announced = not self.has_line
        for one in read(self.state, self.after):
            if one.facts.get("quarantine_id") == self.record_id:
                if one.event in _RESULTS:
                    return False
                announced = announced or one.event == self.event
        return announced


def conclude_earlier(act: Begun | None, load: Callable[[str], Record], recorder: Recorder) -> None:
    """Write the line about the end of an act, if that was not possible when it ended.

    Raises:
        StateError: the log cannot be read or written.
    """
    if act is None or not act.lacks_its_result():
        return
    state = None
    with suppress(QuarantineError):
        state = load(act.record_id).state
    if state not in UNFINISHED:  # else the recovery will write the line
        now = f"now it is {state}" if state else "it was not moved"
        message = f"{shown(act.path)}: its result had no line ({act.event}); {now}"
        recorder.write(events.RECOVERED, quarantine_id=act.record_id, message=message)
