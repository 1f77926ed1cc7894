"""Stores notices, their items and their history in one SQLite file, beside the catalog.

Several processes use the file of notices at the same time: the daemon, commands, the HTTP intake.
Each method of ``NoticeStore`` that changes the file is one transaction, on the disk when the method
returns.
"""

from __future__ import annotations

import json
import secrets
import time
import zlib
from typing import TYPE_CHECKING, NamedTuple

from hashscan.audit import events
from hashscan.errors import UsageError
from hashscan.notices.notice import (
    DEFAULT_DEADLINE,
    SETTLED,
    EventKind,
    ItemState,
    Mail,
    begin,
    may_become,
)
from hashscan.notices.reader import (
    FILE_COLUMNS,
    ITEM_COLUMNS,
    NOTICE_COLUMNS,
    same_as,
    storable,
)
from hashscan.notices.writer import NoticeWriter
from hashscan.text import rfc3339, shown

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from hashscan.notices.notice import Channel, ItemFile, ParsedItem, ParsedNotice

#: States of items: a later notice that names the same item reopens an item in one of these states.
#: The state ``not-here`` is left out, because such an item was never removed.
_REOPENED = frozenset({ItemState.REMOVED, ItemState.GONE, ItemState.REFUSED})


class AddedNotice(NamedTuple):
    """The notice that ``add`` stored or found; ``new``: false if ``add`` found the notice."""

    id: str
    new: bool


