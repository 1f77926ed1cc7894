"""Makes the lines of ``hashscan status`` about the receivers of notifications."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from hashscan.text import counted, human_age, rfc3339

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hashscan.notify.receiver_state import ReceiverState


def receiver_lines(receivers: Sequence[ReceiverState], most: int, *, alive: bool) -> list[str]:
    """Return a line for each of the first receivers, faulty ones first, and count the others."""
    ordered = sorted(receivers, key=lambda one: not (one.trouble or one.refused or one.given_up))
    lines = [f"  notify      {receiver_line(one, alive=alive)}" for one in ordered[:most]]
    if len(ordered) > most:
        lines.append(f"  notify      and {len(ordered) - most:,} more: 'hashscan status --json'")
    return lines


def receiver_line(one: ReceiverState, *, alive: bool) -> str:
    """Return one line about a receiver; ``alive``: a running daemon sends messages again."""
    now = time.time()
    said = f"{one.name}: {counted(one.sent, 'message')} sent"
    if one.last_sent is not None:
        said += f", the last {human_age(now - one.last_sent)} ago"
    if one.events:
        said += f"; {counted(one.events, 'event')} waiting"
    if one.trouble:
        said += f"; {one.trouble}"
        if not alive:
            said += "; the daemon, or the next scan, sends them again"
        elif one.next_try is not None:
            said += f"; sent again in {human_age(max(0.0, one.next_try - now))}"
    if one.refused:
        said += f"; {counted(one.refused, 'message')} refused and kept: {one.refused_why}"
    if one.given_up:
        why = "" if one.refused else f": {one.refused_why}"
        said += f"; {counted(one.given_up, 'message')} given up{why}"
    if one.dropped:
        said += f"; {counted(one.dropped, 'event')} dropped, 'hashscan history' has them"
    return said


def receiver_json(one: ReceiverState) -> dict[str, object]:
    """Return a receiver's facts for JSON."""
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
        "refused_messages": one.refused,
        "given_up_messages": one.given_up,
        "refused_why": one.refused_why or None if one.refused or one.given_up else None,
        "dropped_events": one.dropped,
    }


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else rfc3339(seconds)
