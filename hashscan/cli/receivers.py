"""The receivers of notifications in ``hashscan status``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from hashscan.text import counted, human_age, rfc3339

if TYPE_CHECKING:
    from hashscan.notify.outbox import ReceiverState


def receiver_line(one: ReceiverState) -> str:
    """A receiver in one line."""
    now = time.time()
    said = f"{one.name}: {counted(one.sent, 'message')} sent"
    if one.last_sent is not None:
        said += f", the last {human_age(now - one.last_sent)} ago"
    if one.events:
        said += f"; {counted(one.events, 'event')} waiting"
    if one.trouble:
        said += f"; {one.trouble}"
        if one.next_try is not None:
            said += f"; sent again in {human_age(max(0.0, one.next_try - now))}"
    if one.given_up:
        said += f"; {counted(one.given_up, 'message')} refused: {one.given_up_why}"
    if one.dropped:
        said += f"; {counted(one.dropped, 'event')} dropped, 'hashscan history' has them"
    return said


def receiver_json(one: ReceiverState) -> dict[str, object]:
    """A receiver for JSON."""
    return {
        "receiver": one.name,
        "sent": one.sent,
        "last_sent": _time(one.last_sent),
        "waiting_messages": one.messages,
        "waiting_events": one.events,
        "oldest": _time(one.oldest),
        "next_try": _time(one.next_try),
        "trouble": one.trouble or None,
        "trouble_since": _time(one.trouble_since),
        "refused_messages": one.given_up,
        "refused_why": one.given_up_why or None if one.given_up else None,
        "dropped_events": one.dropped,
    }


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else rfc3339(seconds)
