"""Selects the audit log's events for a receiver, and removes facts that the receiver may not get.

A receiver never gets a fact that is not listed in this module. So a new fact of the audit log must
be added to this module on purpose.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from hashscan.audit import events as audit
from hashscan.notify.message import Event

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hashscan.audit.line import AuditEvent
    from hashscan.config.notify import ReceiverSettings

#: The kind of each event of the audit log; a receiver's setting ``events`` names kinds.
KINDS: Final = {
    audit.MATCH: "match",
    audit.MATCHES_LEFT_OUT: "match",
    audit.HELD: "hold",
    audit.WITHDRAWN: "withdrawn",
    audit.WITHDRAWAL_HELD: "withdrawn",
    audit.NOTICE_RECEIVED: "notice",
    audit.NOTICE_DUE: "notice-due",
    audit.NOTICE_OVERDUE: "notice-overdue",
    audit.PROBLEM: "problem",
    audit.PROBLEM_ENDED: "problem",
    audit.VOLUME_LOST: "volume-lost",
    audit.VOLUME_BACK: "volume-lost",
    audit.DAEMON_STOPPED: "daemon-stopped",
    audit.DAILY_DIGEST: "daily",
}
#: Facts that every receiver gets if the value of the fact is plain (``_plain``).
_PLAIN = frozenset(
    {"action", "at", "category", "clean", "counts", "deadline", "files", "hold", "items", "notice"}
    | {"owners", "quarantine_id", "reason", "size", "what", "number", "seen"}
)
#: Facts that a receiver gets only if its setting ``include`` names them.
_INCLUDED = {
    "paths": frozenset({"path", "volume", "message"}),
    "digests": frozenset({"digest", "digests", "algorithm"}),
    "owners": frozenset({"uid", "owner"}),
}
#: The form of a plain value: a word, a number, an id or a time, but no path, no digest and no text
#: that a customer can choose.
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.:+-]{0,79}")
#: Pattern for the name of a setting at the end of the reason of a hold.
_BRAKE = re.compile(r"\((brakes\.[a-z_]{1,40})\)$")
_DIGEST = re.compile(r"[0-9A-Fa-f]{32,}")
#: Largest number of characters of a text that ``include`` permits.
_LONGEST = 1000
_MOST_KEYS = 40
#: Actions of matches without a message: an administrator has decided about the match, or a hold has
#: stopped the match.
_SETTLED = frozenset({"held", "allowed"})


def for_receiver(event: AuditEvent, receiver: ReceiverSettings) -> Event | None:
    """Return the event with the facts for the receiver; ``None``: the receiver gets no event."""
    kind = KINDS.get(event.event)
    facts = event.facts
    if kind is None or (kind == "match" and facts.get("action") in _SETTLED):
        return None
    if receiver.for_owners:
        if kind != "match" or facts.get("action") != "quarantined" or _uid(facts) is None:
            return None
        return Event(kind, event.event, event.time, {})
    if kind not in receiver.events or (kind == "daily" and facts.get("at") != receiver.daily):
        return None
    return Event(kind, event.event, event.time, _permitted(facts, receiver.include))


def owner_of(event: AuditEvent) -> int:
    """Return the owner of a match's file, for a receiver that mails the files' owners."""
    found = _uid(event.facts)
    assert found is not None
    return found


def _uid(facts: Mapping[str, Any]) -> int | None:
    found = facts.get("uid")
    return found if isinstance(found, int) and not isinstance(found, bool) else None


def _permitted(facts: Mapping[str, Any], include: tuple[str, ...]) -> dict[str, Any]:
    extra = {name for part in include for name in _INCLUDED[part]}
    found: dict[str, Any] = {}
    for name, value in facts.items():
        if name in extra:
            found[name] = _shortened(value)
        elif name in _PLAIN and (plain := _plain(value)) is not None:
            found[name] = plain
        elif name == "reason" and isinstance(value, str) and (brake := _BRAKE.search(value)):
            # A hold's reason may name an owner or a volume. The receiver gets only the setting's
            # name at the end of the reason.
            found[name] = brake[1]
    return found


def _plain(value: Any) -> Any:
    """Return a value if the value certainly names no file and no digest; otherwise ``None``."""
    if isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return value if _WORD.fullmatch(value) and not _DIGEST.search(value) else None
    if isinstance(value, dict):
        plain = {
            name: one
            for name, one in list(value.items())[:_MOST_KEYS]
            if _plain(name) is not None and isinstance(one, bool | int | float)
        }
        return plain or None
    return None


def _shortened(value: Any) -> Any:
    if isinstance(value, str):
        return value if len(value) <= _LONGEST else f"{value[:_LONGEST]}…"
    if isinstance(value, dict):
        return {name: str(one)[:_LONGEST] for name, one in list(value.items())[:_MOST_KEYS]}
    return value if isinstance(value, bool | int | float) else None
