"""Reads the state of each receiver from the outbox, for ``status``, ``doctor`` and metrics."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass

from hashscan.files import NOTIFICATIONS
from hashscan.notify.schema import FORMAT

#: Seconds for which ``status`` shows that a message was given up.
_SHOWN = 7 * 86400.0


@dataclass(frozen=True, slots=True)
class ReceiverState:
    """The state of a receiver, for ``status``.

    Attributes:
        name: the receiver's name.
        messages: number of messages that were not accepted yet.
        events: number of events in messages that were not accepted yet, or without a message yet.
        oldest: time of the oldest message that was not accepted yet; ``None``: the receiver has no
            such message.
        next_try: time of the next attempt to send a message again.
        trouble: why the last attempt to send a message failed; empty: the last attempt succeeded.
        trouble_since: time of the first of the failed attempts in a row.
        last_sent: time at which the receiver last accepted a message; ``None``: it never accepted a
            message.
        sent: number of messages that the receiver accepted.
        refused: number of messages that the receiver refused, and that the outbox keeps.
        given_up: number of messages that were dropped within the last days, because no recipient
            can get them, or because the outbox had too many refused messages.
        refused_why: why the receiver's last refused, or given up, message was refused or given up.
        dropped: number of all events for the receiver that were ever dropped.
    """

    name: str
    messages: int = 0
    events: int = 0
    oldest: float | None = None
    next_try: float | None = None
    trouble: str = ""
    trouble_since: float | None = None
    last_sent: float | None = None
    sent: int = 0
    refused: int = 0
    given_up: int = 0
    refused_why: str = ""
    dropped: int = 0


def receiver_states(directory: str, now: float) -> list[ReceiverState]:
    """Return the state of each receiver, from a state directory's outbox, without a change to it.

    Raises:
        StateError: the outbox cannot be read.
    """
    path = os.path.join(directory, NOTIFICATIONS)
    connection = FORMAT.connect_to_read(path)
    if connection is None:
        return []
    with contextlib.closing(connection), FORMAT.translated(path):
        found = {
            row[0]: row
            for row in connection.execute(
                "SELECT name, trouble, trouble_since, last_sent, sent,"
                " iif(given_up_at > ?1, given_up, 0), refused_why, dropped_total FROM receiver",
                (now - _SHOWN,),
            )
        }
        messages = {
            row[0]: row[1:]
            for row in connection.execute(
                "SELECT receiver, count(*), sum(events), min(made), min(next), total(refused > 0)"
                " FROM message GROUP BY receiver"
            )
        }
        waiting = dict(
            connection.execute("SELECT receiver, sum(number) FROM waiting GROUP BY receiver")
        )
    states = []
    for name in sorted({*found, *messages, *waiting}):
        number, events, oldest, following, refused = messages.get(name, (0, 0, None, None, 0))
        row = found.get(name, (name, "", None, None, 0, 0, "", 0))
        states.append(
            ReceiverState(
                name=name,
                messages=number,
                events=events + waiting.get(name, 0),
                oldest=oldest,
                next_try=following,
                trouble=row[1],
                trouble_since=row[2],
                last_sent=row[3],
                sent=row[4],
                refused=int(refused),
                given_up=row[5],
                refused_why=row[6],
                dropped=row[7],
            )
        )
    return states
