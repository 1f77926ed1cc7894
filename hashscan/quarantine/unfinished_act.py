"""The move, restore or purge whose result is not in the audit log yet.

Every act holds the store's lock, so at most one act is unfinished. ``STORE/act.json`` names that
act; without an unfinished act the file does not exist. After a kill, the next start reads the lines
of the log that are newer than the act's begin, and writes a line ``recovered`` if the result is
missing. If the log could not be written when the act ended, the next act writes the missing line.
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
#: Maximum number of bytes of ``act.json``; a longer file is damaged. An escaped path can have 1
#: MiB.
MOST: Final = 8 << 20
#: Events that say that an act begins.
_ACTS = frozenset({events.MOVING, events.RESTORING, events.PURGING})
#: Events that report the result of an act.
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
    """A move, restore or purge that has begun.

    Attributes:
        state: the state directory of the audit log.
        after: number of the log's newest line before the act began.
        has_line: false: the log has no line about the begin of the act, only about its result.
    """

    event: str
    record_id: str
    path: bytes
    state: str
    after: int
    has_line: bool = True

    @classmethod
    def of(cls, event: str, facts: Mapping[str, Any], recorder: Recorder) -> Self | None:
        """The act that begins with the given event; ``None``: the event does not begin an act.

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
        """The act from the JSON that ``to_json`` returned; ``None``: the JSON is damaged."""
        with suppress(ValueError, TypeError, KeyError):
            event, record_id, path, state, after, has_line = json.loads(raw)
            return cls(event, record_id, os.fsencode(path), state, int(after), bool(has_line))
        return None

    def to_json(self) -> bytes:
        """The act as bytes of JSON, which ``parse`` reads."""
        return json.dumps([*self[:2], os.fsdecode(self.path), *self[3:]]).encode("ascii")

    def lacks_its_result(self) -> bool:
        """Whether the act has begun but the audit log has no line about its result.

        Raises:
            StateError: the audit log cannot be read.
        """
        announced = not self.has_line
        for line in read(self.state, self.after):
            if line.facts.get("quarantine_id") == self.record_id:
                if line.event in _RESULTS:
                    return False
                announced = announced or line.event == self.event
        return announced


def conclude_earlier(act: Begun | None, load: Callable[[str], Record], recorder: Recorder) -> None:
    """Write the result of an act to the log, if the log could not be written when the act ended.

    Raises:
        StateError: the audit log cannot be read or written.
    """
    if act is None or not act.lacks_its_result():
        return
    state = None
    with suppress(QuarantineError):
        state = load(act.record_id).state
    if state not in UNFINISHED:  # for an unfinished record, ``recover`` writes the line
        now = f"now it is {state}" if state else "it was not moved"
        message = f"{shown(act.path)}: its result was missing in the audit log ({act.event}); {now}"
        recorder.write(events.RECOVERED, quarantine_id=act.record_id, message=message)
