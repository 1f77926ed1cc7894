"""A new set of filters judges what the catalog holds, without a file being read.

A process of its own goes through the catalog's digests. It reports only what is judged otherwise
than before: the files that are candidates now, and those that are none any more. The first are then
looked at as if they had changed, which tells whether they are still what the catalog says.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
from typing import TYPE_CHECKING, NamedTuple

from hashscan.catalog.reader import CatalogReader
from hashscan.model import ALGORITHMS, hits
from hashscan.process import end, end_with
from hashscan.scan.priority import step_aside

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from hashscan.model import Algorithm, Filter

_STEP = 4096


class Judged(NamedTuple):
    """What a part of the catalog came to.

    Attributes:
        found: directory id and name of files that a filter holds now, or of which a digest is
            missing that the filters need.
        cleared: of files that a filter held before and none holds now.
        files: how many were judged so far.
        done: this is the last part.
    """

    found: list[tuple[int, bytes]]
    cleared: list[tuple[int, bytes]]
    files: int
    done: bool


class Rejudging:
    """The process, as the daemon sees it.

    Attributes:
        filterset: number of the set of filters.
        until: rows of scans after this one are judged already.
        connection: readable when ``take`` has something.
    """

    def __init__(
        self,
        catalog: str,
        filters: tuple[Filter, ...],
        algorithms: frozenset[Algorithm],
        *,
        filterset: int,
        until: int,
    ) -> None:
        """Start it, on the catalog file ``catalog``."""
        self.filterset = filterset
        self.until = until
        context = multiprocessing.get_context("fork")
        self.connection, theirs = context.Pipe(duplex=False)
        self._process = context.Process(
            target=_main,
            args=(os.getpid(), theirs, catalog, filters, algorithms, filterset, until),
            daemon=True,
        )
        self._process.start()
        theirs.close()

    def take(self) -> Judged | None:
        """The next part; ``None`` where the process has died."""
        try:
            part: Judged = self.connection.recv()
        except (EOFError, OSError):
            return None
        return part

    def close(self) -> None:
        """End the process."""
        self.connection.close()
        end(self._process)


def _main(
    parent: int,
    connection: Connection,
    catalog: str,
    filters: tuple[Filter, ...],
    algorithms: frozenset[Algorithm],
    filterset: int,
    until: int,
) -> None:
    end_with(parent)
    step_aside()
    needed = [name in algorithms for name in ALGORITHMS]
    reader = CatalogReader(catalog)
    at, files = (0, b""), 0
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        while True:
            rows = reader.files_after(*at, _STEP)
            found, cleared = [], []
            for directory, row in rows:
                at = (directory, row.name)
                if row.judged == filterset or row.scan > until:
                    continue
                files += 1
                missing = any(
                    need and digest is None
                    for need, digest in zip(needed, row.digests, strict=True)
                )
                if missing or hits(filters, row.digests):
                    found.append(at)
                elif row.hit:
                    cleared.append(at)
            done = len(rows) < _STEP
            connection.send(Judged(found, cleared, files, done))
            if done:
                return
