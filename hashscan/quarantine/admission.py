"""Decides whether a match may move to quarantine or a brake holds it; counts the moved files."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

from hashscan.config.values import human_percent
from hashscan.model import ALGORITHMS, FileDigests
from hashscan.quarantine.brake_limits import HOUR, Scope, too_many_owners, tripped
from hashscan.quarantine.hold_reader import HoldReader
from hashscan.quarantine.hold_types import BY_DIGEST, FORMAT, HoldKind, HoldState, facts_of
from hashscan.text import counted, human_age, shown
from hashscan.timeline import instant

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable

    from hashscan.model import Candidate, Confirmed, Digest
    from hashscan.quarantine.brake_limits import BrakeLimits
    from hashscan.quarantine.hold_types import Hold
    from hashscan.timeline import Instant


#: Maximum number of files of one owner that a hold lists; the hold's rule also applies to files
#: that the hold does not list. An owner who makes and removes copies all day must not fill the disk
#: of the state directory: on a full disk, no customer's file could be moved.
_MOST_LISTED = 100_000


class Admission(HoldReader):
    """Counts a file before it moves to quarantine; or holds the file, if a brake trips."""

    def __init__(
        self,
        path: str,
        now: Callable[[], Instant] = instant,
        connection: sqlite3.Connection | None = None,
    ) -> None:
        """Open the SQLite file of holds; see ``HoldReader``."""
        super().__init__(path, now, connection)
        #: Number of files that a hold lists, by hold and owner; never less than the true number.
        self._listed: dict[tuple[int, int], int] = {}

    def admit(
        self,
        match: Confirmed,
        limits: BrakeLimits,
        volume_files: Callable[[], int | None] = lambda: None,
    ) -> Hold | None:
        """Count a file that may move and return ``None``; or hold the file and return its hold.

        Args:
            match: the match whose file is counted or held.
            limits: the limits at which the brakes trip.
            volume_files: returns the number of files on the match's volume; ``None``: unknown.

        Returns:
            The file's hold, without the numbers of held files and owners; ``None``: the file may
            move.

        Raises:
            StateError: the file of holds cannot be used.
        """
        with FORMAT.translated(self.path):
            hold = self._holding(match)
        if hold is not None:
            with self._change(durably=False):
                # Another process may have saved a decision about the hold meanwhile.
                if self._holding(match) == hold:
                    self._put_held(hold, match)
                    return self._without_counts(hold)
        with self._change():
            hold = self._holding(match)
            if hold is None and not self._was_counted(match.candidate):
                hold = self._open_if_tripped(match, limits, volume_files)
            if hold is not None:
                self._put_held(hold, match)
                return self._without_counts(hold)
            # A released file is not counted: a release must not trip a brake for other files.
            if not self._is_released_file(match.candidate):
                self._count(match.candidate, limits)
        return None

    def moved(self, candidate: Candidate, digests: FileDigests | None = None) -> None:
        """Save that a counted file was moved to quarantine.

        Args:
            candidate: the file that was moved.
            digests: all digests of the file; ``None``: only the digests of ``candidate`` are known.
        """
        md5, sha1, sha256 = digests or candidate.digests
        with self._change(durably=False):
            self._connection.execute(
                "UPDATE moved SET done = 1, md5 = coalesce(?, md5), sha1 = coalesce(?, sha1),"
                " sha256 = coalesce(?, sha256) WHERE (volume, path, device, inode, uid)"
                " = (?, ?, ?, ?, ?)",
                (md5, sha1, sha256, *_key(candidate)),
            )
            self._connection.execute(
                "DELETE FROM held WHERE volume = ? AND path = ?", (candidate.volume, candidate.path)
            )

    def not_moved(self, candidate: Candidate) -> None:
        """Remove a counted file from the counts, because its move failed."""
        with self._change(durably=False):
            self._connection.execute(
                "DELETE FROM moved WHERE done = 0 AND (volume, path, device, inode, uid)"
                " = (?, ?, ?, ?, ?)",
                _key(candidate),
            )

    def _was_counted(self, candidate: Candidate) -> bool:
        """Whether an earlier process counted the file, but a kill ended the file's move."""
        return (
            self._connection.execute(
                "SELECT 1 FROM moved WHERE done = 0 AND (volume, path, device, inode, uid)"
                " = (?, ?, ?, ?, ?)",
                _key(candidate),
            ).fetchone()
            is not None
        )

    def _count(self, candidate: Candidate, limits: BrakeLimits) -> None:
        now = self._tick()
        self._connection.execute(
            "DELETE FROM moved WHERE at < ?", (now - max(limits.window, HOUR),)
        )
        self._connection.execute(
            "INSERT OR REPLACE INTO moved VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0)",
            (*_key(candidate), *candidate.digests, now),
        )

    def _holding(self, match: Confirmed) -> int | None:
        """The number of the hold that lists the file or has a rule for it; ``None``: no hold."""
        candidate = match.candidate
        if self._was_counted(candidate):
            return None
        row = self._connection.execute(
            "SELECT held.hold, hold.state, hold.kind, held.md5, held.sha1, held.sha256 FROM held"
            " JOIN hold ON hold.number = held.hold WHERE held.volume = ? AND held.path = ?",
            (candidate.volume, candidate.path),
        ).fetchone()
        is_named = match.named
        if row is not None and is_same(FileDigests(*row[3:]), candidate.digests):
            if row[1] == HoldState.RELEASED:
                return None
            if row[1] == HoldState.HELD and not (is_named and row[2] in BY_DIGEST):
                return int(row[0])
        if not is_named:
            for digest in candidate.digests.each():
                found = self._connection.execute(
                    "SELECT hold.number FROM hold_digest JOIN hold ON number = hold"
                    " WHERE algorithm = ? AND digest = ? AND state = 'held'"
                    " AND (uid IS NULL OR uid = ?) ORDER BY number LIMIT 1",
                    (digest.algorithm, bytes.fromhex(digest.hex), candidate.uid),
                ).fetchone()
                if found is not None:
                    return int(found[0])
        found = self._connection.execute(
            "SELECT number FROM hold WHERE state = 'held' AND (uid IS NULL OR uid = ?1)"
            # A hold of a list with more than MOST_DIGESTS applies to later versions of the list,
            # too.
            " AND (kind = 'rate' OR (kind = 'share' AND volume = ?2) OR (kind = 'list' AND ?3"
            " AND category = ?4 AND volume = x''))"
            " ORDER BY number LIMIT 1",
            (
                candidate.uid,
                candidate.volume,
                not is_named,
                match.hit.category,
            ),
        ).fetchone()
        return None if found is None else int(found[0])

    def _open_if_tripped(
        self, match: Confirmed, limits: BrakeLimits, volume_files: Callable[[], int | None]
    ) -> int | None:
        """Open a hold if a brake trips at a file; return the hold's number, or ``None``."""
        candidate, now = match.candidate, self._tick()
        if self._is_released_file(candidate):
            return None
        since = now - limits.window
        if not match.named and not self._is_released_digest(candidate.digests, since):
            counts, is_counted = self._by_owner(candidate, since)
            window = human_age(limits.window)
            if too_many_owners(counts, candidate.uid, limits.owners):
                reason = (
                    f"files with the same digest moved from {counted(len(counts), 'owner')} within"
                    f" {window} (brakes.owners)"
                )
                return self._open(HoldKind.DIGEST, reason, digests=candidate.digests)
            scope = None if is_counted else tripped(counts, candidate.uid, limits.files)
            if scope is not None:
                number = counts[candidate.uid] if scope is Scope.OWNER else counts.total()
                whose = f" of user {candidate.uid}" if scope is Scope.OWNER else ""
                reason = (
                    f"{counted(number, 'file')}{whose} with the same digest moved within {window}"
                    " (brakes.files)"
                )
                uid = candidate.uid if scope is Scope.OWNER else None
                return self._open(HoldKind.COPIES, reason, uid=uid, digests=candidate.digests)
        return self._open_if_too_many(candidate, limits, now, volume_files)

    def _open_if_too_many(
        self,
        candidate: Candidate,
        limits: BrakeLimits,
        now: float,
        volume_files: Callable[[], int | None],
    ) -> int | None:
        """Open a hold if too many files of any digests move; return its number, or ``None``."""
        counts = self._counts("at > ?", now - HOUR)
        scope = tripped(counts, candidate.uid, limits.per_hour)
        if scope is not None and not self._is_released(HoldKind.RATE, candidate, now - HOUR):
            uid = candidate.uid if scope is Scope.OWNER else None
            number = counts[candidate.uid] if scope is Scope.OWNER else counts.total()
            whose = f" of user {uid}" if uid is not None else ""
            reason = f"{counted(number, 'file')}{whose} moved within an hour (brakes.per_hour)"
            return self._open(HoldKind.RATE, reason, uid=uid)
        since = now - limits.window
        counts = self._counts("at > ? AND volume = ?", since, candidate.volume)
        # The number of files on the volume is read only if the limit can be reached.
        if limits.share is None or counts.total() < limits.share_from:
            return None
        scope = tripped(counts, candidate.uid, limits.of_volume(volume_files()))
        if scope is None or self._is_released(HoldKind.SHARE, candidate, since):
            return None
        uid = candidate.uid if scope is Scope.OWNER else None
        number = counts[candidate.uid] if scope is Scope.OWNER else counts.total()
        whose = f" of user {uid}" if uid is not None else ""
        reason = (
            f"{counted(number, 'file')}{whose} in {shown(candidate.volume)} moved within"
            f" {human_age(limits.window)}, as many as brakes.share"
            f" ({human_percent(limits.share)}) lets move"
        )
        return self._open(HoldKind.SHARE, reason, uid=uid, volume=candidate.volume)

    def _by_owner(self, candidate: Candidate, since: float) -> tuple[Counter[int], bool]:
        """The numbers of moved files with a digest of the candidate, by owner.

        Hard links of one inode count as one file. The second value of the result is whether the
        candidate's own inode is among the counted files.
        """
        inodes: set[tuple[int, int, str]] = set()
        for name, raw in zip(ALGORITHMS, candidate.digests, strict=True):
            if raw is not None:
                inodes.update(
                    self._connection.execute(
                        f"SELECT uid, device, inode FROM moved WHERE {name} = ? AND at > ?",  # noqa: S608
                        (raw, since),
                    ).fetchall()
                )
        counts = Counter(uid for uid, _, _ in inodes)
        _, _, device, inode, uid = _key(candidate)
        return counts, (uid, device, inode) in inodes

    def _counts(self, condition: str, *values: object) -> Counter[int]:
        """The number of moved files that meet an SQL condition, by owner."""
        rows = self._connection.execute(
            f"SELECT uid, count(*) FROM moved WHERE {condition} GROUP BY uid",  # noqa: S608
            values,
        )
        return Counter(dict(rows.fetchall()))

    def _is_released_file(self, candidate: Candidate) -> bool:
        row = self._connection.execute(
            "SELECT held.md5, held.sha1, held.sha256 FROM held JOIN hold ON number = hold"
            " WHERE state = 'released' AND held.volume = ? AND path = ?",
            (candidate.volume, candidate.path),
        ).fetchone()
        return row is not None and is_same(FileDigests(*row), candidate.digests)

    def _is_released_digest(self, digests: FileDigests, since: float) -> bool:
        return any(
            self._connection.execute(
                "SELECT 1 FROM hold_digest JOIN hold ON number = hold WHERE algorithm = ?"
                " AND digest = ? AND state = 'released' AND decided_at > ?",
                (digest.algorithm, bytes.fromhex(digest.hex), since),
            ).fetchone()
            for digest in digests.each()
        )

    def _is_released(self, kind: HoldKind, candidate: Candidate, since: float) -> bool:
        return (
            self._connection.execute(
                "SELECT 1 FROM hold WHERE kind = ? AND state = 'released' AND decided_at > ?"
                " AND (uid IS NULL OR uid = ?) AND (volume IS NULL OR volume = ?)",
                (kind, since, candidate.uid, candidate.volume),
            ).fetchone()
            is not None
        )

    def _open(
        self,
        kind: HoldKind,
        reason: str,
        *,
        uid: int | None = None,
        volume: bytes | None = None,
        category: str | None = None,
        filter_version: str | None = None,
        digests: FileDigests | None = None,
    ) -> int:
        (number,) = self._connection.execute(
            "INSERT INTO hold (kind, state, reason, uid, volume, category, filter_version, opened)"
            " VALUES (?, 'held', ?, ?, ?, ?, ?, ?) RETURNING number",
            (kind, reason, uid, volume, category, filter_version, time.time()),
        ).fetchone()
        if digests is not None:
            for name, raw in zip(ALGORITHMS, digests, strict=True):
                for row in self._connection.execute(
                    f"SELECT DISTINCT md5, sha1, sha256 FROM moved WHERE {name} = ?",  # noqa: S608
                    (raw,),
                ).fetchall():
                    self._put_digests(number, FileDigests(*row).each())
        return int(number)

    def _put_digests(self, number: int, digests: Iterable[Digest]) -> None:
        self._connection.executemany(
            "INSERT OR IGNORE INTO hold_digest VALUES (?, ?, ?)",
            [(digest.algorithm, bytes.fromhex(digest.hex), number) for digest in digests],
        )

    def _put_held(self, number: int, match: Confirmed) -> None:
        candidate = match.candidate
        if self._is_listed(candidate) or self._may_list(number, candidate.uid):
            self._write_held(number, match)
        (kind,) = self._connection.execute(
            "SELECT kind FROM hold WHERE number = ?", (number,)
        ).fetchone()
        if kind in {HoldKind.DIGEST, HoldKind.COPIES}:
            self._put_digests(number, candidate.digests.each())

    def _is_listed(self, candidate: Candidate) -> bool:
        return (
            self._connection.execute(
                "SELECT 1 FROM held WHERE volume = ? AND path = ?",
                (candidate.volume, candidate.path),
            ).fetchone()
            is not None
        )

    def _may_list(self, number: int, uid: int) -> bool:
        """Count one more file of an owner in a hold; return whether the hold may list the file."""
        listed = self._listed.get((number, uid))
        if listed is None:
            (listed,) = self._connection.execute(
                "SELECT count(*) FROM held WHERE hold = ? AND uid = ?", (number, uid)
            ).fetchone()
        self._listed[number, uid] = min(listed + 1, _MOST_LISTED)
        return bool(listed < _MOST_LISTED)

    def _write_held(self, number: int, match: Confirmed) -> None:
        candidate = match.candidate
        self._connection.execute(
            "INSERT INTO held VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (volume, path) DO UPDATE SET hold = excluded.hold, uid = excluded.uid,"
            " size = excluded.size, md5 = excluded.md5, sha1 = excluded.sha1,"
            " sha256 = excluded.sha256, match = excluded.match",
            (
                candidate.volume,
                candidate.path,
                number,
                candidate.uid,
                candidate.stamp.size,
                *candidate.digests,
                time.time(),
                facts_of(match),
            ),
        )


def _key(candidate: Candidate) -> tuple[bytes, bytes, int, str, int]:
    identity = candidate.identity
    # The inode number is saved as text, because SQLite has no unsigned 64-bit numbers.
    return (
        candidate.volume, candidate.path, identity.device, str(identity.inode), candidate.uid
    )  # fmt: skip


def is_same(one: FileDigests, other: FileDigests) -> bool:
    """Whether two files have the same content: all digests that both files have are equal."""
    pairs = [(a, b) for a, b in zip(one, other, strict=True) if a is not None and b is not None]
    return bool(pairs) and all(a == b for a, b in pairs)
