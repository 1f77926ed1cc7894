"""Files that moved lately, and files that a brake holds, in one SQLite file beside the catalog.

It is not part of the catalog, because a catalog can be thrown away, but a hold must not be lost.
Several processes use it at the same time: a scan, the daemon, the work on notices, commands. A file
is counted before it moves, in the transaction that decides about it, and the count is on the disk
before the move begins. So after a kill the count may be one file too high, never too low.

Ages are counted by a ``Timeline``, which is kept here: a clock that jumps makes no window end.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from hashscan.errors import UsageError
from hashscan.model import Digest, FileDigests
from hashscan.quarantine.admission import Admission
from hashscan.quarantine.hold_reader import HoldReader
from hashscan.quarantine.hold_types import FORMAT, MOST_DIGESTS, HoldKind, HoldState
from hashscan.text import counted

if TYPE_CHECKING:
    from collections.abc import Collection

    from hashscan.quarantine.hold_types import HeldFile, Hold, HoldEvents


class Holds(Admission):
    """Counts moved files, and keeps holds and the decisions about them."""

    def hold_list(
        self, category: str, filter_version: str, new: int, digests: Collection[FileDigests]
    ) -> Hold | None:
        """Hold the matches of a new version of a filter.

        Args:
            category: of the filter.
            filter_version: its version.
            new: how many files became candidates.
            digests: of these files; if there are more than ``MOST_DIGESTS``, all matches of the
                category are held.

        Returns:
            The new hold; ``None``: this version has a hold already, perhaps a decided one.
        """
        with self._change():
            before = self._connection.execute(
                "SELECT 1 FROM hold WHERE kind = 'list' AND category = ? AND filter_version = ?",
                (category, filter_version),
            ).fetchone()
            if before is not None:
                return None
            reason = (
                f"version {filter_version} of the filter {category} has {counted(new, 'file')} as"
                " new candidates that were hashed before (brakes.new_candidates)"
            )
            everything = len(digests) > MOST_DIGESTS
            number = self._open(
                HoldKind.LIST,
                reason,
                volume=b"" if everything else None,
                category=category,
                filter_version=filter_version,
            )
            if not everything:
                for one in digests:
                    self._put_digests(number, one.each())
            return self.get(number)

    def release(self, number: int, *, who: str, why: str = "") -> Hold:
        """Note that the files of a hold may move, and its digests may for a window.

        Raises:
            UsageError: there is no such hold, or it is released already.
        """
        return self._decide(number, HoldState.RELEASED, who, why)

    def dismiss(self, number: int, *, who: str, why: str) -> Hold:
        """Note that the digests of a hold are allowed.

        Raises:
            UsageError: there is no such hold, or it is dismissed already.
        """
        return self._decide(number, HoldState.DISMISSED, who, why)

    def close_hold(self, number: int, *, why: str) -> Hold:
        """Note that nothing is left to decide about a hold, unless it was decided meanwhile."""
        with suppress(UsageError):
            self._decide(number, HoldState.CLOSED, "hashscan", why, only_if=HoldState.HELD)
        return self.get(number)

    def _decide(
        self,
        number: int,
        state: HoldState,
        who: str,
        why: str,
        *,
        only_if: HoldState | None = None,
    ) -> Hold:
        with self._change():
            hold = self.get(number)
            if hold.state is state or only_if not in {None, hold.state}:
                raise UsageError(
                    f"{hold.id} is {hold.state} already; 'hashscan hold show' says by whom"
                )
            self._connection.execute(
                "UPDATE hold SET state = ?, decided = ?, decided_at = ?, who = ?, why = ?,"
                " files = ?, owners = ? WHERE number = ?",
                (state, time.time(), self._tick(), who, why, hold.files, hold.owners, number),
            )
            return self.get(number)

    def split(self, number: int, digest: Digest) -> int:
        """Move the files with one digest to a new hold; return its number.

        A hold whose files all have the same content is not split.
        """
        column, raw = digest.algorithm, bytes.fromhex(digest.hex)
        with self._change():
            hold = self.get(number)
            if hold.has_one_content:
                return number
            new = self._open(HoldKind.DIGEST, hold.reason, uid=hold.uid)
            digests = {digest}
            for row in self._connection.execute(
                f"SELECT md5, sha1, sha256 FROM held WHERE hold = ? AND {column} = ?",  # noqa: S608
                (number, raw),
            ).fetchall():
                digests.update(FileDigests(*row).each())
            self._put_digests(new, digests)
            self._connection.execute(
                f"UPDATE held SET hold = ? WHERE hold = ? AND {column} = ?",  # noqa: S608
                (new, number, raw),
            )
            self._connection.executemany(
                "DELETE FROM hold_digest WHERE hold = ? AND algorithm = ? AND digest = ?",
                [(number, one.algorithm, bytes.fromhex(one.hex)) for one in digests],
            )
            self._connection.execute("UPDATE hold SET reported = 1 WHERE number = ?", (new,))
            return new

    def forget_file(self, file: HeldFile) -> None:
        """Remove a file from its hold, because it is gone or has another content."""
        with self._change(durably=False):
            self._connection.execute(
                "DELETE FROM held WHERE volume = ? AND path = ?", (file.volume, file.path)
            )

    def report(self, hold: Hold, events: HoldEvents) -> None:
        """Have ``events`` write the line about a hold, once.

        Other processes wait meanwhile. ``mark`` notes the newest line before the first try. If the
        process of that try was killed, the next one searches the lines after ``mark`` first.

        Raises:
            StateError: the line could not be written; call this again.
        """
        where = "UPDATE hold SET {} WHERE number = ?"
        with self._change():
            values = (events.newest(), hold.number)
            self._connection.execute(where.format("mark = coalesce(mark, ?)"), values)
        with self._change():
            mark, is_told = self._connection.execute(
                "SELECT mark, reported FROM hold WHERE number = ?", (hold.number,)
            ).fetchone()
            if not is_told:
                if not events.is_told(hold, mark):
                    digests = self.digests(hold.number) if hold.has_one_content else ()
                    events.tell(self.get(hold.number), digests)
                self._connection.execute(where.format("reported = 1"), (hold.number,))


def waiting_holds(path: str) -> tuple[Hold, ...]:
    """The holds in a file that wait for a decision; makes and changes nothing.

    Raises:
        StateError: the file cannot be read.
    """
    connection = FORMAT.connect_to_read(path)
    if connection is None:
        return ()
    with HoldReader(path, connection=connection) as holds:
        return tuple(holds.holds())