class NoticeStore(NoticeWriter):
    """A connection that changes notices, items and files in the file of notices."""

    # Methods that change notices, items and files

    def add(
        self,
        parsed: ParsedNotice,
        *,
        channel: Channel,
        key: bytes,
        content: bytes = b"",
        received: float | None = None,
        deadline: float | None = None,
        unproven: str = "",
    ) -> AddedNotice:
        """Store a notice, unless a notice with the same ``key`` is stored.

        If an earlier notice names the same URL, path or digest, the new item is a repeat. An
        earlier item in the state removed, gone or refused is reopened with the deadline of the
        repeat, and the earlier notice is opened again. An unproven notice does not reopen a refused
        item, because an administrator refused the item.

        Args:
            parsed: the notice as the format's reader found it in the mail or file.
            channel: the way by which the notice arrived, e.g. over HTTP.
            key: identity of the notice's bytes, so that a killed command can add the same bytes
                again.
            content: the evidence: the notice's mail or file without attachments.
            received: time at which the notice arrived, in seconds since the epoch; ``None``: now.
            deadline: the deadline that an administrator sets; ``None``: the deadline that the
                notice gives, or ``DEFAULT_DEADLINE`` after ``notice.begin``.
            unproven: why the sender of the notice is not verified; see ``Notice``.

        Raises:
            StateError: the notice cannot be stored in the file of notices.
        """
        now = time.time()
        received = now if received is None else received
        if deadline is None:
            deadline = parsed.deadline
        if deadline is None:
            deadline = begin(parsed.sent, received) + DEFAULT_DEADLINE
        with self._change():
            row = self._connection.execute("SELECT id FROM notice WHERE key = ?", (key,)).fetchone()
            if row is not None:
                return AddedNotice(row[0], new=False)
            identifier = self._new_id(received)
            earlier = None
            detail: dict[str, object] = {"items": len(parsed.items), "deadline": deadline}
            if unproven:
                detail["unproven"] = unproven
            self._event(identifier, None, received, EventKind.RECEIVED, detail)
            self._line(
                events.NOTICE_RECEIVED,
                urgent=True,
                notice=identifier,
                format=parsed.format,
                sender=parsed.authority or parsed.sender,
                reference=parsed.reference,
                items=len(parsed.items),
                deadline=rfc3339(deadline),
                channel=channel.value,
                unproven=unproven,
            )
            reopened = _REOPENED - {ItemState.REFUSED} if unproven else _REOPENED
            for one in parsed.items:
                earlier = self._add_item(identifier, one, received, deadline, reopened) or earlier
            self._connection.execute(
                f"INSERT INTO notice ({NOTICE_COLUMNS}, key) VALUES ({_placeholders(19)})",  # noqa: S608
                (
                    identifier,
                    channel.value,
                    parsed.format,
                    parsed.sender,
                    parsed.contact,
                    parsed.reference,
                    parsed.authority,
                    parsed.legal_basis,
                    parsed.password,
                    parsed.sent,
                    received,
                    deadline,
                    None,
                    "",
                    earlier,
                    parsed.dropped,
                    json.dumps(parsed.remarks),
                    unproven,
                    key,
                ),
            )
            self._connection.execute(
                "INSERT INTO input VALUES (?, ?)", (identifier, zlib.compress(content))
            )
        return AddedNotice(identifier, new=True)

    def _add_item(
        self,
        notice: str,
        parsed: ParsedItem,
        now: float,
        deadline: float,
        reopened: Collection[ItemState],
    ) -> str | None:
        """Store an item; return the id of the last earlier notice with the same item, or ``None``.

        ``reopened``: states of items. An earlier item with the same URL, path or digest is reopened
        with ``deadline`` if the item is in one of these states.
        """
        same = same_as(parsed)
        earlier = self._connection.execute(
            "SELECT number, notice, state FROM item WHERE same = ? AND notice <> ?"
            " ORDER BY number DESC LIMIT 1",
            (same, notice),
        ).fetchone()
        self._connection.execute(
            f"INSERT INTO item (same, {ITEM_COLUMNS}) VALUES ({_placeholders(20)})",  # noqa: S608
            (
                same,
                None,
                notice,
                parsed.kind.value,
                storable(parsed.value),
                json.dumps(parsed.digests),
                parsed.referrer,
                parsed.ip,
                parsed.first_seen,
                parsed.last_seen,
                parsed.classification,
                parsed.note,
                ItemState.RECEIVED.value,
                now,
                None,
                "",
                None,
                earlier and earlier[1],
                deadline,
                False,
            ),
        )
        if earlier is None:
            return None
        number, repeated, state = earlier
        self._event(repeated, number, now, EventKind.REPEATED, {"by": notice})
        if state in reopened:
            reason = f"named again by {notice}"
            self._advance(number, ItemState.RECEIVED, now, reason, deadline=deadline)
        return str(repeated)

    def advance(
        self,
        item: int,
        state: ItemState,
        *,
        reason: str = "",
        path: bytes | None = None,
        removed: float | None = None,
        now: float | None = None,
    ) -> bool:
        """Change the state of a notice's item; False if ``notice.may_become`` forbids the change.

        A notice is closed when its last open item is settled. A closed notice is opened again when
        one of its items is reopened.

        ``removed``: time at which the content was removed, if ``state`` is ``removed``; ``None``:
        now.

        Raises:
            UsageError: no item of a notice has this number.
        """
        with self._change():
            return self._advance(item, state, _now(now), reason, path, removed=removed)

    def came_back(self, item: int, reason: str, *, now: float | None = None) -> bool:
        """Reopen a settled item of a notice because its file is back; return False if not settled.

        The item is due 24 hours after ``now``, or earlier if the item's notice first allowed less
        time.

        Raises:
            UsageError: no item of a notice has this number.
        """
        now = _now(now)
        with self._change():
            row = self._connection.execute(
                "SELECT notice FROM item WHERE number = ?", (item,)
            ).fetchone()
            within = min(DEFAULT_DEADLINE, self.time_given(row[0])) if row else DEFAULT_DEADLINE
            if within <= 0:
                within = DEFAULT_DEADLINE
            return self._advance(item, ItemState.RECEIVED, now, reason, deadline=now + within)

    def _advance(
        self,
        item: int,
        state: ItemState,
        now: float,
        reason: str,
        path: bytes | None = None,
        closing: str = "",
        removed: float | None = None,
        deadline: float | None = None,
    ) -> bool:
        row = self._connection.execute(
            "SELECT notice, state FROM item WHERE number = ?", (item,)
        ).fetchone()
        if row is None:
            raise UsageError(f"there is no item {item}; 'hashscan notice list' shows the notices")
        notice, before = row[0], ItemState(row[1])
        if not may_become(before, state):
            return False
        self._connection.execute(
            "UPDATE item SET state = ?1, since = ?2, reason = ?3, path = coalesce(?4, path),"
            " removed = iif(?1 = 'removed', ?5, removed),"
            " late = late OR (?1 = 'removed' AND ?5 > deadline), deadline = coalesce(?6, deadline)"
            " WHERE number = ?7",
            (state.value, now, reason, path, now if removed is None else removed, deadline, item),
        )
        detail: dict[str, object] = {"from": before.value, "to": state.value, "reason": reason}
        if removed is not None:
            detail["removed"] = rfc3339(removed)
        if deadline is not None:
            detail["deadline"] = deadline
        self._event(notice, item, now, EventKind.STATE, detail)
        if state in SETTLED:
            self._close_if_settled(notice, now, closing)
        elif before in SETTLED:
            self._open_again(notice, now, reason)
        return True

    def _close_if_settled(self, notice: str, now: float, reason: str) -> None:
        if self._set_deadline(notice):
            return
        changed = self._connection.execute(
            "UPDATE notice SET closed = ?, reason = ? WHERE id = ? AND closed IS NULL",
            (now, reason, notice),
        ).rowcount
        if changed:
            self._event(notice, None, now, EventKind.CLOSED, {"reason": reason})

    def _set_deadline(self, notice: str) -> bool:
        """Give a notice the earliest deadline of its open items; False: no item is open."""
        (first,) = self._connection.execute(
            "SELECT min(deadline) FROM item WHERE notice = ? AND state IN ('received', 'located')",
            (notice,),
        ).fetchone()
        if first is None:
            return False
        self._connection.execute(
            "UPDATE notice SET deadline = ?1 WHERE id = ?2 AND deadline <> ?1", (first, notice)
        )
        return True

    def _open_again(self, notice: str, now: float, reason: str) -> None:
        changed = self._connection.execute(
            "UPDATE notice SET closed = NULL, reason = '' WHERE id = ? AND closed IS NOT NULL",
            (notice,),
        ).rowcount
        if changed:
            self._event(notice, None, now, EventKind.REOPENED, {"reason": reason})
        self._set_deadline(notice)

    def close_notice(self, notice: str, reason: str, *, now: float | None = None) -> int:
        """Close a notice for an administrator: refuse its open items, and return their number.

        Raises:
            UsageError: no notice has this id.
        """
        with self._change():
            self._require(notice)
            numbers = self._numbers(notice, settled=False)
            for number in numbers:
                self._advance(number, ItemState.REFUSED, _now(now), reason, closing=reason)
        return len(numbers)

    def reopen_notice(self, notice: str, reason: str, *, now: float | None = None) -> int:
        """Reopen a notice and its settled items; return the number of reopened items.

        The deadlines of the notice's items do not change.

        Raises:
            UsageError: no notice has this id.
        """
        with self._change():
            self._require(notice)
            numbers = self._numbers(notice, settled=True)
            for number in numbers:
                self._advance(number, ItemState.RECEIVED, _now(now), reason)
        return len(numbers)

    def approve_notice(self, notice: str, reason: str, *, now: float | None = None) -> bool:
        """Let an unproven notice move files, for an administrator; return False if it may already.

        Raises:
            UsageError: no notice has this id.
        """
        with self._change():
            self._require(notice)
            changed = self._connection.execute(
                "UPDATE notice SET unproven = '' WHERE id = ? AND unproven <> ''", (notice,)
            ).rowcount
            if changed:
                self._event(notice, None, _now(now), EventKind.APPROVED, {"reason": reason})
        return bool(changed)

    def put_file(self, file: ItemFile, *, now: float | None = None) -> bool:
        """Store a file of a notice's item; return False if nothing but the file's anchor changed.

        Raises:
            UsageError: no item of a notice has this number.
        """
        with self._change():
            row = self._connection.execute(
                "SELECT notice FROM item WHERE number = ?", (file.item,)
            ).fetchone()
            if row is None:
                raise UsageError(f"there is no item {file.item}")
            values = (
                file.item,
                file.role.value,
                file.volume,
                file.path,
                json.dumps(file.digests),
                file.category,
                file.action,
                file.quarantine_id,
                file.away,
                file.message,
                file.anchor,
            )
            before = self._connection.execute(
                f"SELECT {FILE_COLUMNS} FROM file WHERE item = ? AND volume = ? AND path = ?",  # noqa: S608
                (file.item, file.volume, file.path),
            ).fetchone()
            if before == values:
                return False
            is_changed = before is None or before[:-1] != values[:-1]
            self._connection.execute(
                f"INSERT OR REPLACE INTO file ({FILE_COLUMNS}) VALUES ({_placeholders(11)})",  # noqa: S608
                values,
            )
            detail = {
                "path": shown(file.volume.rstrip(b"/") + b"/" + file.path),
                "role": file.role.value,
                "category": file.category,
                "action": file.action,
                "quarantine_id": file.quarantine_id,
                "away": file.away is not None,
                "message": file.message,
            }
            if is_changed:
                self._event(row[0], file.item, _now(now), EventKind.FILE, detail)
        return is_changed

    def note_item(self, item: int, reason: str, *, now: float | None = None) -> bool:
        """Note why an open item of a notice waits; return False if noted already or settled.

        Raises:
            UsageError: no item of a notice has this number.
        """
        with self._change():
            row = self._connection.execute(
                "SELECT notice, state, reason FROM item WHERE number = ?", (item,)
            ).fetchone()
            if row is None:
                raise UsageError(f"there is no item {item}")
            if row[2] == reason or ItemState(row[1]) in SETTLED:
                return False
            self._connection.execute("UPDATE item SET reason = ? WHERE number = ?", (reason, item))
            self._event(row[0], item, _now(now), EventKind.NOTE, {"reason": reason})
        return True

    def note_answer(self, notice: str, detail: Mapping[str, object], *, now: float | None) -> None:
        """Add to the history of a notice that an answer was printed, written or sent.

        Raises:
            UsageError: no notice has this id.
        """
        with self._change():
            self._require(notice)
            self._event(notice, None, _now(now), EventKind.ANSWERED, detail)

    # Methods for the mails of the Maildir

    def id_of(self, key: bytes) -> str | None:
        """The id of the notice with the identity ``key``; ``None``: no notice has this identity."""
        with self._translated():
            row = self._connection.execute("SELECT id FROM notice WHERE key = ?", (key,)).fetchone()
            return None if row is None else str(row[0])

    def mails(self) -> dict[bytes, Mail]:
        """The Maildir's mails that hashscan began to read, by the unique part of their names."""
        with self._translated():
            rows = self._connection.execute(
                "SELECT name, inode, notice, refused, tries, key, version FROM mail"
            )
            return {name: Mail(*rest) for name, *rest in rows}

    def put_mail(self, name: bytes, mail: Mail) -> None:
        """Store how far hashscan came in reading a mail of the Maildir."""
        values = (
            name, mail.inode, mail.notice, mail.refused, mail.tries, mail.key, mail.version
        )  # fmt: skip
        with self._change():
            self._connection.execute(
                "INSERT OR REPLACE INTO mail VALUES (?, ?, ?, ?, ?, ?, ?)", values
            )

    def forget_mails(self, names: Iterable[bytes]) -> None:
        """Delete the rows of mails that are no longer in the Maildir."""
        with self._change():
            self._connection.executemany(
                "DELETE FROM mail WHERE name = ?", ((name,) for name in names)
            )

    # Helpers that the methods above call

    def _numbers(self, notice: str, *, settled: bool) -> list[int]:
        states = [one.value for one in SETTLED]
        return [
            number
            for number, state in self._connection.execute(
                "SELECT number, state FROM item WHERE notice = ?", (notice,)
            )
            if (state in states) == settled
        ]

    def _new_id(self, received: float) -> str:
        return f"{time.strftime('%Y%m%d', time.gmtime(received))}-{secrets.token_hex(4)}"


def _now(now: float | None) -> float:
    return time.time() if now is None else now


def _placeholders(number: int) -> str:
    return ", ".join("?" * number)
