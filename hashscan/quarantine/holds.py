"""The SQLite file of holds: files that were moved lately, and files that a brake holds.

The holds are not part of the catalog, because a catalog may be deleted, but a hold must not be
lost. Several processes use the file at the same time: a scan, the daemon, the work on notices, and
commands. One transaction decides that a file may move and counts the file. The count is on the disk
before the move begins. So after a kill, the number of counted files may be one too high, but never
too low.

The file also keeps a ``Timeline``, which measures ages: a clock that jumps ends no window.
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
            category: category of the filter with the new version.
            filter_version: the filter's new version.
            new: number of files that became candidates because of the new version.
            digests: digests of the new candidates. If ``digests`` are more than ``MOST_DIGESTS``,
                the hold applies to all matches of the category.

        Returns:
            The new hold; ``None``: the version of the filter has a hold already, which may be
            decided.
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
                for of_file in digests:
                    self._put_digests(number, of_file.each())
            return self.get(number)

    def release(self, number: int, *, who: str, why: str = "") -> Hold:
        """Save an administrator's decision that the files of a hold may move.

        For a window of time, other files with the digests of the hold may move, too.

        Raises:
            UsageError: the hold does not exist, or is released already.
        """
        return self._decide(number, HoldState.RELEASED, who, why)

    def dismiss(self, number: int, *, who: str, why: str) -> Hold:
        """Save an administrator's decision that the digests of a hold are allowed.

        Raises:
            UsageError: the hold does not exist, or is dismissed already.
        """
        return self._decide(number, HoldState.DISMISSED, who, why)

    def close_hold(self, number: int, *, why: str) -> Hold:
        """Close a hold that needs no decision any more; a hold that is decided is not changed."""
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
        """Move the files with one digest from a hold to a new hold; return the new hold's number.

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
                [(number, digest.algorithm, bytes.fromhex(digest.hex)) for digest in digests],
            )
            self._connection.execute("UPDATE hold SET reported = 1 WHERE number = ?", (new,))
            return new

    def forget_file(self, file: HeldFile) -> None:
        """Remove a file from its hold, because the file is gone or the file's content changed."""
        with self._change(durably=False):
            self._connection.execute(
                "DELETE FROM held WHERE volume = ? AND path = ?", (file.volume, file.path)
            )

    def report(self, hold: Hold, events: HoldEvents) -> None:
        """Let ``events`` write one line about a hold, even if several processes call this method.

        The column ``mark`` saves the number of the log's newest line before the first try. If the
        process is killed during that try, the next process first searches the lines after
        ``mark``. Other processes wait meanwhile.

        Raises:
            StateError: the line about the hold could not be written; call this method again.
        """
        where = "UPDATE hold SET {} WHERE number = ?"
        with self._change():
            values = (events.newest(), hold.number)
            self._connection.execute(where.format("mark = coalesce(mark, ?)"), values)
        with self._change():
            mark, is_reported = self._connection.execute(
                "SELECT mark, reported FROM hold WHERE number = ?", (hold.number,)
            ).fetchone()
            if not is_reported:
                if not events.has_line(hold, mark):
                    digests = self.digests(hold.number) if hold.has_one_content else ()
                    events.write_line(self.get(hold.number), digests)
                self._connection.execute(where.format("reported = 1"), (hold.number,))


def waiting_holds(path: str) -> tuple[Hold, ...]:
    """The holds that wait for a decision, from the file of holds, which is only read.

    Raises:
        StateError: the file of holds cannot be read.
    """
    connection = FORMAT.connect_to_read(path)
    if connection is None:
        return ()
    with HoldReader(path, connection=connection) as holds:
        return tuple(holds.holds())
