"""The outbox: a database that has each message before a notifier tries to send the message.

Each method that changes the outbox is one transaction, and its change is on the disk when the
method returns. The transaction that queues the events of a line of the audit log also notes the
number of this line as the last line that was read. So the outbox queues each line exactly once,
also if the process is killed at any moment.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict, dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

from hashscan.closable import Closable
from hashscan.config.notify import EVENTS
from hashscan.files import NOTIFICATIONS
from hashscan.notify.message import MOST_EVENTS, Event, Message, new_id
from hashscan.notify.schema import FORMAT
from hashscan.text import counted

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterable, Iterator

#: Seconds after which the outbox drops a message that its receiver does not accept.
LONGEST = 7 * 86400.0
#: Largest number of owners with waiting events, for one receiver.
_MOST_RECIPIENTS = 10_000
#: Largest number of refused messages that the outbox keeps for one receiver.
MOST_REFUSED = 50
#: Largest number of bytes of a message's events as JSON. Web servers refuse requests of more than a
#: megabyte, and customers choose how long the names of their files are.
_MOST_BYTES = 64 << 10


class WaitingMessage(NamedTuple):
    """Events for one recipient that no message has yet.

    Attributes:
        first: time of the first of these events.
        kinds: the kinds of these events.
    """

    recipient: str
    first: float
    kinds: frozenset[str]


@dataclass(frozen=True, slots=True)
class Queued:
    """A message in the outbox; ``tries``: the number of failed attempts to send the message."""

    number: int
    message: Message
    tries: int


class Route(NamedTuple):
    """An event for one recipient of one receiver; ``at``: the event's time in seconds."""

    receiver: str
    recipient: str
    event: Event
    at: float


