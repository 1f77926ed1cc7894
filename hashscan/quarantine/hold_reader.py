"""Reads the SQLite file of holds (matches that a brake holds); see ``holds``."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from dataclasses import replace
from typing import TYPE_CHECKING

from hashscan.closable import Closable
from hashscan.errors import UsageError
from hashscan.model import Digest, FileDigests
from hashscan.quarantine.hold_types import (
    FILE_COLUMNS,
    FORMAT,
    HOLD_COLUMNS,
    HeldFile,
    Hold,
    HoldKind,
    HoldState,
)
from hashscan.timeline import Timeline, instant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    from hashscan.timeline import Instant


class HoldReader(Closable):
    """Reads holds and the held files."""

    def __init__(
        self,
        path: str,
        now: Callable[[], Instant] = instant,
        connection: sqlite3.Connection | None = None,
    ) -> None:
        """Open the SQLite file of holds at ``path``, or make the file.

        Args:
            path: path of the SQLite file of holds.
            now: reads the machine's clocks, and returns the result as an ``Instant``.
            connection: connection to the file of holds, if the file is open already.

        Raises:
            StateError: the file of holds is damaged, or cannot be written.
        """
        self.path = path
        self._now = now
        self._connection = connection or FORMAT.connect(path)

    def close(self) -> None:
        """Close the file of holds."""
        self._connection.close()

    def get(self, number: int) -> Hold:
        """The hold with the number ``number``.

        Raises:
            UsageError: no hold has the number.
        """
        found = self._holds("number = ?", (number,))
        if not found:
            raise UsageError(f"there is no hold H{number}; 'hashscan hold list --all' lists all")
        return found[0]

    def holds(self, *, every: bool = False) -> list[Hold]:
        """The holds that wait for a decision, the oldest hold first; with ``every``, all holds."""
        return self._holds("1" if every else "state = 'held'", ())

    def with_digest(self, digest: Digest) -> list[Hold]:
        """The holds in which a held file or the hold's rule has the given digest."""
        condition = (
            "number IN (SELECT hold FROM hold_digest WHERE algorithm = ?1 AND digest = ?2"  # noqa: S608
            f" UNION SELECT hold FROM held WHERE {digest.algorithm} = ?2)"
        )
        return self._holds(condition, (digest.algorithm, bytes.fromhex(digest.hex)))

    def decided(self, numbers: Iterable[int]) -> list[int]:
        """The numbers, of ``numbers``, whose holds are decided or do not exist."""
        with FORMAT.translated(self.path):
            rows = self._connection.execute("SELECT number FROM hold WHERE state = 'held'")
            waiting = {number for (number,) in rows}
        return [number for number in numbers if number not in waiting]

    def files(self, number: int) -> Iterator[HeldFile]:
        """The held files of a hold, ordered by volume and path."""
        with FORMAT.translated(self.path):
            for row in self._connection.execute(
                f"SELECT {FILE_COLUMNS} FROM held WHERE hold = ? ORDER BY volume, path",  # noqa: S608
                (number,),
            ):
                volume, path, uid, size, md5, sha1, sha256, since, match = row
                digests = FileDigests(md5, sha1, sha256)
                yield HeldFile(volume, path, uid, size, digests, since, json.loads(match))

    def digests(self, number: int) -> list[Digest]:
        """The digests of a hold's rule, and the digests of the hold's files."""
        found = dict.fromkeys(self.own_digests(number))
        for file in self.files(number):
            found |= dict.fromkeys(file.digests.each())
        return list(found)

    def own_digests(self, number: int) -> list[Digest]:
        """The digests of a hold's rule: the brake holds every file with one of these digests."""
        with FORMAT.translated(self.path):
            rows = self._connection.execute(
                "SELECT algorithm, digest FROM hold_digest WHERE hold = ?", (number,)
            ).fetchall()
        return [Digest(name, raw.hex()) for name, raw in rows]

    def _holds(self, condition: str, values: tuple[object, ...]) -> list[Hold]:
        with FORMAT.translated(self.path):
            rows = self._connection.execute(
                f"SELECT {HOLD_COLUMNS} FROM hold WHERE {condition} ORDER BY number",  # noqa: S608
                values,
            ).fetchall()
            return [self._counted(row) for row in rows]

    def _without_counts(self, number: int) -> Hold:
        """A hold without the numbers of its files and owners, because counting them is slow."""
        (row,) = self._connection.execute(
            f"SELECT {HOLD_COLUMNS} FROM hold WHERE number = ?",  # noqa: S608
            (number,),
        ).fetchall()
        return _hold(row)

    def _counted(self, row: tuple[Any, ...]) -> Hold:
        number, *_ = row
        hold = _hold(row)
        if hold.state is not HoldState.HELD:
            return hold
        files, owners = self._connection.execute(
            "SELECT count(*), count(DISTINCT uid) FROM held WHERE hold = ?", (number,)
        ).fetchone()
        return replace(hold, files=files, owners=owners)

    def _tick(self) -> float:
        """The current time in seconds of the ``Timeline``, which is saved in the file of holds."""
        row = self._connection.execute("SELECT timeline FROM clock").fetchone()
        timeline = None if row is None else Timeline.parse(row[0])
        now = self._now()
        timeline = Timeline.begin(now) if timeline is None else timeline.at(now)
        self._connection.execute(
            "INSERT OR REPLACE INTO clock VALUES (1, ?)", (timeline.to_json(),)
        )
        return timeline.counted

    @contextlib.contextmanager
    def _change(self, *, durably: bool = True) -> Iterator[None]:
        """Run a ``with`` block in one transaction, which is undone if the block raises an error.

        With ``durably``, the change is on the disk when the block ends. Otherwise a power cut can
        undo the change, but a kill cannot.
        """
        with FORMAT.translated(self.path):
            if not durably:
                self._connection.execute("PRAGMA synchronous = NORMAL")
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                try:
                    yield
                    self._connection.execute("COMMIT")
                except BaseException:
                    if self._connection.in_transaction:
                        with contextlib.suppress(sqlite3.Error):
                            self._connection.execute("ROLLBACK")
                    raise
            finally:
                self._connection.execute("PRAGMA synchronous = FULL")


def _hold(row: tuple[Any, ...]) -> Hold:
    number, kind, state, *facts = row
    return Hold(f"H{number}", HoldKind(kind), HoldState(state), *facts)
