"""The queue of candidates and matches, and the saved verdicts of a remote service."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, NamedTuple

from hashscan.catalog import checksums
from hashscan.catalog.candidate_state import (
    IS_WAITING,
    KNOWN,
    NOT_BEGUN,
    PENDING,
    QUEUED,
    REPORTED,
    UNMOVED,
    UNTIL_MISSED,
    CandidateState,
    is_in,
)
from hashscan.catalog.rows import signed, unsigned
from hashscan.catalog.schema import translated
from hashscan.catalog.writer import CatalogWriter
from hashscan.fs.volume import Roots
from hashscan.model import (
    Answer,
    Candidate,
    Digest,
    FileDigests,
    FilterHit,
    Identity,
    Stamp,
    join,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hashscan.catalog.rows import FoundCandidate, QueuedDirectory

#: Maximum age of a saved verdict in seconds. hashscan asks the service again about an older
#: verdict.
VERDICT_AGE = 86400.0

#: SQL condition: matches of a service that must be acted on.
_TO_ACT = f"(({is_in(CandidateState.MATCH)} AND service = ?) OR {is_in(CandidateState.ACTING)})"
#: SQL condition of an update: the queued candidate is the same file, and it did not change.
_SAME_FILE = (
    "(device = excluded.device AND inode = excluded.inode AND size = excluded.size"
    " AND mtime_ns = excluded.mtime_ns AND ctime_ns = excluded.ctime_ns)"
)
#: SQL condition: a scan number belongs to the watch. Only the latest number of the watch has a row
#: in ``scan``; the rows of scans are kept for long.
OF_WATCH = "{} NOT IN (SELECT id FROM scan WHERE kind <> 'watch')"

_CANDIDATE = (
    "id, found, known, service, seen, volume, path, device, inode, size, mtime_ns, ctime_ns,"
    " md5, sha1, sha256, links, uid, hits"
)


_SEAL = f"UPDATE candidate SET checksum = {checksums.CANDIDATE}"  # noqa: S608


class QueuedCandidate(NamedTuple):
    """A candidate in the queue.

    Attributes:
        number: id of the queued candidate in the catalog.
        candidate: the candidate's file and digests.
        found: time at which the candidate was queued, in seconds since the epoch.
        known: category and hit number of a verdict ``known``; ``None``: the candidate has no
            verdict yet.
        service: name of the service whose verdict the candidate waits for.
        seen: number of the last scan that found the candidate's file.
    """

    number: int
    candidate: Candidate
    found: float
    known: tuple[str, int] | None
    service: str
    seen: int


class CandidateQueue(CatalogWriter):
    """The queue in which candidates wait for a verdict, and matches for an action."""

    def put_candidate(
        self, scan: int, volume: bytes, directory: QueuedDirectory, found: FoundCandidate
    ) -> bool:
        """Queue a candidate for ``self.service``; false: this scan queued the same file before.

        A candidate that waits for another service's verdict is replaced. A later scan with that
        service's filters finds the candidate again by its saved digests.
        """
        prefix = directory.path + b"/" if directory.path else b""
        hits = json.dumps([(*hit.digest, hit.category, hit.filter_version) for hit in found.hits])
        now = time.time()
        self._write()
        with translated(self.path):
            row = self._connection.execute(
                "INSERT INTO candidate (volume, path, dir, name, device, inode, size, mtime_ns,"  # noqa: S608
                " ctime_ns, md5, sha1, sha256, links, uid, hits, found, detected, seen, full_path,"
                " service, remote, state, checksum)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)"
                " ON CONFLICT (full_path) DO UPDATE SET volume = excluded.volume,"
                " path = excluded.path, dir = excluded.dir, name = excluded.name,"
                " device = excluded.device, inode = excluded.inode, size = excluded.size,"
                " mtime_ns = excluded.mtime_ns,"
                " ctime_ns = excluded.ctime_ns, md5 = excluded.md5, sha1 = excluded.sha1,"
                " sha256 = excluded.sha256, links = excluded.links, uid = excluded.uid,"
                f" hits = excluded.hits, found = iif({QUEUED}, found, excluded.found),"
                f" detected = iif({_SAME_FILE}, detected, excluded.detected),"
                " known = NULL, error = NULL, asked = 0, state = excluded.state,"
                " service = excluded.service, remote = excluded.remote,"
                f" seen = excluded.seen WHERE seen <> excluded.seen OR NOT {_SAME_FILE}"
                " RETURNING id",
                (
                    volume,
                    prefix + found.name,
                    directory.number,
                    found.name,
                    found.identity.device,
                    signed(found.identity.inode),
                    *found.stamp,
                    *found.digests,
                    found.links,
                    found.uid,
                    hits,
                    now,
                    now,
                    scan,
                    join(volume, prefix + found.name),
                    *self.service,
                    CandidateState.WAITING,
                ),
            ).fetchone()
            if row is not None:
                self._connection.execute(f"{_SEAL} WHERE id = ?", row)
        self._has_candidates = True
        return row is not None

    def put_other_name(
        self, queued: QueuedCandidate, *, scan: int, volume: bytes, path: bytes, directory: int
    ) -> None:
        """Queue another hard link of a match's inode, with the verdict of the match."""
        self._write()
        with translated(self.path):
            self._connection.execute(
                "INSERT INTO candidate (volume, path, dir, name, device, inode, size,"  # noqa: S608
                " mtime_ns, ctime_ns, md5, sha1, sha256, links, uid, hits, found, detected, known,"
                " asked, seen, full_path, state, service, remote, checksum)"
                " SELECT ?, ?, ?, ?, device, inode, size, mtime_ns, ctime_ns, md5, sha1, sha256,"
                " links, uid, hits, found, detected, known, asked, ?, ?, ?, service, remote, 0"
                " FROM candidate"
                " WHERE id = ? ON CONFLICT (full_path) DO UPDATE SET device = excluded.device,"
                " inode = excluded.inode, size = excluded.size, mtime_ns = excluded.mtime_ns,"
                " ctime_ns = excluded.ctime_ns, md5 = excluded.md5, sha1 = excluded.sha1,"
                " sha256 = excluded.sha256, links = excluded.links, uid = excluded.uid,"
                " hits = excluded.hits, found = excluded.found, known = excluded.known,"
                " detected = excluded.detected,"
                " error = NULL, asked = excluded.asked, seen = excluded.seen,"
                " state = excluded.state, service = excluded.service, remote = excluded.remote"
                f" WHERE {REPORTED} AND seen <> excluded.seen",
                (
                    volume,
                    path,
                    directory,
                    path.rpartition(b"/")[2],
                    scan,
                    join(volume, path),
                    CandidateState.MATCH,
                    queued.number,
                ),
            )
            self._connection.execute(f"{_SEAL} WHERE full_path = ?", (join(volume, path),))

    def candidates_to_ask(
        self, scan: int, service: str, limit: int, *, met: bool
    ) -> list[QueuedCandidate]:
        """Candidates about which this scan has not asked ``service`` yet; the oldest comes first.

        With ``met``, only candidates that this scan has found: the scan may still find the other
        candidates, with a changed content.
        """
        condition = f"{IS_WAITING} AND asked <> ?1 AND (seen = ?1 OR NOT ?2)"
        condition += " AND service = ?4 ORDER BY id LIMIT ?3"
        return self._candidates(condition, (scan, met, limit, service))

    def reconsider(self, scan: int, service: str) -> None:
        """Remove the verdicts of matches of earlier scans, because the known set may have changed.

        If the agent was killed during the action on a match, the match keeps its verdict: its file
        may be in quarantine already. Candidates that wait for other local lists are removed; a scan
        with these lists finds them again by their saved digests. Candidates that wait for another
        remote service are kept.
        """
        self._write()
        with translated(self.path):
            self._connection.execute(
                "UPDATE candidate SET state = ?, known = NULL, asked = 0"  # noqa: S608
                f" WHERE ({IS_WAITING} OR {NOT_BEGUN}) AND seen <> ? AND service = ?",
                (CandidateState.WAITING, scan, service),
            )
            done = is_in(CandidateState.DONE)
            self._connection.execute(
                "DELETE FROM candidate WHERE remote = 0 AND service <> ?"  # noqa: S608
                f" AND ({IS_WAITING} OR {NOT_BEGUN} OR {done})",
                (service,),
            )

    def take_for_met(self, scan: int, numbers: Iterable[int]) -> None:
        """Mark candidates as found by this scan, so that it may ask the service about them."""
        self._write()
        with translated(self.path):
            self._connection.executemany(
                "UPDATE candidate SET seen = ? WHERE id = ?", [(scan, n) for n in numbers]
            )

    def candidates_to_act(self, service: str, limit: int) -> list[QueuedCandidate]:
        """Matches that must be acted on, sorted so that hard links of an inode are adjacent.

        Matches that could not be moved are not included, see ``unmoved``.
        """
        return self._candidates(f"{_TO_ACT} ORDER BY device, inode, id LIMIT ?", (service, limit))

    def linked_to_act(self, service: str) -> list[QueuedCandidate]:
        """For each inode with several hard links, one match that must be acted on."""
        each = f"SELECT min(id) FROM candidate WHERE {_TO_ACT} GROUP BY device, inode"  # noqa: S608
        condition = f"links > 1 AND id IN ({each})"
        return self._candidates(condition, (service,))

    def identities_to_act(self, service: str) -> list[Identity]:
        """The identity of each match that must be acted on."""
        with translated(self.path):
            rows = self._connection.execute(
                f"SELECT device, inode FROM candidate WHERE {_TO_ACT}",  # noqa: S608
                (service,),
            ).fetchall()
        return [Identity(device, unsigned(inode)) for device, inode in rows]

    def places_to_act(self, service: str) -> list[tuple[bytes, bytes]]:
        """The volume and path of each match that must be acted on."""
        with translated(self.path):
            return self._connection.execute(
                f"SELECT volume, path FROM candidate WHERE {_TO_ACT}",  # noqa: S608
                (service,),
            ).fetchall()

    def mark_unmoved(self, number: int, why: str) -> None:
        """Save that a match could not be moved, and why; the move is tried again."""
        self._write()
        with translated(self.path):
            self._connection.execute(
                f"UPDATE candidate SET state = iif({KNOWN}, ?, state), error = ? WHERE id = ?",  # noqa: S608
                (CandidateState.UNMOVED, why, number),
            )

    def unmoved(self, after: int, limit: int) -> list[QueuedCandidate]:
        """Up to ``limit`` matches that could not be moved, with ids above ``after``, by id."""
        condition = f"{UNMOVED} AND id > ? ORDER BY id LIMIT ?"
        return self._candidates(condition, (after, limit))

    def is_of_watch(self, scan: int) -> bool:
        """Whether a scan number belongs to the watch (``begin_watch``)."""
        with translated(self.path):
            (kept,) = self._connection.execute(
                f"SELECT {OF_WATCH.format('?1')}",
                (scan,),
            ).fetchone()
        return bool(kept)

    def mark_acting(self, number: int) -> None:
        """Save that an action on a match begins; after a kill, the next scan repeats the action."""
        self._write()
        with translated(self.path):
            self._connection.execute(
                f"UPDATE candidate SET state = iif({KNOWN}, ?, state) WHERE id = ?",  # noqa: S608
                (CandidateState.ACTING, number),
            )

    def candidate(self, number: int) -> QueuedCandidate | None:
        """The candidate with the id ``number``; ``None``: the queue has no candidate of this id."""
        found = self._candidates("id = ?", (number,))
        return found[0] if found else None

    def _candidates(self, condition: str, values: tuple[object, ...]) -> list[QueuedCandidate]:
        with translated(self.path):
            rows = self._connection.execute(
                f"SELECT {_CANDIDATE} FROM candidate WHERE {condition}",  # noqa: S608
                values,
            ).fetchall()
        return [
            QueuedCandidate(
                number,
                Candidate(
                    volume=volume,
                    path=path,
                    identity=Identity(rest[0], unsigned(rest[1])),
                    stamp=Stamp(*rest[2:5]),
                    digests=FileDigests(*rest[5:8]),
                    links=rest[8],
                    uid=rest[9],
                    hits=tuple(
                        FilterHit(Digest(algorithm, digest), category, version)
                        for algorithm, digest, category, version in json.loads(rest[10])
                    ),
                ),
                found,
                None if known is None else tuple(json.loads(known)),
                service,
                seen,
            )
            for number, found, known, service, seen, volume, path, *rest in rows
        ]

    def mark_asked(self, scan: int, numbers: Iterable[int]) -> None:
        """Save that this scan asks the service about the given candidates."""
        self._write()
        with translated(self.path):
            self._connection.executemany(
                "UPDATE candidate SET asked = ? WHERE id = ?", [(scan, n) for n in numbers]
            )

    def mark_pending(self, number: int, error: str) -> None:
        """Save the reason why a candidate has no verdict."""
        self._write()
        with translated(self.path):
            self._connection.execute("UPDATE candidate SET error = ? WHERE id = ?", (error, number))

    def mark_known(self, number: int, category: str, hit: int) -> None:
        """Save that a candidate is a match (its hit number is ``hit``) that must be acted on."""
        self._write()
        with translated(self.path):
            self._connection.execute(
                f"UPDATE candidate SET state = iif({IS_WAITING} OR {UNMOVED}, ?, state),"  # noqa: S608
                " known = ?, error = NULL WHERE id = ?",
                (CandidateState.MATCH, json.dumps([category, hit]), number),
            )

    def drop_candidate(
        self,
        number: int,
        *,
        file_too: bool,
        until_met: bool = False,
        reported: bool = False,
        not_moved: str | None = None,
        hold: str | None = None,
    ) -> None:
        """Take a candidate from the queue.

        Args:
            number: id of the candidate to remove.
            file_too: also remove the row of the candidate's file, because the file left the volume.
            until_met: queue the unchanged file again if this scan finds the file again. A directory
                that was renamed twice has its files back, with their stamps.
            reported: keep the row of a match that was only reported, for ``status``.
            not_moved: reason why a match could not be moved; the row of the match is kept with this
                reason.
            hold: id of the hold of a held match; the row of the match is kept with this id.
        """
        self._write()
        state = CandidateState.DONE
        if hold is not None:
            state = CandidateState.HELD
        elif reported or not_moved:
            state = CandidateState.REPORTED
        with translated(self.path):
            if file_too:
                self._connection.execute(
                    "DELETE FROM file WHERE (dir, name) IN"
                    " (SELECT dir, name FROM candidate WHERE id = ?)",
                    (number,),
                )
            self._connection.execute(
                "UPDATE candidate SET state = ?, error = ?, seen = iif(?, 0, seen) WHERE id = ?",
                (state, hold or not_moved, until_met, number),
            )

    def forget_reported(self, scan: int, volumes: Iterable[bytes]) -> None:
        """Remove reported and held matches in ``volumes`` that the scan ``scan`` did not find."""
        self._write()
        with translated(self.path):
            before = self._connection.execute(
                f"SELECT id, full_path FROM candidate WHERE {UNTIL_MISSED} AND seen < ?",  # noqa: S608
                (scan,),
            )
            roots = Roots(volumes)
            gone = [(number,) for number, path in before if roots.holding(path) is not None]
            self._connection.executemany("DELETE FROM candidate WHERE id = ?", gone)

    def forget_done(self) -> None:
        """Remove candidates that were taken from the queue; call this between scans."""
        self._write()
        with translated(self.path):
            self._connection.execute(
                f"DELETE FROM candidate WHERE {is_in(CandidateState.DONE)}"  # noqa: S608
            )

    def pending(self) -> Iterator[tuple[QueuedCandidate, str]]:
        """Candidates that wait for a verdict, and the reason why they have no verdict."""
        last = 0
        while queued := self._candidates(f"{IS_WAITING} AND id > ? ORDER BY id LIMIT 256", (last,)):
            for candidate in queued:
                last = candidate.number
                with translated(self.path):
                    (error,) = self._connection.execute(
                        "SELECT coalesce(error, 'it was not asked for yet') FROM candidate"
                        " WHERE id = ?",
                        (last,),
                    ).fetchone()
                yield candidate, error

    def pending_of(self, scan: int) -> int:
        """Number of candidates that ``scan`` found and that wait for a verdict or an action."""
        with translated(self.path):
            (count,) = self._connection.execute(
                f"SELECT count(*) FROM candidate WHERE {QUEUED} AND seen = ?",  # noqa: S608
                (scan,),
            ).fetchone()
        return int(count)

    def waiting(self) -> tuple[int, float | None, str | None]:
        """Number of waiting candidates, time of the oldest candidate, and a reason if known.

        Matches that could not be moved are not counted, see ``unmoved``.
        """
        with translated(self.path):
            count, oldest = self._connection.execute(
                f"SELECT count(*), min(found) FROM candidate WHERE {PENDING}"  # noqa: S608
            ).fetchone()
            why = self._connection.execute(
                f"SELECT error FROM candidate WHERE {IS_WAITING}"  # noqa: S608
                " AND error IS NOT NULL ORDER BY id DESC LIMIT 1"
            ).fetchone()
        return int(count), oldest, None if why is None else why[0]

    def ask_again(self, scan: int) -> int:
        """Let this scan ask again about candidates without an answer; return how many there are."""
        self._write()
        with translated(self.path):
            return self._connection.execute(
                f"UPDATE candidate SET asked = 0 WHERE {IS_WAITING} AND asked = ?",  # noqa: S608
                (scan,),
            ).rowcount

    def put_verdict(self, service: str, digest: Digest, answer: Answer, filterset: int) -> None:
        """Save a service's verdict about a digest."""
        self._write()
        with translated(self.path):
            self._connection.execute(
                "INSERT OR REPLACE INTO verdict VALUES (?, ?, ?, ?, ?, ?, ?, 0)",
                (
                    service,
                    digest.algorithm,
                    bytes.fromhex(digest.hex),
                    answer.known,
                    answer.category,
                    filterset,
                    time.time(),
                ),
            )
            self._connection.execute(
                f"UPDATE verdict SET checksum = {checksums.VERDICT}"  # noqa: S608
                " WHERE service = ? AND algorithm = ? AND digest = ?",
                (service, digest.algorithm, bytes.fromhex(digest.hex)),
            )

    def verdict(self, service: str, digest: Digest, filterset: int) -> Answer | None:
        """The service's saved verdict about a digest; ``None``: no current verdict is saved."""
        with translated(self.path):
            row = self._connection.execute(
                "SELECT known, category FROM verdict WHERE service = ? AND algorithm = ?"  # noqa: S608
                " AND digest = ? AND filterset = ? AND time BETWEEN ? AND ?"
                f" AND checksum = {checksums.VERDICT}",
                (
                    service,
                    digest.algorithm,
                    bytes.fromhex(digest.hex),
                    filterset,
                    time.time() - VERDICT_AGE,
                    time.time() + 60,
                ),
            ).fetchone()
        return None if row is None else Answer(bool(row[0]), row[1])
