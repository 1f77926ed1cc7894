"""The only connection that writes to the catalog, and its transactions.

A transaction has the changes of about a second. A candidate and the row of its hashed file are
always in the same transaction, so that after a kill the catalog has both rows or neither row
(promise 2).
"""

from __future__ import annotations

import sqlite3

from hashscan.catalog import checksums
from hashscan.catalog.candidate_state import IS_WAITING, KNOWN, CandidateState, is_in
from hashscan.catalog.schema import connect, translated

_CHECKS = (
    f"""UPDATE scan SET volumes = x'', complete = 0, files = NULL, interrupted = 1,
    kind = 'damaged', summary = NULL WHERE checksum <> {checksums.SCAN}""",  # noqa: S608
    f"""UPDATE filterset SET name = 'damaged ' || id, judged_until = 0
    WHERE checksum <> {checksums.FILTERSET}""",  # noqa: S608
    f"""DELETE FROM verdict WHERE checksum <> {checksums.VERDICT}""",  # noqa: S608
    # The damaged candidate's row in ``file`` still has ``hit``: the next scan queues the file.
    f"""DELETE FROM candidate
    WHERE checksum <> {checksums.CANDIDATE} OR NOT {is_in(*CandidateState)}""",  # noqa: S608
    # ``known`` must name a category and one of the hits; otherwise the service is asked again.
    """UPDATE candidate SET known = NULL WHERE known IS NOT NULL AND (typeof(known) <> 'text'
    OR NOT json_valid(known) OR NOT coalesce(json_extract(known, '$[1]')
    BETWEEN 0 AND json_array_length(hits) - 1, 0))""",
    f"""UPDATE candidate SET state = '{CandidateState.WAITING}', known = NULL
    WHERE {KNOWN} AND known IS NULL OR {IS_WAITING} AND known IS NOT NULL""",  # noqa: S608
)


class CatalogWriter:
    """A connection to the catalog with at most one open transaction."""

    def __init__(self, path: str) -> None:
        """Open or make the catalog at ``path``.

        Raises:
            StateError: the catalog cannot be used.
        """
        self.path = path
        self._connection = connect(path)
        self._changed = False
        #: Number of damaged rows that were found; the next scan replaces the content of these rows.
        self.damaged = 0
        #: Name of the service whose verdicts candidates wait for, and whether the service is
        #: remote.
        self.service: tuple[str, bool] = ("", False)
        self._check()
        with translated(path):
            candidates, problems = self._connection.execute(
                "SELECT EXISTS (SELECT 1 FROM candidate), EXISTS (SELECT 1 FROM problem)"
            ).fetchone()
        #: Whether the tables have rows that must be checked when the rows of files are saved.
        self._has_candidates, self._has_problems = bool(candidates), bool(problems)

    def _check(self) -> None:
        """Make damaged rows of the small tables harmless; a file's row is checked when it is read.

        The scan of a damaged row counts as interrupted. The filter set of a damaged row counts as a
        set that has judged no file, and its number is not used again.
        """
        with translated(self.path):
            execute = self._connection.execute
            for table in ("candidate", "filterset", "scan", "verdict"):
                # If an index lacks a row, queries would not find the row.
                (found,) = execute(f"PRAGMA integrity_check({table})").fetchone()
                if found != "ok":
                    execute(f"REINDEX {table}")
                    self.damaged += 1
            for change in _CHECKS:
                self.damaged += execute(change).rowcount
            execute(f"UPDATE scan SET checksum = {checksums.SCAN} WHERE kind = 'damaged'")  # noqa: S608
            execute(
                f"UPDATE filterset SET checksum = {checksums.FILTERSET}"  # noqa: S608
                " WHERE name LIKE 'damaged %'"
            )

    def close(self) -> None:
        """Commit the open transaction, and close the connection to the catalog."""
        try:
            self.commit()
        finally:
            self._connection.close()

    def abandon(self) -> None:
        """Close the connection to the catalog without a commit, after an error of the catalog."""
        self._connection.close()

    def _write(self) -> None:
        if not self._changed:
            with translated(self.path):
                self._connection.execute("BEGIN IMMEDIATE")
            self._changed = True

    def commit(self) -> None:
        """Commit the open transaction; a kill of this process cannot undo its changes any more."""
        if self._changed:
            # If the commit raises, its changes are lost, and the next scan finds the files again.
            self._changed = False
            with translated(self.path):
                try:
                    self._connection.execute("COMMIT")
                except sqlite3.Error:
                    if self._connection.in_transaction:
                        self._connection.execute("ROLLBACK")
                    raise
