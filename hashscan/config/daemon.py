"""Checks values that only the daemon uses: scan times, ways of watching, files a second."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Literal

from pydantic import PlainValidator

from hashscan.config.values import bad, none_shown, or_none, shower

WatchMode = Literal["auto", "inotify", "fanotify", "off"]

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_CRON_NAMES = {
    3: {name: number for number, name in enumerate(_MONTHS, 1)},
    4: {name: number for number, name in enumerate(_WEEKDAYS)},
}
_CRON_FIELDS = (
    ("minute", 0, 59),
    ("hour", 0, 23),
    ("day", 1, 31),
    ("month", 1, 12),
    ("weekday", 0, 7),
)


def _cron_part(part: str, index: int, lowest: int, highest: int) -> bool:
    names = _CRON_NAMES.get(index, {})
    span, slash, step = part.partition("/")
    if slash and not (re.fullmatch("[0-9]{1,2}", step) and int(step) > 0):
        return False
    if span == "*":
        return True
    numbers = []
    for end in span.split("-"):
        if end not in names and not re.fullmatch("[0-9]{1,2}", end):
            return False
        numbers.append(names[end] if end in names else int(end))
    return len(numbers) <= 2 and lowest <= numbers[0] <= numbers[-1] <= highest


def cron(value: object) -> str:
    """Check the times of scans: a cron expression with five fields."""
    example = 'write e.g. "30 2 * * *" for every night at 2:30'
    if not isinstance(value, str) or len(value) > 200:
        raise bad("must be a cron expression", example)
    fields = value.split()
    if len(fields) != len(_CRON_FIELDS):
        raise bad(f"has {len(fields)} fields, a cron expression has five", example)
    for index, (field, (name, lowest, highest)) in enumerate(
        zip(fields, _CRON_FIELDS, strict=True)
    ):
        if not all(_cron_part(part, index, lowest, highest) for part in field.lower().split(",")):
            raise bad(
                f"the {name} (field {index + 1}) must be * or numbers from {lowest} to {highest}",
                example,
            )
    found = " ".join(fields)
    if not _ever_comes(found):
        raise bad("never comes: no month that it names has that day", example)
    return found


def _ever_comes(expression: str) -> bool:
    from cronsim import CronSim, CronSimError  # noqa: PLC0415 - not needed without a schedule

    try:
        return next(CronSim(expression, datetime(2000, 1, 1)), None) is not None  # noqa: DTZ001
    except CronSimError:  # croniter itself raises for some impossible dates
        return False


def watch(value: object) -> str:
    """Check the way of watching volumes for changes (``true``: ``auto``, ``false``: ``off``)."""
    if isinstance(value, bool):
        return "auto" if value else "off"
    if isinstance(value, str) and value.lower() in {"auto", "inotify", "fanotify", "off"}:
        return value.lower()
    raise bad("must be auto, inotify, fanotify or off", "write `watch: auto`")


def rate(value: object) -> float:
    """Check a limit on scans: a positive number of files a second."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1e9:
        raise bad("must be a number of files a second", "write e.g. 500, or none")
    return float(value)


CronOrNone = Annotated[str | None, PlainValidator(or_none(cron)), shower(none_shown(str))]
Watch = Annotated[WatchMode, PlainValidator(watch)]
RateOrNone = Annotated[float | None, PlainValidator(or_none(rate)), shower(none_shown(float))]
