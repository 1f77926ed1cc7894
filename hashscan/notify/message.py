"""A message, and the events that it reports."""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from hashscan.text import rfc3339

#: Events that a message has in detail; of further ones it has the number.
MOST_EVENTS = 50


@dataclass(frozen=True, slots=True)
class Event:
    """An event, without anything that the receiver may not get.

    Attributes:
        kind: one of ``hashscan.config.notify.EVENTS``.
        event: its name in the audit log.
        time: RFC 3339 UTC.
        facts: the facts of the audit log that the receiver may get.
    """

    kind: str
    event: str
    time: str
    facts: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Message:
    """A message to one receiver.

    Attributes:
        id: stays the same if it is sent again; a receiver recognises a repeat by it.
        host: the name of this machine.
        made: time of its making, in seconds since the epoch.
        counts: number of events by kind, the most urgent kind first.
        events: the first of them.
        recipient: of a mail: its address, or the owner (a user id) of a receiver with contacts.
        dropped: a sentence about events that were dropped before; empty: none were.
        may_repeat: it may have been sent before.
        is_test: ``hashscan notify test`` sends it.
    """

    id: str
    host: str
    made: float
    counts: dict[str, int]
    events: tuple[Event, ...] = ()
    recipient: str = ""
    dropped: str = ""
    may_repeat: bool = False
    is_test: bool = False

    def to_json(self) -> str:
        """The text of the outbox's column."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str, *, may_repeat: bool) -> Self:
        """The message that ``to_json`` wrote."""
        found = json.loads(text)
        events = tuple(Event(**one) for one in found.pop("events"))
        return replace(cls(**found, events=events), may_repeat=may_repeat)

    def as_dict(self) -> dict[str, Any]:
        """The JSON object for webhooks and commands."""
        return {
            "id": self.id,
            "may_have_been_sent_before": self.may_repeat,
            "test": self.is_test,
            "host": self.host,
            "time": rfc3339(self.made),
            "counts": self.counts,
            "events": [
                {"kind": one.kind, "event": one.event, "time": one.time, **one.facts}
                for one in self.events
            ],
            "more": max(0, sum(self.counts.values()) - len(self.events)),
            "dropped": self.dropped or None,
        }


def new_id() -> str:
    """The id of a new message: 24 hexadecimal digits."""
    return secrets.token_hex(12)


def for_test(host: str, recipient: str = "") -> Message:
    """The message of ``hashscan notify test``."""
    return Message(new_id(), host, time.time(), {}, recipient=recipient, is_test=True)
