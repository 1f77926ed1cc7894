"""Prints notices: as text, with the sender's words escaped, or as JSON lines."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from hashscan.notices.clock import Urgency, doubts, due, urgency
from hashscan.notices.notice import SETTLED, EventKind, ItemState
from hashscan.output.jsonl import line
from hashscan.text import counted, local_time, rfc3339, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from hashscan.notices.notice import Item, ItemFile, Notice, NoticeEvent

#: Largest number of characters of a notice's sender, and of its reference, in a list.
_WIDTH = 30
_DUE_WIDTH = len("overdue for 999 min (since 2026-11-27 10:00 CEST)")


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else rfc3339(seconds)


# Functions that return notices as JSON.


def listed_json(notice: Notice, now: float, soon: float) -> str:
    """Return a notice as ``notice list --json`` prints it, with the number of items by state."""
    states = {state.value: number for state, number in sorted(notice.states.items())}
    return line("notice", **_head(notice), states=states, **_rest(notice, now, soon))


def notice_json(
    notice: Notice,
    items: Sequence[Item],
    files: Mapping[int, Sequence[ItemFile]],
    now: float,
    soon: float,
    **more: Any,
) -> str:
    """Return a notice with its items; ``files``: by the items' numbers; ``more``: further keys."""
    shown_items = [_item(one, files.get(one.number, ())) for one in items]
    return line("notice", **_head(notice), items=shown_items, **_rest(notice, now, soon), **more)


def event_json(event: NoticeEvent) -> dict[str, object]:
    """Return a step of a notice's history as a JSON object."""
    return {
        "time": rfc3339(event.time),
        "kind": event.kind.value,
        "item": event.item,
        "detail": {
            name: rfc3339(value) if name == "deadline" and isinstance(value, int | float) else value
            for name, value in event.detail.items()
        },
    }


def _head(notice: Notice) -> dict[str, object]:
    return {
        "id": notice.id,
        "format": notice.format,
        "sender": notice.sender,
        "reference": notice.reference,
        "sent": _time(notice.sent),
        "received": rfc3339(notice.received),
        "deadline": rfc3339(notice.deadline),
        "state": "open" if notice.closed is None else "closed",
        "repeat_of": notice.repeat_of,
    }


def _rest(notice: Notice, now: float, soon: float) -> dict[str, object]:
    return {
        "channel": notice.channel.value,
        "contact": notice.contact,
        "authority": notice.authority,
        "legal_basis": notice.legal_basis,
        "due": urgency(notice, now, soon).value,
        "closed": _time(notice.closed),
        "reason": notice.reason or None,
        "unproven": notice.unproven or None,
        "dropped": notice.dropped,
        "remarks": [*notice.remarks, *doubts(notice, now)],
    }


def _item(item: Item, files: Sequence[ItemFile]) -> dict[str, object]:
    parsed = item.parsed
    digests = parsed.digests or (files[0].digests if files else ())
    return {
        "kind": parsed.kind.value,
        "value": parsed.value,
        "state": item.state.value,
        "path": None if item.path is None else os.fsdecode(item.path),
        "reason": item.reason or None,
        "digests": {one.algorithm: one.hex for one in digests},
        "removed": _time(item.removed),
        "number": item.number,
        "since": rfc3339(item.since),
        "deadline": rfc3339(item.deadline),
        "repeat_of": item.repeat_of,
        "referrer": parsed.referrer,
        "ip": parsed.ip,
        "first_seen": _time(parsed.first_seen),
        "last_seen": _time(parsed.last_seen),
        "classification": parsed.classification,
        "note": parsed.note,
        "files": [_file(one) for one in files],
    }


def _file(file: ItemFile) -> dict[str, object]:
    return {
        "path": os.fsdecode(_full(file)),
        "role": file.role.value,
        "digests": {one.algorithm: one.hex for one in file.digests},
        "category": file.category,
        "action": file.action or None,
        "quarantine_id": file.quarantine_id,
        "away": _time(file.away),
        "message": file.message,
    }


def _full(file: ItemFile) -> bytes:
    return file.volume.rstrip(b"/") + b"/" + file.path


# Functions that return notices as text.


def listed(notice: Notice, now: float, soon: float) -> str:
    """Return a notice as one line: id, deadline, items, sender, reference."""
    state = urgency(notice, now, soon)
    when = due(notice, now)
    if state is Urgency.OVERDUE:
        when = when[0].upper() + when[1:]
    elif state is Urgency.SOON:
        when = when.replace("due in", "Due soon, in", 1)
    total = sum(notice.states.values())
    waiting = sum(number for one, number in notice.states.items() if one not in SETTLED)
    items = f"{waiting:,} of {counted(total, 'item')} open"
    sender = _short(notice.authority or notice.sender or "anonymous")
    repeat = f", repeats {notice.repeat_of}" if notice.repeat_of else ""
    words = f"{sender} {_short(notice.reference or '')}".strip() + repeat
    return f"{notice.id}  {when:<{_DUE_WIDTH}}  {items:<22}  {words}"


def _short(text: str) -> str:
    return shown(text if len(text) <= _WIDTH else text[: _WIDTH - 1] + "…")


