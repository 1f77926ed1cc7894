"""The one connection that writes to the catalog, and its transactions.

Changes of a scan are gathered into transactions of about a second; a candidate and the row that
calls its file hashed are always in the same one, so that no kill can part them (promise 2).
"""

from __future__ import annotations

import sqlite3

from hashscan.catalog.schema import connect, translated


class Writer:
    """A connection with at most one transaction under way."""

    def __init__(self, path: str) -> None:
        """Open or make the catalog at ``path``.

        Raises:
            StateError: it cannot be used.
        """
        self.path = path
        self._connection = connect(path)
        self._changed = False
        #: Name of the confirmer whose verdicts candidates wait for, and whether it is remote.
        self.service: tuple[str, bool] = ("", False)
        with translated(path):
            candidates, problems = self._connection.execute(
                "SELECT EXISTS (SELECT 1 FROM candidate), EXISTS (SELECT 1 FROM problem)"
            ).fetchone()
        #: Whether rows of files have to be looked for in these tables when they are stored.
        self._has_candidates, self._has_problems = bool(candidates), bool(problems)

    def close(self) -> None:
        """Commit and close."""
        try:
            self.commit()
        finally:
            self._connection.close()

    def abandon(self) -> None:
        """Close without committing: after an error of the catalog itself."""
        self._connection.close()

    def _write(self) -> None:
        if not self._changed:
            with translated(self.path):
                self._connection.execute("BEGIN IMMEDIATE")
            self._changed = True

    def commit(self) -> None:
        """Make everything so far durable against a kill of this process."""
        if self._changed:
            # What fails now is not there: the next scan finds it again.
            self._changed = False
            with translated(self.path):
                try:
                    self._connection.execute("COMMIT")
                except sqlite3.Error:
                    if self._connection.in_transaction:
                        self._connection.execute("ROLLBACK")
                    raise
