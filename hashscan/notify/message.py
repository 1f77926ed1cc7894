"""A message, and the events that it reports."""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from hashscan.text import rfc3339

#: Most events that a message describes in detail; of all other events, a message has the number.
MOST_EVENTS = 50


@dataclass(frozen=True, slots=True)
class Event:
    """An event of a message, without facts that the receiver may not get.

    Attributes:
        kind: kind of the event, from ``hashscan.config.notify.EVENTS``.
        event: name of the event in the audit log.
        time: time of the event, RFC 3339 in UTC.
        facts: the event's facts in the audit log that the receiver may get.
    """

    kind: str
    event: str
    time: str
    facts: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Message:
    """A message to one receiver.

    Attributes:
        id: the message's id, by which a receiver recognises a message that is sent again.
        host: the name of the machine that the events are of.
        made: time at which the message was made, in seconds since the epoch.
        counts: number of the message's events by kind, the most urgent kind first.
        events: the first of the message's events, in detail.
        recipient: the address of a mail, or the owner (a user id) for a receiver that mails the
            files' owners.
        dropped: a sentence about the events that were dropped before this message; empty: no event
            was dropped.
        may_repeat: an earlier attempt may have sent the message already.
        is_test: the message is the test of ``hashscan notify test``.
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
        """Return the message as text for the outbox."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str, *, may_repeat: bool) -> Self:
        """Return the message from the text of ``to_json``."""
        found = json.loads(text)
        events = tuple(Event(**one) for one in found.pop("events"))
        return replace(cls(**found, events=events), may_repeat=may_repeat)

    def as_dict(self) -> dict[str, Any]:
        """Return the message as a JSON object for webhooks and commands."""
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
    """Return the id of a new message: 24 hexadecimal digits."""
    return secrets.token_hex(12)


def for_test(host: str, recipient: str = "") -> Message:
    """Return the message of ``hashscan notify test``."""
    return Message(new_id(), host, time.time(), {}, recipient=recipient, is_test=True)
