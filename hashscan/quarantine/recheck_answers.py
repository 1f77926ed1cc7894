"""The service's answers about digests in quarantine, in one SQLite file beside the catalog.

A *subject* is a confirmed digest with the content that has it: two contents with one MD5 are two
subjects. ``answer`` has the last answer about each subject, and since when the answer is
``unknown``. Times are kept with their span of the quarantine's timeline (``timeline``): no day
passes because a clock jumps. ``source`` has the size of the known set of each service.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Self

from hashscan.closable import Closable
from hashscan.database import Format
from hashscan.model import Digest

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from hashscan.timeline import Timeline

_SCHEMA = """
CREATE TABLE answer (
    service TEXT NOT NULL,
    algorithm TEXT NOT NULL,
    digest TEXT NOT NULL,
    content TEXT NOT NULL,
    known INTEGER NOT NULL,
    filters TEXT NOT NULL,
    asked REAL NOT NULL,
    asked_span TEXT NOT NULL,
    since REAL NOT NULL,
    since_span TEXT NOT NULL,
    state TEXT NOT NULL,
    held TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (service, algorithm, digest, content)
) WITHOUT ROWID;
CREATE TABLE source (service TEXT PRIMARY KEY, digests INTEGER NOT NULL) WITHOUT ROWID;
"""
FORMAT = Format(
    name="the file of answers about quarantined digests",
    application_id=0x68737764,  # "hswd"
    version=1,
    schema=_SCHEMA,
    migrations={},
    if_damaged="move it away: the daemon asks for each digest in quarantine again",
    synchronous="FULL",
)
#: States of an answer. ``unknown``: once, or for less than a day; ``ripe``: twice, a day apart;
#: ``accepted``: ripe, and an administrator agrees; ``withdrawn``: the records are marked;
#: ``checked``: the same, and an administrator knows.
KNOWN, UNKNOWN, RIPE, ACCEPTED = "known", "unknown", "ripe", "accepted"
WITHDRAWN, CHECKED = "withdrawn", "checked"

_PUT = """INSERT INTO answer VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (service, algorithm, digest, content) DO UPDATE SET known = excluded.known,
    filters = excluded.filters, asked = excluded.asked, asked_span = excluded.asked_span,
    since = excluded.since, since_span = excluded.since_span, state = excluded.state,
    held = excluded.held
    WHERE excluded.state <> 'ripe' OR state NOT IN ('accepted', 'withdrawn', 'checked')"""


class Subject(NamedTuple):
    """A confirmed digest, and the SHA-256 of the content that has it."""

    digest: Digest
    content: str


class When(NamedTuple):
    """A time of the wall clock, and the span of the timeline that it belongs to."""

    wall: float
    span: str

    @classmethod
    def now(cls, timeline: Timeline) -> Self:
        """The last moment of a timeline, whose spans must be on the disk."""
        return cls(timeline.last.wall, timeline.span)

    def age(self, timeline: Timeline) -> float:
        """Seconds that have certainly passed since."""
        return timeline.age(self.wall, self.span)


class Answered(NamedTuple):
    """The last answer about a subject.

    Attributes:
        filters: name of the known set at that time.
        asked: time of the answer.
        since: time of the first answer of this kind in a row.
        state: see the constants of this module.
        held: why the withdrawal waits for an administrator; empty: it does not.
    """

    subject: Subject
    known: bool
    filters: str
    asked: When
    since: When
    state: str
    held: str


class AskedStore(Closable):
    """Reads and changes the file; each change is one transaction, on the disk when it returns."""

    def __init__(self, path: str, connection: sqlite3.Connection) -> None:
        """Use ``open`` or ``to_read``."""
        self.path = path
        self._connection = connection

    @classmethod
    def open(cls, path: str) -> Self:
        """Open or make the file.

        Raises:
            StateError: it cannot be used.
        """
        return cls(path, FORMAT.connect(path))

    @classmethod
    def to_read(cls, path: str) -> Self | None:
        """Open the file without changing it; ``None``: nothing was asked yet.

        Raises:
            StateError: it cannot be used.
        """
        connection = FORMAT.connect_to_read(path)
        return None if connection is None else cls(path, connection)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def answers(self, service: str | None = None) -> dict[Subject, Answered]:
        """The last answers of a service, or of all."""
        with FORMAT.translated(self.path):
            rows = self._connection.execute(
                "SELECT algorithm, digest, content, known, filters, asked, asked_span, since,"
                " since_span, state, held FROM answer WHERE ?1 IS NULL OR service = ?1"
                " ORDER BY algorithm, digest, content",
                (service,),
            ).fetchall()
        found = {}
        for (
            algorithm,
            digest,
            content,
            known,
            filters,
            asked,
            span,
            since,
            since_span,
            *rest,
        ) in rows:
            subject = Subject(Digest(algorithm, digest), content)
            times = When(asked, span), When(since, since_span)
            found[subject] = Answered(subject, bool(known), filters, *times, *rest)
        return found

    def services(self) -> list[str]:
        """The services that answered."""
        with FORMAT.translated(self.path):
            rows = self._connection.execute("SELECT DISTINCT service FROM answer ORDER BY 1")
            return [service for (service,) in rows.fetchall()]

    def put(self, service: str, answers: Iterable[Answered]) -> None:
        """Store answers, and replace earlier answers about the same subjects.

        What an administrator accepted meanwhile, in another process, is kept.
        """
        with FORMAT.change(self._connection, self.path):
            self._connection.executemany(
                _PUT,
                [
                    (
                        service,
                        *one.subject.digest,
                        one.subject.content,
                        one.known,
                        one.filters,
                        *one.asked,
                        *one.since,
                        one.state,
                        one.held,
                    )
                    for one in answers
                ],
            )

    def forget(self, service: str, subjects: Iterable[Subject]) -> None:
        """Remove the answers about subjects that are no longer in quarantine."""
        with FORMAT.change(self._connection, self.path):
            self._connection.executemany(
                "DELETE FROM answer WHERE service = ? AND algorithm = ? AND digest = ?"
                " AND content = ?",
                [(service, *one.digest, one.content) for one in subjects],
            )

    def size(self, service: str) -> int | None:
        """Number of digests in the known set when it was last right; ``None``: never counted."""
        with FORMAT.translated(self.path):
            row = self._connection.execute(
                "SELECT digests FROM source WHERE service = ?", (service,)
            ).fetchone()
        return None if row is None else int(row[0])

    def put_size(self, service: str, digests: int | None) -> None:
        """Note the number of digests in the known set; ``None``: the next round counts them."""
        with FORMAT.change(self._connection, self.path):
            self._connection.execute("DELETE FROM source WHERE service = ?", (service,))
            if digests is not None:
                self._connection.execute("INSERT INTO source VALUES (?, ?)", (service, digests))


def held_withdrawals(path: str) -> tuple[int, str]:
    """Number of digests whose withdrawal waits for an administrator, and the reason of one.

    Raises:
        StateError: the file cannot be read.
    """
    asked = AskedStore.to_read(path)
    if asked is None:
        return 0, ""
    with asked:
        held = [one for service in asked.services() for one in asked.answers(service).values()]
    why = [one.held for one in held if one.held]
    return len(why), why[0] if why else ""
