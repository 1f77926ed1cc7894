"""Removes saved verdicts about digests, so that hashscan asks the service again."""

from __future__ import annotations

import os
from contextlib import closing
from typing import TYPE_CHECKING

from hashscan.catalog.candidate_state import NOT_BEGUN, CandidateState
from hashscan.catalog.schema import connect, translated

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from hashscan.model import Digest


def forget(connection: sqlite3.Connection, digests: Iterable[Digest]) -> None:
    """Remove saved verdicts about digests, and the verdicts of matches that wait in the queue.

    A match keeps its verdict while an action on it runs: its file may be in quarantine already.
    """
    for algorithm, text in digests:
        raw = bytes.fromhex(text)
        connection.execute(
            "DELETE FROM verdict WHERE algorithm = ? AND digest = ?", (algorithm, raw)
        )
        connection.execute(
            "UPDATE candidate SET state = ?, known = NULL, error = NULL, asked = 0"  # noqa: S608
            f" WHERE {algorithm} = ? AND {NOT_BEGUN}",
            (CandidateState.WAITING, raw),
        )


def forget_verdicts(path: str, digests: Iterable[Digest]) -> None:
    """Remove verdicts from the catalog ``path``, if it exists; other processes may use it, too.

    Raises:
        StateError: the catalog cannot be changed.
    """
    if not os.path.lexists(path):
        return
    with translated(path), closing(connect(path)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        forget(connection, digests)
        connection.execute("COMMIT")