def described(notice: Notice, now: float) -> Iterator[str]:
    """Return lines with the facts of a notice."""
    yield f"notice      {notice.id}, {due(notice, now)}"
    sender = shown(notice.sender or "anonymous")
    if notice.contact and notice.contact != notice.sender:
        sender += f", answers to {shown(notice.contact)}"
    facts = (
        ("from", sender),
        ("unproven", notice.unproven and shown(notice.unproven)),
        ("reference", notice.reference and shown(notice.reference)),
        ("authority", notice.authority and shown(notice.authority)),
        ("law", notice.legal_basis and shown(notice.legal_basis)),
        ("sent", local_time(notice.sent) if notice.sent is not None else "unknown"),
        ("received", f"{local_time(notice.received)} by {notice.channel}, as {notice.format}"),
        ("deadline", local_time(notice.deadline)),
        ("repeats", notice.repeat_of),
        ("closed", notice.reason and shown(notice.reason)),
        ("password", notice.password and shown(notice.password)),
        ("dropped", notice.dropped and f"{counted(notice.dropped, 'attachment')}, unread"),
    )
    for name, value in facts:
        if value:
            yield f"{name:<12}{value}"
    for remark in (*map(shown, notice.remarks), *doubts(notice, now)):
        yield f"remark      {remark}"
    states = ", ".join(f"{number:,} {state}" for state, number in sorted(notice.states.items()))
    yield f"items       {states}"


def item_lines(index: int, item: Item, files: Sequence[ItemFile]) -> Iterator[str]:
    """Return lines with an item, its state and its files; ``index``: its number in the notice."""
    parsed = item.parsed
    why = f": {shown(item.reason)}" if item.reason else ""
    yield f"  {index:>4}  {shown(parsed.value)}"
    yield f"        {item.state} since {local_time(item.since)}{why}"
    if item.state not in SETTLED:
        yield f"        due {local_time(item.deadline)}"
    if item.removed is not None and item.state is not ItemState.REMOVED:
        yield f"        removed before, at {local_time(item.removed)}"
    if item.repeat_of is not None:
        yield f"        was named before by {item.repeat_of}"
    seen = [local_time(one) for one in (parsed.first_seen, parsed.last_seen) if one is not None]
    facts = (
        ("on the page", parsed.referrer),
        ("at the IP address", parsed.ip),
        ("seen by the sender", ", ".join(seen)),
        ("classified", parsed.classification),
        ("note", parsed.note),
        *((one.algorithm, one.hex) for one in parsed.digests),
    )
    for name, value in facts:
        if value:
            yield f"        {name} {shown(value)}"
    for file in files:
        path, done = shown(_full(file)), [str(file.role)]
        if file.category:
            done.append(f"known, {shown(file.category)}")
        if file.action:
            done.append(file.action + (f" as {file.quarantine_id}" if file.quarantine_id else ""))
        if file.away is not None:
            done.append(f"not in its place since {local_time(file.away)}")
        if file.message:
            done.append(shown(file.message).removeprefix(f"{path}: "))
        yield f"        file {path}: {'; '.join(done)}"


def event_line(event: NoticeEvent, indexes: Mapping[int, int]) -> str:
    """Return a step of a notice's history as a line; ``indexes``: the numbers of its items."""
    what = "" if event.item is None else f"item {indexes.get(event.item, 0)}: "
    return f"  {local_time(event.time)}  {what}{_step(event)}"


def _step(event: NoticeEvent) -> str:
    detail = {name: shown(str(value)) for name, value in event.detail.items() if value}
    reason = f": {detail['reason']}" if "reason" in detail else ""
    deadline = event.detail.get("deadline")
    until = f", due {local_time(deadline)}" if isinstance(deadline, int | float) else ""
    match event.kind:
        case EventKind.RECEIVED:
            unproven = f"; {detail['unproven']}" if "unproven" in detail else ""
            items = counted(int(detail.get("items", 0)), "item")
            return f"received with {items}{unproven}{until}"
        case EventKind.REPEATED:
            return f"named again by {detail.get('by', '')}"
        case EventKind.STATE:
            return f"{detail.get('from', '')} -> {detail.get('to', '')}{reason}{until}"
        case EventKind.CLOSED:
            return f"closed{reason or ', all items are settled'}"
        case EventKind.NOTE:
            return f"waits{reason}" if reason else "waits no longer"
        case EventKind.APPROVED:
            return f"approved{reason}"
        case EventKind.REOPENED:
            return f"open again{reason}"
        case EventKind.FILE:
            return _file_step(detail)
        case EventKind.ANSWERED:
            return _answer_step(detail)


def _file_step(detail: Mapping[str, str]) -> str:
    """Return the latest fact about an item's file; the history has the earlier facts."""
    action = detail.get("action", "")
    if "away" in detail:
        fact = "no longer in its place"
    elif "quarantine_id" in detail:
        fact = f"{action} as {detail['quarantine_id']}"
    else:
        known = f"; known, {detail['category']}" if "category" in detail else ""
        fact = action or f"{detail.get('role', '')}{known}"
    path = detail.get("path", "")
    message = detail.get("message", "").removeprefix(f"{path}: ")
    return f"file {path}: {fact}" + (f": {message}" if message else "")


def _answer_step(detail: Mapping[str, str]) -> str:
    facts = (
        ("for", detail.get("to")),
        ("file", detail.get("file")),
        ("files of", detail.get("owner")),
        ("language", detail.get("language")),
        ("Message-ID", detail.get("message_id")),
    )
    words = "".join(f", {name} {value}" for name, value in facts if value)
    return f"{detail.get('kind', '')} {detail.get('how', '')}{words}"
