"""Makes the plain values that a template of an answer to a notice may use.

Templates get texts, numbers, lists and dictionaries only. Every text is one printable line, so that
no text of a sender or customer can add a line to an answer.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from hashscan.notices.notice import ItemKind, ItemState
from hashscan.text import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hashscan.config.notices import OrganisationSettings
    from hashscan.notices.notice import Item, Notice

_KIND = re.compile(r"([a-z][a-z-]{0,30})(?::|\Z)")


@dataclass(frozen=True, slots=True)
class Moved:
    """A file of a customer that hashscan moved for a notice.

    Attributes:
        item: number of the notice's item to which the file belongs.
        owner: name of the file's owner; the uid if the uid has no name.
        path: absolute path of the file before hashscan moved the file.
        when: time at which hashscan moved the file, in seconds since the epoch.
        category: category of the list that has the file's digest; ``None``: no list has the digest.
        is_named: whether the notice names the file; false for a copy of a named file and for a file
            that a page shows.
    """

    item: int
    owner: str
    path: bytes
    when: float
    category: str | None
    is_named: bool


def moment(seconds: float) -> str:
    """A time in UTC as text: ``2026-11-27 09:00:00 UTC``."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"


def safe(value: Any) -> Any:
    """``value`` with each text in ``value`` made one printable line; other values are unchanged."""
    if isinstance(value, str):
        return shown(value)
    if isinstance(value, dict):
        return {name: safe(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [safe(one) for one in value]
    return value


def facts_of(
    notice: Notice,
    items: Iterable[Item],
    organisation: OrganisationSettings,
    now: float,
    moved: Iterable[Moved] | None = None,
) -> dict[str, Any]:
    """The values that a template of an answer may use, by name; see docs/notices.md.

    ``moved``: the files of one customer, for a statement of reasons to the customer. In a statement
    no value names the sender of the notice, or files and URLs of other customers, so that no
    template can print a sender or another customer's file.
    """
    named = list(items)
    files = [] if moved is None else list(moved)
    if moved is not None:
        own = {one.item for one in files if one.is_named}
        named = [one for one in named if one.number in own]
        notice = replace(notice, sender=None, reference=None)
    values = {one.number: one.parsed.value for one in named if one.parsed.kind is ItemKind.URL}
    states = {state.value.replace("-", "_"): 0 for state in ItemState}
    for one in named:
        states[one.state.value.replace("-", "_")] += 1
    found: dict[str, Any] = safe(
        {
            "organisation": organisation.model_dump(),
            "notice": _notice(notice),
            "items": [_item(number, one) for number, one in enumerate(named, 1)],
            "states": states,
            "open": states["received"] + states["located"],
            "files": [_moved(one, values) for one in files],
            "now": moment(now),
        }
    )
    return found


def _notice(notice: Notice) -> dict[str, object]:
    return {
        "id": notice.id,
        "reference": notice.reference or "",
        "sender": notice.sender or "",
        "authority": notice.authority or "",
        "legal_basis": notice.legal_basis or "",
        "sent": "" if notice.sent is None else moment(notice.sent),
        "received": moment(notice.received),
        "deadline": moment(notice.deadline),
        "repeat_of": notice.repeat_of or "",
    }


def _item(number: int, item: Item) -> dict[str, object]:
    """A notice's item for a template. ``number``: the item's position in the notice, from 1.

    Reasons for an item's state may contain paths of customers. So an answer has only the kind of a
    reason, and the text that an administrator wrote for the answer (``notice close --reason``).
    """
    when = item.since
    if item.state is ItemState.REMOVED and item.removed is not None:
        when = item.removed
    kind = _KIND.match(item.reason)
    return {
        "number": number,
        "kind": item.parsed.kind.value,
        "value": item.parsed.value,
        "state": item.state.value.replace("-", "_"),
        "when": moment(when),
        "removed": "" if item.removed is None else moment(item.removed),
        "reason_kind": kind[1] if kind else "",
        "decision": item.reason if item.state is ItemState.REFUSED else "",
    }


def _moved(file: Moved, urls: Mapping[int, str]) -> dict[str, object]:
    return {
        "path": os.fsdecode(file.path),
        "url": urls.get(file.item, "") if file.is_named else "",
        "when": moment(file.when),
        "category": file.category or "",
    }
