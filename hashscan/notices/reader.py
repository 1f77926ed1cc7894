"""Reads notices and their items from the file of notices."""

from __future__ import annotations

import contextlib
import json
import os
import zlib
from typing import TYPE_CHECKING, Any, NamedTuple

from hashscan.closable import Closable
from hashscan.errors import UsageError
from hashscan.model import Digest
from hashscan.notices.notice import (
    BACK,
    Channel,
    EventKind,
    Item,
    ItemFile,
    ItemKind,
    ItemState,
    Notice,
    NoticeEvent,
    ParsedItem,
    Role,
    begin,
)
from hashscan.notices.schema import FORMAT
from hashscan.notices.urls import same_url_key
from hashscan.text import shown

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

#: Columns of the SQLite tables, in the order in which rows of the file of notices are read and
#: written.
NOTICE_COLUMNS = (
    "id, channel, format, sender, contact, reference, authority, legal_basis, password, sent,"
    " received, deadline, closed, reason, repeat_of, dropped, remarks, unproven"
)
ITEM_COLUMNS = (
    "number, notice, kind, value, digests, referrer, ip, first_seen, last_seen, classification,"
    " note, state, since, removed, reason, path, repeat_of, deadline, late"
)
FILE_COLUMNS = (
    "item, role, volume, path, digests, category, action, quarantine_id, away, message, anchor"
)


class Counts(NamedTuple):
    """Numbers of open notices and of their open items, for ``status``.

    Attributes:
        open: number of open notices.
        items: number of open items of the open notices.
        due_soon: number of open notices that are due soon.
        overdue: number of open notices that are overdue.
        next_deadline: the earliest deadline of an open notice, in seconds since the epoch;
            ``None``: no notice is open.
    """

    open: int
    items: int
    due_soon: int
    overdue: int
    next_deadline: float | None


class Outcome(NamedTuple):
    """An item with its state and the times of its notice, for reports.

    Attributes:
        notice: id of the item's notice. In a list, items of the same notice follow each other.
        sender: the authority that orders the removal; without an authority, the sender of the
            notice.
        deadline: time by which the notice's item must be settled, as in ``Item``.
        reopened: how often the item of the notice was reopened.
        removed: time at which hashscan noticed the last removal of the item's files, even if the
            item was reopened later.
        late: whether the content was removed after the deadline that the item had then.
    """

    notice: str
    channel: Channel
    sender: str | None
    reference: str | None
    sent: float | None
    received: float
    deadline: float
    is_open: bool
    value: str
    state: ItemState
    reason: str
    removed: float | None
    is_repeat: bool
    reopened: int
    late: bool

    @property
    def begin(self) -> float:
        """The time at which the 24 hours for a removal start, as in ``Notice.begin``."""
        return begin(self.sent, self.received)


