"""Reads the catalog for ``status``, without changing it and without delaying its writer."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hashscan.catalog import checksums
from hashscan.catalog.candidate_state import (
    COULD_NOT_MOVE,
    IS_WAITING,
    NOT_MOVED,
    PENDING,
    REPORTED,
)
from hashscan.catalog.scans import WHOLE
from hashscan.catalog.schema import FORMAT, VERSION, translated
from hashscan.database import connect_read_only
from hashscan.errors import CredentialsError, StateError
from hashscan.text import shown

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

_WHOLE = f"checksum IS {checksums.SCAN}"
_SCAN = "started, ended, files, interrupted, volumes, kind, summary"


@dataclass(frozen=True, slots=True)
class LastScan:
    """A scan in the catalog. Times are in seconds since the epoch.

    Attributes:
        started: time at which the scan began.
        ended: time at which the scan ended; ``None`` while the scan runs, or if the scan was
            killed.
        files: number of files that the scan saw; ``None`` until the scan ended.
        interrupted: whether a signal ended the scan.
        volumes: roots of the scanned volumes.
        kind: reason of the scan: ``scan`` for a command; ``start``, ``schedule``, ``unwatched``...
            for the daemon.
        summary: the scan's counts, by the names of ``Summary``, and ``costs``; empty until the scan
            ended.
        is_whole: whether the scan saw every file of its volumes.
    """

    started: float
    ended: float | None
    files: int | None
    interrupted: bool
    volumes: tuple[bytes, ...]
    kind: str
    summary: dict[str, Any]
    is_whole: bool = False


@dataclass(frozen=True, slots=True)
class Overview:
    """The facts of the catalog that ``status`` shows.

    Attributes:
        scan: the last scan in the catalog; ``None``: nothing was scanned yet.
        pending: number of candidates without a verdict, and of matches that were not acted on yet.
        oldest: time at which the oldest pending candidate was found, in seconds since the epoch.
        problems: number of files and directories that could not be read.
        whole: the last scan that saw every file of its volumes.
        unmoved: number of matches that could not be moved, and the path and reason of one of these
            matches; ``None``: no match.
        by_volume: the last whole scan of each volume, by the volume's root.
        reported: number of matches that were only reported and not moved, by volume.
        refused: the service's answer for a pending candidate, if the service refused the password.
        mounted: volumes that were mount points when they were scanned last.
    """

    scan: LastScan | None
    pending: int
    oldest: float | None
    problems: int
    whole: LastScan | None = None
    unmoved: tuple[int, bytes, str] | None = None
    by_volume: dict[bytes, LastScan] = field(default_factory=dict)
    reported: dict[bytes, int] = field(default_factory=dict)
    refused: str | None = None
    mounted: frozenset[bytes] = frozenset()


def overview(path: str) -> Overview | None:
    """Read the facts from the catalog at ``path``; ``None``: there is no catalog yet.

    Raises:
        StateError: the catalog cannot be read, or has another version.
    """
    if not os.path.lexists(path):
        return None
    with opened(path) as connection:
        # Skip the damaged row of a scan: the row may say that the scan was whole.
        row = connection.execute(
            f"SELECT {_SCAN} FROM scan WHERE kind <> 'watch' AND {_WHOLE}"  # noqa: S608
            " ORDER BY id DESC LIMIT 1"
        ).fetchone()
        whole: LastScan | None = None
        by_volume: dict[bytes, LastScan] = {}
        for found in connection.execute(
            f"SELECT {_SCAN} FROM scan WHERE kind <> 'watch' AND interrupted = -1"  # noqa: S608
            f" AND {_WHOLE} ORDER BY id"
        ):
            whole = _scan(found)
            by_volume.update(dict.fromkeys(whole.volumes, whole))
        pending, oldest = connection.execute(
            f"SELECT count(*), min(found) FROM candidate WHERE {PENDING}"  # noqa: S608
        ).fetchone()
        unmoved = connection.execute(
            "SELECT count(*) OVER (), full_path, error FROM candidate"  # noqa: S608
            f" WHERE {COULD_NOT_MOVE} OR {NOT_MOVED} ORDER BY id DESC LIMIT 1"
        ).fetchone()
        refused = connection.execute(
            f"SELECT error FROM candidate WHERE {IS_WAITING}"  # noqa: S608
            " AND instr(error, ?) ORDER BY id DESC LIMIT 1",
            (CredentialsError.SAYS,),
        ).fetchone()
        mounted = frozenset(root for (root,) in connection.execute("SELECT volume FROM mounted"))
        reported = dict(
            connection.execute(
                f"SELECT volume, count(*) FROM candidate WHERE {REPORTED} AND error IS NULL"  # noqa: S608
                " GROUP BY volume"
            ).fetchall()
        )
        (problems,) = connection.execute("SELECT count(*) FROM problem").fetchone()
    last = None if row is None else _scan(row)
    return Overview(
        last,
        pending,
        oldest,
        problems,
        whole,
        unmoved,
        by_volume,
        reported,
        None if refused is None else refused[0],
        mounted,
    )


@contextlib.contextmanager
def opened(path: str) -> Iterator[sqlite3.Connection]:
    """Open the catalog for reading only; close its connection when the ``with`` block ends.

    Raises:
        StateError: the catalog cannot be read, or has another version.
    """
    with translated(path), contextlib.closing(_connect(path)) as connection:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if application != FORMAT.application_id or version != VERSION:
            raise StateError(
                f"the catalog {shown(path)} is not a catalog of this hashscan (version {version}, "
                f"not {VERSION}); run a scan with this hashscan, which updates the catalog or says "
                "why"
            )
        yield connection


def _scan(row: tuple[Any, ...]) -> LastScan:
    # row[3] is the column ``interrupted``, see Scans.begin_scan
    return LastScan(
        row[0],
        row[1],
        row[2],
        row[3] > 0,
        tuple(row[4].split(b"\0")),
        row[5],
        {} if row[6] is None else json.loads(row[6]),
        row[3] == WHOLE,
    )


def directories_known(path: str) -> int | None:
    """Number of directories in the catalog; ``None``: there is no catalog yet.

    Raises:
        StateError: the catalog cannot be read.
    """
    if not os.path.lexists(path):
        return None
    with translated(path), contextlib.closing(_connect(path)) as connection:
        (count,) = connection.execute("SELECT count(*) FROM dir").fetchone()
    return int(count)


def _connect(path: str) -> sqlite3.Connection:
    connection = connect_read_only(path, timeout=5)
    checksums.add_function(connection)
    return connection
