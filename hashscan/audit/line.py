r"""The format of a line of the audit log.

A line is one JSON object in ASCII without spaces, and a line feed. The keys are in alphabetical
order, but ``hash`` is the last key:

    {"event":"moved",…,"prev":"<64 hex>","seq":7,"time":"…Z","who":{…},"hash":"<64 hex>"}

``hash`` is the SHA-256 of all bytes before ``,"hash":``. ``prev`` is the hash of the line before;
it is 64 zeros in the first line. So the hash of a line depends on all earlier lines, and a shell
can check a line without a JSON parser:

    printf %s "${line%,\"hash\":*}" | sha256sum

``seq`` counts from 1 without gaps and gives the order of the lines. ``time`` is RFC 3339 in UTC, by
the wall clock, which can go back. Bytes of a path that are not UTF-8 are escaped lone surrogates
(PEP 383).

hashscan alone defines this format. The chain of hashes is a linked time-stamping log (Haber and
Stornetta, 1991), as in git and in journald's forward secure sealing, but without keys. See
docs/history.md for what the chain proves.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from hashscan.audit.actor import Who

if TYPE_CHECKING:
    from collections.abc import Mapping

Json = None | bool | int | float | str | list[Any] | dict[str, Any]

#: Value of ``prev`` in the audit log's first line.
GENESIS = "0" * 64
#: Maximum number of bytes of a line with its line feed; the writer shortens longer lines.
LONGEST = 1 << 20
#: Keys that every line of the audit log has; the other keys are the line's facts.
OWN = frozenset({"event", "hash", "prev", "seq", "time", "who"})
_END = re.compile(rb',"hash":"([0-9a-f]{64})"\}')
_END_LENGTH = len(',"hash":""}') + 64
_HEX = re.compile("[0-9a-f]{64}")
#: Number of characters that the writer keeps of a text that is too long for a line.
_SHORTENED = 4096


class AuditEvent(NamedTuple):
    """A line of the audit log.

    Attributes:
        seq: number of the line; the log's first line has the number 1.
        time: time at which the line was written, RFC 3339 in UTC.
        event: a name of ``hashscan.audit.events``, or a name that only a newer hashscan has.
        facts: the other keys and values of the line, see ``hashscan.audit.events``.
    """

    seq: int
    time: str
    event: str
    who: Who
    facts: dict[str, Any]
    prev: str
    hash: str

    def as_dict(self) -> dict[str, Any]:
        """The keys and values of the line's JSON object."""
        return {
            "event": self.event,
            "seq": self.seq,
            "time": self.time,
            "who": self.who.as_dict(),
            **self.facts,
            "prev": self.prev,
            "hash": self.hash,
        }


def encode(
    seq: int, time: str, event: str, who: Who, facts: Mapping[str, Json], prev: str
) -> tuple[bytes, str]:
    """The bytes of an audit line with its line feed, and the line's hash.

    Raises:
        ValueError: a fact has the name of a key that every line has, or JSON cannot represent the
            fact.
    """
    if taken := OWN & facts.keys():
        raise ValueError(f"a fact may not be named {min(taken)}")
    body = _body(seq, time, event, who, facts, prev)
    if len(body) + _END_LENGTH + 1 > LONGEST:
        short = {name: _shortened(value) for name, value in facts.items()}
        body = _body(seq, time, event, who, short, prev)
    if len(body) + _END_LENGTH + 1 > LONGEST:
        # If the line has very many values, keep only the names of its facts.
        body = _body(seq, time, event, who, {"too_long": sorted(facts)}, prev)
    digest = hashlib.sha256(body).hexdigest()
    return b'%s,"hash":"%s"}\n' % (body, digest.encode()), digest


def _body(seq: int, time: str, event: str, who: Who, facts: Mapping[str, Json], prev: str) -> bytes:
    found = {
        **facts,
        "event": event,
        "prev": prev,
        "seq": seq,
        "time": time,
        "who": who.as_dict(),
    }
    text = json.dumps(found, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text[:-1].encode("ascii")


def _shortened(value: Json) -> Json:
    if isinstance(value, str) and len(value) > _SHORTENED:
        return f"{value[:_SHORTENED]}… ({len(value):,} characters)"
    if isinstance(value, list) and len(value) > _SHORTENED // 64:
        return [*map(_shortened, value[: _SHORTENED // 64]), f"… ({len(value):,} values)"]
    if isinstance(value, list):
        return [_shortened(item) for item in value]
    if isinstance(value, dict):
        return {name: _shortened(item) for name, item in value.items()}
    return value


def parse(raw: bytes) -> AuditEvent | None:
    """The event in a line (without line feed); ``None``: the line is damaged or was changed."""
    end = _END.fullmatch(raw, max(0, len(raw) - _END_LENGTH))
    if end is None or len(raw) >= LONGEST:
        return None
    digest = end[1].decode()
    if hashlib.sha256(raw[: end.start()]).hexdigest() != digest:
        return None
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    who = Who.parse(found.get("who"))
    seq, prev = found.get("seq"), found.get("prev")
    time, event = found.get("time"), found.get("event")
    if (
        who is None
        or type(seq) is not int
        or seq < 1
        or not isinstance(time, str)
        or not isinstance(event, str)
        or not isinstance(prev, str)
        or not _HEX.fullmatch(prev)
    ):
        return None
    facts = {name: value for name, value in found.items() if name not in OWN}
    return AuditEvent(seq, time, event, who, facts, prev, digest)