class NoticeReader(Closable):
    """A connection that reads the file of notices."""

    def __init__(self, path: str, connection: sqlite3.Connection | None = None) -> None:
        """Open the file of notices; create it if it is missing.

        ``connection``: an open connection to the file of notices; ``None``: connect to the file.

        Raises:
            StateError: the file of notices cannot be opened or used.
        """
        self.path = path
        self._connection = FORMAT.connect(path) if connection is None else connection

    def close(self) -> None:
        """Close the file of notices."""
        self._connection.close()

    def resolve(self, given: str) -> str:
        """The id of the only notice whose id ``given`` abbreviates.

        An abbreviation is the beginning of an id, the end of an id, or the beginning of the part of
        an id after the hyphen.

        Raises:
            UsageError: ``given`` abbreviates no notice, or several notices.
        """
        with self._translated():
            found = [
                row[0]
                for row in self._connection.execute(
                    "SELECT id FROM notice WHERE substr(id, 1, ?1) = ?2 OR substr(id, -?1) = ?2"
                    " OR substr(id, instr(id, '-') + 1, ?1) = ?2 ORDER BY id LIMIT 3",
                    (len(given), given),
                )
            ]
        if given and len(found) == 1:
            return str(found[0])
        if found:
            raise UsageError(f"{shown(given)} fits several notices; write more of the id")
        raise _no_notice(given)

    def notice(self, identifier: str) -> Notice:
        """The stored notice with this id.

        Raises:
            UsageError: no notice has this id.
        """
        with self._translated():
            self._require(identifier)
            return next(self._notices("WHERE id = ?", (identifier,)))

    def notices(self, *, only_open: bool = False) -> Iterator[Notice]:
        """The stored notices, sorted by deadline, earliest first."""
        with self._translated():
            yield from self._notices("WHERE closed IS NULL" if only_open else "", ())

    def first_due(self, since: float, until: float) -> Notice | None:
        """The open notice that is due first from ``since`` to ``until``; ``None``: no notice."""
        with self._translated():
            return next(
                self._notices(
                    "WHERE closed IS NULL AND deadline BETWEEN ? AND ?", (since, until), most=1
                ),
                None,
            )

    def first_unapproved(self) -> tuple[int, Notice | None]:
        """The number of open notices that wait for an approval, and the most urgent notice."""
        where = (
            "WHERE closed IS NULL AND unproven <> '' AND EXISTS"
            " (SELECT 1 FROM item WHERE item.notice = notice.id AND state = 'located')"
        )
        with self._translated():
            (number,) = self._connection.execute(
                f"SELECT count(*) FROM notice {where}"  # noqa: S608
            ).fetchone()
            return int(number), next(self._notices(where, (), most=1), None)

    def received_after(self, moment: float) -> int:
        """Number of open notices that arrived after ``moment``."""
        with self._translated():
            (number,) = self._connection.execute(
                "SELECT count(*) FROM notice WHERE closed IS NULL AND received > ?", (moment,)
            ).fetchone()
            return int(number)

    def _notices(
        self, where: str, values: tuple[str | float, ...], most: int = -1
    ) -> Iterator[Notice]:
        rows = self._connection.execute(
            f"SELECT {NOTICE_COLUMNS} FROM notice {where} ORDER BY deadline, id LIMIT ?",  # noqa: S608
            (*values, most),
        ).fetchall()
        for row in rows:
            states = self._connection.execute(
                "SELECT state, count(*) FROM item WHERE notice = ? GROUP BY state", (row[0],)
            )
            named: dict[str, Any] = dict(zip(NOTICE_COLUMNS.split(", "), row, strict=True))
            named["channel"] = Channel(named["channel"])
            named["remarks"] = tuple(json.loads(named["remarks"]))
            named["states"] = {ItemState(state): number for state, number in states}
            yield Notice(**named)

    def items(self, notice: str) -> list[Item]:
        """The items of a notice, in the order in which the notice names the items."""
        with self._translated():
            return list(self._items("WHERE notice = ? ORDER BY number", (notice,)))

    def item(self, number: int) -> Item:
        """The stored item with this number.

        Raises:
            UsageError: no item of a notice has this number.
        """
        with self._translated():
            for found in self._items("WHERE number = ?", (number,)):
                return found
        raise UsageError(f"there is no item {number}; 'hashscan notice list' shows the notices")

    def open_items(self, after: int = 0, most: int = 1000) -> list[Item]:
        """Up to ``most`` open items of notices (received, located) with numbers above ``after``."""
        where = "WHERE state IN ('received', 'located') AND number > ? ORDER BY number LIMIT ?"
        with self._translated():
            return list(self._items(where, (after, most)))

    def items_of(self, state: ItemState, after: int = 0, most: int = 1000) -> list[Item]:
        """Up to ``most`` items of notices in the given state, with item numbers above ``after``."""
        with self._translated():
            return list(
                self._items(
                    "WHERE state = ? AND number > ? ORDER BY number LIMIT ?",
                    (state.value, after, most),
                )
            )

    def _items(self, where: str, values: tuple[object, ...]) -> Iterator[Item]:
        for row in self._connection.execute(f"SELECT {ITEM_COLUMNS} FROM item {where}", values):  # noqa: S608
            digests = tuple(Digest(*one) for one in json.loads(row[4]))
            parsed = ParsedItem(ItemKind(row[2]), _text(row[3]), digests, *row[5:11])
            rest: tuple[Any, ...] = (*row[12:-1], bool(row[-1]))
            yield Item(row[0], row[1], parsed, ItemState(row[11]), *rest)

    def outcomes(self, since: float, until: float) -> Iterator[Outcome]:
        """Items of the notices that arrived from ``since`` to before ``until``, oldest first."""
        with self._translated():
            rows = self._connection.execute(
                "SELECT notice.id, channel, coalesce(authority, sender), reference, sent, received,"
                " item.deadline, closed IS NULL, value, state, item.reason, removed,"
                " item.repeat_of IS NOT NULL, coalesce(times, 0), late"
                " FROM notice JOIN item ON item.notice = notice.id"
                " LEFT JOIN (SELECT item, count(*) AS times FROM event WHERE kind = 'state'"
                " AND json_extract(detail, '$.to') = 'received' GROUP BY item) AS again"
                " ON again.item = item.number WHERE received >= ? AND received < ?"
                " ORDER BY received, notice.id, item.number",
                (since, until),
            )
            for row in rows:
                found = list(row)
                found[1] = Channel(row[1])
                found[8] = _text(row[8])
                found[9] = ItemState(row[9])
                found[14] = bool(row[14])
                yield Outcome._make(found)

    def open_before(self, since: float, now: float) -> tuple[int, int]:
        """Numbers of open and of overdue items in notices that arrived before ``since``."""
        with self._translated():
            row = self._connection.execute(
                "SELECT count(*), coalesce(sum(item.deadline < ?), 0) FROM item JOIN notice"
                " ON notice.id = item.notice WHERE state IN ('received', 'located')"
                " AND received < ?",
                (now, since),
            ).fetchone()
        return int(row[0]), int(row[1])

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[None]:
        """Within the block, hide changes that other processes make to the file of notices."""
        with self._translated():
            self._connection.execute("BEGIN")
        try:
            yield
        finally:
            self._connection.execute("ROLLBACK")

    def named(self, url: str, most: int) -> list[Item]:
        """Up to ``most`` items of notices that name a URL in any spelling, newest first."""
        with self._translated():
            return list(
                self._items("WHERE same = ? ORDER BY number DESC LIMIT ?", (same_as_url(url), most))
            )

    def removed_before(self, item: int) -> Item | None:
        """The last removed item with the URL, path or digest of ``item``; ``None``: no item."""
        where = (
            "WHERE same = (SELECT same FROM item WHERE number = ?) AND removed IS NOT NULL"
            " ORDER BY removed DESC LIMIT 1"
        )
        with self._translated():
            return next(self._items(where, (item,)), None)

    def was_back(self, item: int) -> bool:
        """Whether the content of a notice's item came back after the item's last removal."""
        was = False
        with self._translated():
            steps = self._connection.execute(
                "SELECT json_extract(detail, '$.to'), json_extract(detail, '$.reason') FROM event"
                " WHERE notice = (SELECT notice FROM item WHERE number = ?1) AND item = ?1"
                " AND kind = 'state' ORDER BY number",
                (item,),
            )
            for state, reason in steps:
                if state == ItemState.REMOVED:
                    was = False
                was = was or (state == ItemState.RECEIVED and str(reason).startswith(BACK))
        return was

    def settled_digests(self, most: int) -> list[tuple[int, Digest]]:
        """Numbers of removed and gone notice items, each with a digest of the item, latest first.

        The digests come from the sender of the notice and from the files that the item names.
        """
        with self._translated():
            rows = self._connection.execute(
                "SELECT number, digests FROM item WHERE state IN ('removed', 'gone')"
                " AND digests <> '[]' UNION ALL SELECT number, file.digests FROM item JOIN file"
                " ON file.item = number WHERE role = 'named' AND state IN ('removed', 'gone')"
                " ORDER BY number DESC LIMIT ?",
                (most,),
            ).fetchall()
        return [(number, Digest(*one)) for number, found in rows for one in json.loads(found)]

    def files(self, item: int) -> list[ItemFile]:
        """The files that belong to a notice's item; the files that the notice names come first."""
        with self._translated():
            rows = self._connection.execute(
                f"SELECT {FILE_COLUMNS} FROM file WHERE item = ?"  # noqa: S608
                " ORDER BY role <> 'named', role, volume, path",
                (item,),
            )
            return [
                ItemFile(
                    row[0],
                    Role(row[1]),
                    row[2],
                    row[3],
                    tuple(Digest(*one) for one in json.loads(row[4])),
                    *row[5:],
                )
                for row in rows
            ]

    def history(self, notice: str) -> list[NoticeEvent]:
        """The events in the history of a notice, oldest first.

        Raises:
            UsageError: no notice has this id.
        """
        with self._translated():
            self._require(notice)
            return list(self._events("WHERE notice = ?", (notice,)))

    def events(self, since: float, until: float) -> Iterator[NoticeEvent]:
        """The events from ``since`` to before ``until``, in the histories of all notices."""
        with self._translated():
            yield from self._events("WHERE time >= ? AND time < ?", (since, until))

    def _events(self, where: str, values: tuple[object, ...]) -> Iterator[NoticeEvent]:
        rows = self._connection.execute(
            f"SELECT number, notice, item, time, kind, detail FROM event {where}"  # noqa: S608
            " ORDER BY number",
            values,
        )
        for number, notice, item, moment, kind, detail in rows:
            yield NoticeEvent(number, notice, item, moment, EventKind(kind), json.loads(detail))

    def time_given(self, notice: str) -> float:
        """Seconds from ``Notice.begin`` to the first deadline of a notice.

        Raises:
            UsageError: no notice has this id.
        """
        with self._translated():
            self._require(notice)
            sent, received, deadline = self._connection.execute(
                "SELECT sent, received, coalesce(json_extract(detail, '$.deadline'), deadline)"
                " FROM notice"
                " JOIN event ON event.notice = notice.id WHERE id = ? AND kind = 'received'"
                " ORDER BY number LIMIT 1",
                (notice,),
            ).fetchone()
        # Round the result, because the difference of two floats is not exact.
        return round(float(deadline) - begin(sent, received), 3)

    def input(self, notice: str) -> bytes:
        """The evidence of a notice: its mail or file without attachments.

        Raises:
            UsageError: no notice has this id.
        """
        with self._translated():
            self._require(notice)
            (content,) = self._connection.execute(
                "SELECT content FROM input WHERE notice = ?", (notice,)
            ).fetchone()
            return zlib.decompress(content)

    def counts(self, now: float, soon: float) -> Counts:
        """How many notices and items are open at ``now``, due soon, and overdue.

        A notice counts as due soon if at most ``soon`` seconds are left until the deadline of the
        notice.
        """
        with self._translated():
            row = self._connection.execute(
                "SELECT count(*), coalesce(sum(deadline >= ?1 AND deadline <= ?1 + ?2), 0),"
                " coalesce(sum(deadline < ?1), 0), min(deadline) FROM notice WHERE closed IS NULL",
                (now, soon),
            ).fetchone()
            (items,) = self._connection.execute(
                "SELECT count(*) FROM item WHERE state IN ('received', 'located')"
            ).fetchone()
        return Counts(row[0], items, *row[1:])

    def _require(self, notice: str) -> None:
        if not self._connection.execute("SELECT 1 FROM notice WHERE id = ?", (notice,)).fetchone():
            raise _no_notice(notice)

    def _translated(self) -> contextlib.AbstractContextManager[None]:
        return FORMAT.translated(self.path)


def same_as_url(url: str) -> str:
    """The value of the column ``same`` for a notice's item with a URL."""
    return f"url {same_url_key(url)}"


def same_as(parsed: ParsedItem) -> str | bytes:
    """The value of the column ``same``: equal for items that name the same URL, path or digest."""
    if parsed.kind is ItemKind.URL:
        return same_as_url(parsed.value)
    return storable(f"{parsed.kind.value} {parsed.value}")


def storable(value: str) -> str | bytes:
    """``value`` in a form that SQLite can store; a path that is not UTF-8 becomes bytes."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return os.fsencode(value)
    return value


def _no_notice(identifier: str) -> UsageError:
    return UsageError(
        f"there is no notice {shown(identifier)}; 'hashscan notice list --all' shows their ids"
    )


def open_existing(path: str) -> NoticeReader | None:
    """Open the file of notices without changing it; ``None``: no notice was ever stored.

    Raises:
        StateError: the file of notices cannot be read.
    """
    connection = FORMAT.connect_to_read(path)
    return None if connection is None else NoticeReader(path, connection)


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else os.fsdecode(value)
