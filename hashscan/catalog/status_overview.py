"""A look at the catalog from outside, for ``status``: nothing is changed, nobody is held up."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hashscan.catalog import checksums
from hashscan.catalog.candidate_state import IS_WAITING, NOT_MOVED, PENDING, REPORTED, UNMOVED
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
    """The scan that was begun last. Times in seconds since the epoch.

    Attributes:
        ended: ``None`` while it runs, or if it was killed.
        files: number of files; ``None`` until it ended.
        interrupted: it was asked to stop.
        is_whole: it saw every file of its volumes.
        volumes: their roots.
        kind: ``scan``; of the daemon ``start``, ``schedule``, ``unwatched``...
        summary: its counts, by the names of ``Summary``, and ``costs``; empty until it ended.
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
    """What the catalog holds.

    Attributes:
        scan: the last one; ``None`` where there was none.
        pending: candidates without a verdict, or with one that was not acted on yet.
        oldest: when the oldest of them was found, in seconds since the epoch.
        problems: files and directories that the last look at them could not judge.
        unmoved: matches that could not be moved, path of one of them, and why; ``None``: none.
        whole: the last scan that came to its end.
        by_volume: the last one of each volume.
        refused: the service's answer for a pending candidate, if it refused the password.
        mounted: volumes that were mount points when they were scanned last.
        reported: matches that were reported and stay where they are, by the volume that was
            scanned.
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
    """Look at the catalog ``path``; ``None`` where there is none yet.

    Raises:
        StateError: it cannot be read, or is of another version.
    """
    if not os.path.lexists(path):
        return None
    with opened(path) as connection:
        # A damaged row of a scan must not count: it may say that everything was scanned.
        row = connection.execute(
            f"SELECT {_SCAN} FROM scan WHERE kind <> 'watch' AND {_WHOLE}"  # noqa: S608
            " ORDER BY id DESC LIMIT 1"
        ).fetchone()
        whole: LastScan | None = None
        by_volume: dict[bytes, LastScan] = {}
        for one in connection.execute(
            f"SELECT {_SCAN} FROM scan WHERE kind <> 'watch' AND interrupted = -1"  # noqa: S608
            f" AND {_WHOLE} ORDER BY id"
        ):
            whole = _scan(one)
            by_volume.update(dict.fromkeys(whole.volumes, whole))
        pending, oldest = connection.execute(
            f"SELECT count(*), min(found) FROM candidate WHERE {PENDING}"  # noqa: S608
        ).fetchone()
        unmoved = connection.execute(
            "SELECT count(*) OVER (), full_path, error FROM candidate"  # noqa: S608
            f" WHERE {UNMOVED} OR {NOT_MOVED} ORDER BY id DESC LIMIT 1"
        ).fetchone()
        refused = connection.execute(
            f"SELECT error FROM candidate WHERE {IS_WAITING}"  # noqa: S608
            " AND instr(error, ?) ORDER BY id DESC LIMIT 1",
            (CredentialsError.SAYS,),
        ).fetchone()
        mounted = frozenset(one for (one,) in connection.execute("SELECT volume FROM mounted"))
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
    """The catalog, only to be read.

    Raises:
        StateError: it cannot be read, or is of another version.
    """
    with translated(path), contextlib.closing(_connect(path)) as connection:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if application != FORMAT.application_id or version != VERSION:
            raise StateError(
                f"the catalog {shown(path)} is none of this hashscan's (version {version}, not "
                f"{VERSION}); run a scan with this hashscan, which brings it up to date or says why"
            )
        yield connection


def _scan(row: tuple[Any, ...]) -> LastScan:
    # ``interrupted``: see Scans.begin_scan
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
    """How many directories the catalog holds; ``None`` where there is none yet.

    Raises:
        StateError: it cannot be read.
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
