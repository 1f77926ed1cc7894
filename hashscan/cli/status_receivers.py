"""Makes the lines of ``hashscan status`` about the receivers of notifications."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from hashscan.text import counted, human_age, rfc3339

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hashscan.notify.receiver_state import ReceiverState


def receiver_lines(receivers: Sequence[ReceiverState], most: int, *, alive: bool) -> list[str]:
    """Return lines for the first receivers, faulty ones first, and the number of the others."""
    ordered = sorted(receivers, key=lambda one: not (one.trouble or one.refused or one.given_up))
    lines = [f"  notify      {receiver_line(one, alive=alive)}" for one in ordered[:most]]
    if len(ordered) > most:
        lines.append(f"  notify      and {len(ordered) - most:,} more: 'hashscan status --json'")
    return lines


def receiver_line(receiver: ReceiverState, *, alive: bool) -> str:
    """Return one line about a receiver; ``alive``: a running daemon sends messages again."""
    now = time.time()
    text = f"{receiver.name}: {counted(receiver.sent, 'message')} sent"
    if receiver.last_sent is not None:
        text += f", the last {human_age(now - receiver.last_sent)} ago"
    if receiver.events:
        text += f"; {counted(receiver.events, 'event')} waiting"
    if receiver.trouble:
        text += f"; {receiver.trouble}"
        if not alive:
            text += "; the daemon, or the next scan, sends them again"
        elif receiver.next_try is not None:
            text += f"; sent again in {human_age(max(0.0, receiver.next_try - now))}"
    if receiver.refused:
        text += f"; {counted(receiver.refused, 'message')} refused and kept: {receiver.refused_why}"
    if receiver.given_up:
        why = "" if receiver.refused else f": {receiver.refused_why}"
        text += f"; {counted(receiver.given_up, 'message')} given up{why}"
    if receiver.dropped:
        text += f"; {counted(receiver.dropped, 'event')} dropped, 'hashscan history' has them"
    return text


def receiver_json(receiver: ReceiverState) -> dict[str, object]:
    """Return the facts about a receiver as a JSON object."""
    return {
        "receiver": receiver.name,
        "sent": receiver.sent,
        "last_sent": _time(receiver.last_sent),
        "waiting_messages": receiver.messages,
        "waiting_events": receiver.events,
        "oldest": _time(receiver.oldest),
        "next_try": _time(receiver.next_try),
        "trouble": receiver.trouble or None,
        "trouble_since": _time(receiver.trouble_since),
        "refused_messages": receiver.refused,
        "given_up_messages": receiver.given_up,
        "refused_why": receiver.refused_why or None
        if receiver.refused or receiver.given_up
        else None,
        "dropped_events": receiver.dropped,
    }


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else rfc3339(seconds)
