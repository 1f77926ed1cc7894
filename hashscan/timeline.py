"""The timeline: counts the time that has certainly passed, although the wall clock may jump.

A clock that is far ahead must not cause a removal for good by age (quarantine.retention, purge
--older-than, the audit's days). Therefore an age is never the difference of two readings of the
wall clock. Instead, a timeline counts the seconds that have passed:

- within one boot of the machine by CLOCK_BOOTTIME: nobody can set this clock, and it includes
  suspension;
- from one boot to the next by the wall clock, but by no more than ``OFF_LIMIT`` for each boot.

A *span* is a period in which the wall clock and the count run evenly. If the wall clock and the
count diverge by more than ``TOLERANCE`` (the clock was set, or jumped), a new span begins. A time
that is stored together with its span can be compared with the count, even if the wall clock was set
before or after.

The caller stores a timeline in a file of its own (``to_json``); this module touches no files.
"""

from __future__ import annotations

import json
import math
import secrets
import time
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

#: Name of the file that stores a timeline, in the directory whose contents the timeline dates.
FILE = "clock.json"
#: Seconds by which the wall clock and the count may diverge before a new span begins.
TOLERANCE = 60.0
#: Between two boots, the timeline counts at most this many seconds of the wall clock.
OFF_LIMIT = 7 * 86400.0
#: Seconds after which a caller writes a timeline to its file again, even if the clock did not jump.
_KEEP_AFTER = 3600.0
_FORMAT = 1
_BOOT_ID = "/proc/sys/kernel/random/boot_id"


class Instant(NamedTuple):
    """Readings of the machine's clocks at one moment.

    Attributes:
        boottime: seconds since the machine's start, including suspension.
        wall: seconds since the epoch by the wall clock.
        boot: id of this boot of the machine; empty if the id is unknown (no /proc).
    """

    boottime: float
    wall: float
    boot: str


def instant() -> Instant:
    """Return the present readings of the machine's clocks."""
    try:
        with open(_BOOT_ID, encoding="ascii") as file:
            boot = file.read(64).strip()
    except (OSError, ValueError):
        boot = ""
    return Instant(time.clock_gettime(time.CLOCK_BOOTTIME), time.time(), boot)


class Span(NamedTuple):
    """A span: a period in which the wall clock and the timeline's count ran evenly.

    Attributes:
        offset: seconds by which the wall clock was ahead of the timeline's count.
        since: the timeline's count at the begin of the span.
    """

    name: str
    offset: float
    since: float


@dataclass(frozen=True, slots=True)
class Timeline:
    """A timeline: the count of passed seconds, up to the clocks' readings ``last``.

    Attributes:
        began: the first value of the count: the wall clock's reading at that moment.
        counted: the present value of the timeline's count: ``began`` plus the seconds that have
            certainly passed.
        spans: all spans of the timeline, oldest first; the last span is the present span.
    """

    last: Instant
    began: float
    counted: float
    spans: tuple[Span, ...]

    @classmethod
    def begin(cls, now: Instant) -> Self:
        """Return a timeline whose count begins now."""
        return cls(now, now.wall, now.wall, (Span(_new_name(), 0.0, now.wall),))

    @classmethod
    def parse(cls, raw: bytes) -> Self | None:
        """Return the timeline that ``to_json`` wrote; ``None``: the text is damaged."""
        try:
            data = json.loads(raw)
            if data["format"] != _FORMAT:
                return None
            spans = tuple(
                Span(_text(name), _number(offset), _number(since))
                for name, offset, since in data["spans"]
            )
            last = Instant(_number(data["boottime"]), _number(data["wall"]), _text(data["boot"]))
            found = cls(last, _number(data["began"]), _number(data["counted"]), spans)
        except (ValueError, TypeError, KeyError, RecursionError):
            return None
        return found if spans else None

    def to_json(self) -> bytes:
        """Return the bytes for the file that stores the timeline."""
        data = {
            "format": _FORMAT,
            "boottime": self.last.boottime,
            "wall": self.last.wall,
            "boot": self.last.boot,
            "began": self.began,
            "counted": self.counted,
            "spans": [list(one) for one in self.spans],
        }
        return json.dumps(data).encode("ascii") + b"\n"

    @property
    def span(self) -> str:
        """Return the name of the present span, to be stored with a time of the wall clock."""
        return self.spans[-1].name

    def at(self, now: Instant) -> Timeline:
        """Return the timeline with its count up to later readings of the clocks."""
        if now.boot == self.last.boot and now.boottime >= self.last.boottime:
            passed = now.boottime - self.last.boottime
        else:
            passed = min(max(0.0, now.wall - self.last.wall), OFF_LIMIT)
        counted = self.counted + passed
        offset = now.wall - counted
        spans = self.spans
        if abs(offset - spans[-1].offset) > TOLERANCE:
            spans = (*spans, Span(_new_name(), offset, counted))
        return replace(self, last=now, counted=counted, spans=spans)

    def differs(self, before: Timeline) -> bool:
        """Return whether the timeline differs so much from ``before`` that it must be saved."""
        return (
            self.spans != before.spans
            or self.last.boot != before.last.boot
            or self.counted - before.counted > _KEEP_AFTER
        )

    def age(self, wall: float, span: str) -> float:
        """Return the seconds that have certainly passed since a time of the wall clock in ``span``.

        If the timeline does not know the span (its file was lost), only the time since the begin of
        the count is certain.
        """
        for one in self.spans:
            if one.name == span:
                return self.counted - (wall - one.offset)
        return self.counted - self.began

    def certainly_before(self, age: float) -> float:
        """Return the wall clock's time before which all times are older than ``age`` seconds.

        Use this method for times that were stored without their span. The method assumes that each
        time is in the span that makes the time youngest, among the spans that reach into the last
        ``age`` seconds. The result is ``-inf`` until the count has run for ``age`` seconds, because
        no age is certain before.
        """
        limit = self.counted - age
        if limit < self.began:
            return -math.inf
        ends = [*(one.since for one in self.spans[1:]), math.inf]
        return limit + min(
            one.offset for one, end in zip(self.spans, ends, strict=True) if end >= limit
        )


def _new_name() -> str:
    return secrets.token_hex(4)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError("not a number")
    return float(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value