class Outbox(Closable):
    """The outbox of a state directory: the messages that receivers did not accept yet."""

    def __init__(self, directory: str) -> None:
        """Open the outbox's file; make the file if it is missing.

        Raises:
            StateError: the outbox's file cannot be used.
        """
        self._path = os.path.join(directory, NOTIFICATIONS)
        self._connection = FORMAT.connect(self._path)

    def close(self) -> None:
        """Close the outbox's file."""
        self._connection.close()

    @contextlib.contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        with FORMAT.translated(self._path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    # Methods for the lines of the audit log.

    @property
    def position(self) -> int | None:
        """Return the number of the audit log's last read line; ``None``: no line was read."""
        with FORMAT.translated(self._path):
            row = self._connection.execute("SELECT seq FROM position").fetchone()
        return None if row is None else int(row[0])

    def begin_at(self, seq: int) -> None:
        """Set the number of the last read line to ``seq``, unless the outbox has a number."""
        with self._change() as connection:
            connection.execute("INSERT OR IGNORE INTO position VALUES (1, ?)", (seq,))

    def queue(self, routes: Iterable[Route], seq: int) -> None:
        """Queue events, and note ``seq`` as the number of the audit log's last read line."""
        numbers: dict[tuple[str, str, str], int] = {}
        times: dict[tuple[str, str, str], float] = {}
        samples: dict[tuple[str, str], list[Event]] = {}
        for receiver, recipient, event, at in routes:
            key = (receiver, recipient, event.kind)
            times.setdefault(key, at)
            numbers[key] = numbers.get(key, 0) + 1
            some = samples.setdefault((receiver, recipient), [])
            if len(some) < MOST_EVENTS:
                some.append(event)
        with self._change() as connection:
            full = self._full(connection, {receiver for receiver, _, _ in numbers})
            for (receiver, recipient, kind), number in numbers.items():
                if receiver in full and not self._waits(connection, receiver, recipient):
                    self._drop(connection, receiver, number)
                    samples.pop((receiver, recipient), None)
                    continue
                connection.execute(
                    "INSERT INTO waiting VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE"
                    " SET number = number + excluded.number",
                    (receiver, recipient, kind, number, times[receiver, recipient, kind]),
                )
            for (receiver, recipient), some in samples.items():
                (kept,) = connection.execute(
                    "SELECT count(*) FROM sample WHERE receiver = ? AND recipient = ?",
                    (receiver, recipient),
                ).fetchone()
                connection.executemany(
                    "INSERT INTO sample (receiver, recipient, event) VALUES (?, ?, ?)",
                    (
                        (receiver, recipient, json.dumps(asdict(one), separators=(",", ":")))
                        for one in some[: max(0, MOST_EVENTS - kept)]
                    ),
                )
            connection.execute("UPDATE position SET seq = ?", (seq,))

    def _full(self, connection: sqlite3.Connection, receivers: Iterable[str]) -> set[str]:
        """Return the receivers that have as many waiting recipients as hashscan permits."""
        found = set()
        for receiver in receivers:
            (number,) = connection.execute(
                "SELECT count(DISTINCT recipient) FROM waiting WHERE receiver = ?", (receiver,)
            ).fetchone()
            if number >= _MOST_RECIPIENTS:
                found.add(receiver)
        return found

    def _waits(self, connection: sqlite3.Connection, receiver: str, recipient: str) -> bool:
        return (
            connection.execute(
                "SELECT 1 FROM waiting WHERE receiver = ? AND recipient = ? LIMIT 1",
                (receiver, recipient),
            ).fetchone()
            is not None
        )

    def _drop(self, connection: sqlite3.Connection, receiver: str, number: int) -> None:
        self._note(connection, receiver)
        connection.execute(
            "UPDATE receiver SET dropped = dropped + ?1, dropped_total = dropped_total + ?1"
            " WHERE name = ?2",
            (number, receiver),
        )

    # Methods for messages.

    def waiting(self, receiver: str) -> list[WaitingMessage]:
        """Return a receiver's recipients that have waiting events, and no message being sent.

        A refused message does not count as being sent. The recipient whose events have waited
        longest comes first.
        """
        with FORMAT.translated(self._path):
            rows = self._connection.execute(
                "SELECT recipient, min(first), group_concat(kind) FROM waiting WHERE receiver = ?1"
                " AND recipient NOT IN (SELECT recipient FROM message WHERE receiver = ?1"
                " AND NOT refused) GROUP BY recipient ORDER BY 2",
                (receiver,),
            )
            return [
                WaitingMessage(to, first, frozenset(kinds.split(","))) for to, first, kinds in rows
            ]

    def made_at(self, receiver: str) -> dict[str, dict[str, float]]:
        """Return the time of the last message about each kind of event, by recipient."""
        found: dict[str, dict[str, float]] = {}
        with FORMAT.translated(self._path):
            for recipient, kind, at in self._connection.execute(
                "SELECT recipient, kind, at FROM made WHERE receiver = ?", (receiver,)
            ):
                found.setdefault(recipient, {})[kind] = at
        return found

    def make(self, receiver: str, recipient: str, host: str, now: float) -> None:
        """Make one message of all events that wait for a recipient."""
        with self._change() as connection:
            found = dict(
                connection.execute(
                    "SELECT kind, number FROM waiting WHERE receiver = ? AND recipient = ?",
                    (receiver, recipient),
                ).fetchall()
            )
            events = connection.execute(
                "SELECT event FROM sample WHERE receiver = ? AND recipient = ? ORDER BY number",
                (receiver, recipient),
            ).fetchall()
            row = connection.execute(
                "SELECT dropped FROM receiver WHERE name = ?", (receiver,)
            ).fetchone()
            message = Message(
                new_id(),
                host,
                now,
                {kind: found[kind] for kind in EVENTS if kind in found},
                tuple(Event(**json.loads(one)) for one in _first([one for (one,) in events])),
                recipient,
                _dropped(row[0] if row else 0),
            )
            connection.execute(
                "INSERT INTO message (receiver, recipient, made, content, events, next)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (receiver, recipient, now, message.to_json(), sum(found.values()), now),
            )
            for table in ("waiting", "sample"):
                connection.execute(
                    f"DELETE FROM {table} WHERE receiver = ? AND recipient = ?",  # noqa: S608
                    (receiver, recipient),
                )
            connection.executemany(
                "INSERT OR REPLACE INTO made VALUES (?, ?, ?, ?)",
                [(receiver, recipient, kind, now) for kind in found],
            )
            # Try the oldest refused message first, so that messages arrive in their order if
            # possible.
            connection.execute(
                "UPDATE message SET next = ?3 WHERE next > ?3 AND number = (SELECT min(number) FROM"
                " message WHERE receiver = ?1 AND recipient = ?2 AND refused = 1)",
                (receiver, recipient, now),
            )
            connection.execute("UPDATE receiver SET dropped = 0 WHERE name = ?", (receiver,))

    def next_message(self, receiver: str, now: float) -> Queued | None:
        """Mark a receiver's oldest message that is due as ``sending``, and return the message."""
        with FORMAT.translated(self._path):
            row = self._connection.execute(
                "SELECT number, content, may_repeat, tries FROM message WHERE receiver = ?"
                " AND next <= ? AND NOT sending ORDER BY number LIMIT 1",
                (receiver, now),
            ).fetchone()
        if row is None:
            return None
        number, content, may_repeat, tries = row
        with self._change() as connection:
            connection.execute("UPDATE message SET sending = 1 WHERE number = ?", (number,))
        return Queued(number, Message.from_json(content, may_repeat=bool(may_repeat)), tries)

    def sent(self, number: int, now: float) -> None:
        """Note that the receiver accepted a message."""
        with self._change() as connection:
            recipient, refused = connection.execute(
                "SELECT recipient, refused FROM message WHERE number = ?", (number,)
            ).fetchone()
            receiver = self._remove(connection, number)
            where = "WHERE receiver = ? AND recipient = ? AND refused = 1"
            if refused:  # The receiver accepts all messages again.
                connection.execute(
                    f"UPDATE message SET next = ? {where}",  # noqa: S608
                    (now, receiver, recipient),
                )
            else:  # The receiver refuses only the earlier messages.
                connection.execute(
                    f"UPDATE message SET refused = 2 {where}",  # noqa: S608
                    (receiver, recipient),
                )
            connection.execute(
                "UPDATE receiver SET sent = sent + 1, last_sent = ?, trouble = '',"
                " trouble_since = NULL WHERE name = ?",
                (now, receiver),
            )

    def failed(self, number: int, why: str, again: float, now: float, *, unsure: bool) -> None:
        """Note that the receiver did not accept a message; ``again``: time of the next attempt."""
        with self._change() as connection:
            (receiver,) = connection.execute(
                "UPDATE message SET sending = 0, tries = tries + 1, next = ?,"
                " may_repeat = may_repeat OR ? WHERE number = ? RETURNING receiver",
                (again, unsure, number),
            ).fetchone()
            self._note(connection, receiver)
            connection.execute(
                "UPDATE receiver SET trouble = ?, trouble_since = coalesce(trouble_since, ?)"
                " WHERE name = ?",
                (why, now, receiver),
            )

    def refused(self, number: int, why: str, again: float, now: float) -> list[str]:
        """Note that the receiver refused a message; ``again``: time of the next attempt.

        Later messages do not wait for a refused message. If the outbox has too many refused
        messages, this method drops the oldest refused message, and returns lines for hashscan's own
        log.
        """
        with self._change() as connection:
            (receiver,) = connection.execute(
                "UPDATE message SET sending = 0, tries = tries + 1, next = ?,"
                " refused = max(refused, 1) WHERE number = ? RETURNING receiver",
                (again, number),
            ).fetchone()
            self._note(connection, receiver)
            connection.execute(
                "UPDATE receiver SET refused_why = ? WHERE name = ?", (why, receiver)
            )
            kept, oldest = connection.execute(
                "SELECT count(*), min(number) FROM message WHERE receiver = ? AND refused",
                (receiver,),
            ).fetchone()
            if kept <= MOST_REFUSED:
                return []
            _, events = self._give_up(connection, oldest, now)
        said = (
            f"notify {receiver}: {counted(events, 'event')} dropped, because the receiver refuses"
        )
        said += f" messages, and no more than {MOST_REFUSED} are kept; 'hashscan history' has them"
        return [said]

    def give_up(self, number: int, why: str, now: float) -> None:
        """Drop a message that no recipient can get, and note the reason."""
        with self._change() as connection:
            receiver, _ = self._give_up(connection, number, now)
            connection.execute(
                "UPDATE receiver SET refused_why = ? WHERE name = ?", (why, receiver)
            )

    def _give_up(self, connection: sqlite3.Connection, number: int, now: float) -> tuple[str, int]:
        """Drop a message; return the message's receiver and the number of the message's events."""
        (events,) = connection.execute(
            "SELECT events FROM message WHERE number = ?", (number,)
        ).fetchone()
        receiver = self._remove(connection, number)
        self._drop(connection, receiver, events)
        connection.execute(
            "UPDATE receiver SET given_up = given_up + 1, given_up_at = ? WHERE name = ?",
            (now, receiver),
        )
        return receiver, int(events)

    def _remove(self, connection: sqlite3.Connection, number: int) -> str:
        (receiver,) = connection.execute(
            "DELETE FROM message WHERE number = ? RETURNING receiver", (number,)
        ).fetchone()
        self._note(connection, receiver)
        return str(receiver)

    def _note(self, connection: sqlite3.Connection, receiver: str) -> None:
        connection.execute("INSERT OR IGNORE INTO receiver (name) VALUES (?)", (receiver,))

    # Methods for the upkeep of the outbox.

    def take_over(self, receivers: Collection[str], now: float) -> list[str]:
        """Prepare to send: note interrupted messages, and remove messages of unknown receivers.

        The caller holds the lock of the outbox. Returns lines for hashscan's own log.
        """
        said = []
        marks = ", ".join("?" * len(receivers))
        with self._change() as connection:
            connection.execute("UPDATE message SET sending = 0, may_repeat = 1 WHERE sending")
            self._set_back(connection, now)
            connection.execute("UPDATE made SET at = ?1 WHERE at > ?1", (now,))
            for table in ("message", "waiting"):
                column = "events" if table == "message" else "number"
                rows = connection.execute(
                    f"SELECT receiver, sum({column}) FROM {table}"  # noqa: S608
                    f" WHERE receiver NOT IN ({marks}) GROUP BY receiver",
                    tuple(receivers),
                ).fetchall()
                said += [
                    f"notify: {counted(number, 'event')} for {name} are not sent, because the"
                    " configuration has no such receiver any more"
                    for name, number in rows
                ]
            for table in ("message", "waiting", "sample", "made"):
                connection.execute(
                    f"DELETE FROM {table} WHERE receiver NOT IN ({marks})",  # noqa: S608
                    tuple(receivers),
                )
            connection.execute(
                f"DELETE FROM receiver WHERE name NOT IN ({marks})",  # noqa: S608
                tuple(receivers),
            )
        return said

    def set_back(self, now: float) -> None:
        """Send messages soon whose next attempt is too far away because the clock was set back."""
        with self._change() as connection:
            self._set_back(connection, now)

    def _set_back(self, connection: sqlite3.Connection, now: float) -> None:
        connection.execute(
            "UPDATE message SET next = ?1 WHERE next > ?1 + iif(refused, 86400, 7200)", (now,)
        )

    def expire(self, now: float) -> list[str]:
        """Drop the messages that are too old; return lines for hashscan's own log."""
        with FORMAT.translated(self._path):
            rows = self._connection.execute(
                "SELECT number, receiver, events FROM message WHERE made < ? AND NOT sending",
                (now - LONGEST,),
            ).fetchall()
        said = []
        for number, receiver, events in rows:
            with self._change() as connection:
                self._remove(connection, number)
                self._drop(connection, receiver, events)
            said.append(
                f"notify {receiver}: {counted(events, 'event')} dropped, because the receiver has"
                " not accepted the message for 7 days; 'hashscan history' has them"
            )
        return said

    def forget_made(self, receiver: str, before: float) -> None:
        """Remove the notes of the times of messages that were made ``before`` a time."""
        with self._change() as connection:
            connection.execute("DELETE FROM made WHERE receiver = ? AND at < ?", (receiver, before))

    def works_again(self, receiver: str, now: float) -> None:
        """Send a receiver's waiting messages now: the receiver accepted a test message."""
        with self._change() as connection:
            connection.execute(
                "UPDATE message SET next = ?, tries = 0, refused = min(refused, 1)"
                " WHERE receiver = ? AND NOT sending",
                (now, receiver),
            )
            connection.execute(
                "UPDATE receiver SET trouble = '', trouble_since = NULL, given_up = 0,"
                " refused_why = '' WHERE name = ?",
                (receiver,),
            )


def _first(events: list[str]) -> list[str]:
    """Return the first of some events: as many as a message may have, but at least one."""
    sizes = zip(events, accumulate(map(len, events)), strict=True)
    return [one for one, size in sizes if size <= _MOST_BYTES] or events[:1]


def _dropped(number: int) -> str:
    if not number:
        return ""
    return (
        f"{counted(number, 'earlier event')} {'is' if number == 1 else 'are'} in no message,"
        " because a message was refused or could not be sent for 7 days, or too many waited:"
        " 'hashscan history' shows all events."
    )
