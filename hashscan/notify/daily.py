"""Writes the summary of each day to the audit log; receivers get the summary from the log."""

from __future__ import annotations

import time
from collections import Counter
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from hashscan.audit import events
from hashscan.audit.reader import read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hashscan.audit.recorder import Recorder

_DAY = 86400.0
#: Seconds between two checks whether a daily summary is due.
_EVERY = 30.0
#: Words for the events that a daily summary counts; the summary counts matches by their actions.
_COUNTED = {
    events.SCAN_ENDED: "scans",
    events.MOVED: "files moved",
    events.RESTORED: "files restored",
    events.HELD: "holds",
    events.WITHDRAWN: "digests withdrawn",
    events.NOTICE_RECEIVED: "notices received",
    events.NOTICE_CLOSED: "notices closed",
    events.PROBLEM: "problems",
    events.VOLUME_LOST: "volumes lost",
}


class Daily:
    """Writes the summary of the last 24 hours at each configured time of the day."""

    def __init__(
        self,
        directory: str,
        times: Iterable[str],
        recorder: Recorder,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Write summaries at the local ``times``, e.g. ``08:00``.

        ``clock`` returns seconds since 1970.
        """
        self._recorder = recorder
        self._directory = directory
        self._clock = clock
        self._done = dict.fromkeys(times, 0.0)
        self._next = 0.0

    def step(self) -> None:
        """Write the summaries that are due, including a summary that was due while no daemon ran.

        Raises:
            StateError: the audit log cannot be used.
        """
        now = self._clock()
        if 0 <= self._next - now < _EVERY:
            return
        self._next = now + _EVERY
        for at, done in self._done.items():
            due = last_time(at, now)
            if due != done:
                self._write(at, due)
                self._done[at] = due

    def _write(self, at: str, due: float) -> None:
        """Write the summary of the 24 hours before ``due``, unless the log has this summary."""
        counts: Counter[str] = Counter()
        was_there = False
        for event in read(self._directory, since=due - _DAY):
            when = datetime.fromisoformat(event.time).timestamp()
            if when >= due:
                if event.event == events.DAILY_DIGEST and event.facts.get("at") == at:
                    return
                continue
            was_there = True
            if event.event == events.MATCH:
                counts[f"matches {event.facts.get('action')}"] += 1
            elif event.event in _COUNTED:
                counts[_COUNTED[event.event]] += 1
        if was_there:  # an audit log without events: hashscan did not run
            self._recorder.write(events.DAILY_DIGEST, at=at, counts=dict(counts))


def last_time(at: str, now: float) -> float:
    """Return the last moment up to ``now`` at which the local time was ``at``."""
    hour, minute = map(int, at.split(":"))
    today = datetime.fromtimestamp(now).replace(  # noqa: DTZ006 - local time
        hour=hour, minute=minute, second=0, microsecond=0
    )
    if today.timestamp() > now:
        today -= timedelta(days=1)
    return today.timestamp()
