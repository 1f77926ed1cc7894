"""The SQLite file of the service's answers about digests in quarantine, beside the catalog.

A *subject* is a confirmed digest together with the content: two contents with the same MD5 are two
subjects. The table ``answer`` has the last answer about each subject, and the time since which all
answers about the subject are equal. Each time is saved with its span of the quarantine's record of
the clock (``timeline``), so that a clock that jumps adds no day. The table ``source`` has the size
of each service's known set.
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
    if_damaged="move it away: the daemon then asks about each digest in quarantine again",
    synchronous="FULL",
)
#: States of a ``Subject``. ``unknown``: the service answered ``unknown`` once, or for less than a
#: day. ``ripe``: the service answered ``unknown`` twice, a day apart. ``accepted``: an
#: administrator accepts the withdrawal. ``withdrawn``: the records are marked. ``checked``: the
#: records are marked, and an administrator has checked the withdrawal.
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
    """A time of the wall clock, and the span of the quarantine's timeline that has the time."""

    wall: float
    span: str

    @classmethod
    def now(cls, timeline: Timeline) -> Self:
        """The last moment of the quarantine's timeline, which the caller has saved."""
        return cls(timeline.last.wall, timeline.span)

    def age(self, timeline: Timeline) -> float:
        """Seconds that have certainly passed since this time."""
        return timeline.age(self.wall, self.span)


class Answered(NamedTuple):
    """A service's last answer about a subject.

    Attributes:
        subject: the digest and the content that the service was asked about.
        known: whether the service knows the subject's digest.
        filters: name of the service's known set at the time of the answer.
        asked: time of the last answer.
        since: time of the earliest answer after which ``known`` did not change.
        state: state of the subject, one of the constants of this module, e.g. ``RIPE``.
        held: why the withdrawal waits for an administrator; empty: the withdrawal does not wait.
    """

    subject: Subject
    known: bool
    filters: str
    asked: When
    since: When
    state: str
    held: str


class AskedStore(Closable):
    """Reads and writes the file of answers; each change is on disk when its method returns."""

    def __init__(self, path: str, connection: sqlite3.Connection) -> None:
        """Use an open connection to the file of answers; callers use ``open`` or ``to_read``."""
        self.path = path
        self._connection = connection

    @classmethod
    def open(cls, path: str) -> Self:
        """Open the SQLite file of answers, or make the file.

        Raises:
            StateError: the file cannot be used.
        """
        return cls(path, FORMAT.connect(path))

    @classmethod
    def to_read(cls, path: str) -> Self | None:
        """Open the file of answers to read it; ``None``: the file does not exist yet.

        Raises:
            StateError: the file cannot be used.
        """
        connection = FORMAT.connect_to_read(path)
        return None if connection is None else cls(path, connection)

    def close(self) -> None:
        """Close the file of answers."""
        self._connection.close()

    def answers(self, service: str | None = None) -> dict[Subject, Answered]:
        """The last answers of one service; without ``service``, of all services."""
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
        """Names of the services that have answers in the file."""
        with FORMAT.translated(self.path):
            rows = self._connection.execute("SELECT DISTINCT service FROM answer ORDER BY 1")
            return [service for (service,) in rows.fetchall()]

    def put(self, service: str, answers: Iterable[Answered]) -> None:
        """Save answers, which replace earlier answers about the same subjects.

        If an administrator accepted a withdrawal meanwhile, in another process, the state
        ``accepted`` is kept.
        """
        with FORMAT.change(self._connection, self.path):
            self._connection.executemany(
                _PUT,
                [
                    (
                        service,
                        *answer.subject.digest,
                        answer.subject.content,
                        answer.known,
                        answer.filters,
                        *answer.asked,
                        *answer.since,
                        answer.state,
                        answer.held,
                    )
                    for answer in answers
                ],
            )

    def forget(self, service: str, subjects: Iterable[Subject]) -> None:
        """Remove the answers about subjects that are no longer in quarantine."""
        with FORMAT.change(self._connection, self.path):
            self._connection.executemany(
                "DELETE FROM answer WHERE service = ? AND algorithm = ? AND digest = ?"
                " AND content = ?",
                [(service, *subject.digest, subject.content) for subject in subjects],
            )

    def size(self, service: str) -> int | None:
        """Number of digests in the last known set that was right; ``None``: never counted."""
        with FORMAT.translated(self.path):
            row = self._connection.execute(
                "SELECT digests FROM source WHERE service = ?", (service,)
            ).fetchone()
        return None if row is None else int(row[0])

    def put_size(self, service: str, digests: int | None) -> None:
        """Save the number of digests in the known set; ``None``: the next recheck counts them."""
        with FORMAT.change(self._connection, self.path):
            self._connection.execute("DELETE FROM source WHERE service = ?", (service,))
            if digests is not None:
                self._connection.execute("INSERT INTO source VALUES (?, ?)", (service, digests))


def held_withdrawals(path: str) -> tuple[int, str]:
    """Number of withdrawals that wait for an administrator, and the first withdrawal's reason.

    Raises:
        StateError: the file of answers cannot be read.
    """
    asked = AskedStore.to_read(path)
    if asked is None:
        return 0, ""
    with asked:
        answers = [
            answer for service in asked.services() for answer in asked.answers(service).values()
        ]
    reasons = [answer.held for answer in answers if answer.held]
    return len(reasons), reasons[0] if reasons else ""
