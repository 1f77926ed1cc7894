"""Judges the digests in the catalog by a new set of filters, without reading a file.

Separate processes read the catalog's digests; each process reads a part. The processes report only
files whose judgement changed: new candidates, and files that are not candidates any more. A new
candidate is then checked like a changed file: the check shows whether the file still matches its
row. Files without a digest that the new filters need are reported separately: all files may be
among them.
"""

from __future__ import annotations

import contextlib
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple, cast

from hashscan.catalog.reader import CatalogReader
from hashscan.catalog.rows import values_of
from hashscan.model import ALGORITHMS, FileDigests
from hashscan.processes import Child
from hashscan.scan.screening import Screen

if TYPE_CHECKING:
    from collections.abc import Sequence
    from multiprocessing.connection import Connection

    from hashscan.catalog.rows import FileRow
    from hashscan.model import Algorithm, Filter

_STEP = 4096
#: Number of directories that are judged at a time; their files are judged singly only on a hit.
_DIRECTORIES = 256
#: Largest number of judging processes: all processes read the catalog from the same disk.
_MOST_PROCESSES = 4


class Judged(NamedTuple):
    """Holds the judgements of the files in a part of the catalog.

    Attributes:
        found: directory id and name of files with a digest that a filter contains now.
        due: directory id and name of files that must be read: their row is damaged, or it lacks a
            digest that the filters need and the filters' tiers do not rule the file out.
        cleared: directory id and name of files with a digest that only an older filter contained.
        files: number of judged files in the part.
        done: the judging process is finished.
        new: category and version of the filter, and the digests, of files with a digest that a
            filter contains now and that no filter contained before.
    """

    found: list[tuple[int, bytes]]
    due: list[tuple[int, bytes]]
    cleared: list[tuple[int, bytes]]
    files: int
    done: bool
    new: list[tuple[str, str, FileDigests]] = []  # noqa: RUF012 - never changed


class Judge:
    """Judges many files at a time by a set of filters.

    Attributes:
        needed: the hash algorithms that the filters need.
        filterset: number of this set of filters; rows that the set has judged are not judged again.
        until: rows of scans with a higher number are not judged.
    """

    def __init__(
        self,
        filters: Sequence[Filter],
        algorithms: frozenset[Algorithm],
        *,
        filterset: int,
        until: int,
    ) -> None:
        """Prepare to judge files by the set of filters ``filters``.

        ``algorithms`` are the algorithms that any of the filters needs.
        """
        self.filterset = filterset
        self.until = until
        self.needed = [name for name in ALGORITHMS if name in algorithms]
        #: Functions that return a row's digests by the needed algorithms.
        self._digest_of = [values_of(name) for name in self.needed]
        #: Pairs of a filter and the index in ``needed`` of an algorithm that it uses.
        self._questions = [
            (one, number)
            for one in filters
            for number, name in enumerate(self.needed)
            if name in one.algorithms
        ]
        self._screen = Screen(filters)

    def are_clear(self, digests: Sequence[tuple[bytes | None, ...]]) -> bool:
        """Return whether no filter contains any of the digests, and no digest is missing.

        ``digests`` has the ``needed`` digests of each file. This method takes half the time of
        ``judge``, but does not find out which file has a hit.
        """
        columns = list(zip(*digests, strict=True))
        if any(None in column for column in columns):
            return False
        return not any(
            one.among(cast("tuple[bytes, ...]", columns[number])) for one, number in self._questions
        )

    def judge(self, files: Sequence[tuple[int, FileRow]]) -> Judged:
        """Judge some files by the directory and the catalog row of each file."""
        todo = 0
        whole: list[tuple[int, FileRow]] = []
        lacking: list[tuple[int, FileRow]] = []
        for file in files:
            row = file[1]
            if row.judged == self.filterset or row.scan > self.until:
                continue
            todo += 1
            is_whole = all(digest_of(row) is not None for digest_of in self._digest_of)
            (whole if is_whole else lacking).append(file)
        hit: set[int] = set()
        new: dict[tuple[str, str, int], FileDigests] = {}
        for one, number in self._questions:
            digest_of = self._digest_of[number]
            held = one.among([digest_of(row) for _, row in whole])
            hit.update(held)
            for index in held:
                row = whole[index][1]
                if not row.hit:
                    new[one.category, one.version, index] = row.digests
        found = [_place(whole[number]) for number in sorted(hit)]
        cleared = [
            _place(file) for number, file in enumerate(whole) if file[1].hit and number not in hit
        ]
        due = []
        for file in lacking:
            row = file[1]
            if row.head is None or not self._screen.rules_out(row.size, row.head):
                due.append(_place(file))
            elif row.hit:
                cleared.append(_place(file))
        return Judged(
            found,
            due,
            cleared,
            todo,
            done=False,
            new=[(category, version, digests) for (category, version, _), digests in new.items()],
        )


def _place(file: tuple[int, FileRow]) -> tuple[int, bytes]:
    """Return the directory and the name of a file."""
    return file[0], file[1].name


class Rejudging:
    """Runs the processes that judge, for the daemon.

    Attributes:
        filterset: number of the set of filters in the catalog.
        until: rows of scans with a higher number are already judged.
        files: number of files that were judged again so far.
    """

    def __init__(
        self,
        catalog: str,
        filters: tuple[Filter, ...],
        algorithms: frozenset[Algorithm],
        *,
        filterset: int,
        until: int,
        processes: int = 1,
    ) -> None:
        """Start the judging processes on the catalog file ``catalog``.

        Raises:
            StateError: the catalog file cannot be read.
        """
        self.filterset = filterset
        self.until = until
        self.files = 0
        judge = Judge(filters, algorithms, filterset=filterset, until=until)
        reader = CatalogReader(catalog)
        newest = reader.last_directory()
        # The reader is opened after the fork, because a fork must not copy an open reader.
        reader.close()
        count = max(1, min(processes, _MOST_PROCESSES, newest))
        bounds = [newest * number // count for number in range(count + 1)]
        self._children: list[Child] = []
        try:
            for first, last in pairwise(bounds):
                self._children.append(Child(_main, catalog, judge, first, last, lowest=True))
        except OSError:
            self.close()
            raise

    @property
    def connections(self) -> list[Connection]:
        """Return the connections on which results arrive; empty: all processes are done."""
        return [child.connection for child in self._children]

    def take(self, connection: Connection) -> Judged | None:
        """Return the next result of the judging process at ``connection``.

        The result is ``None`` if the judging process has died.
        """
        try:
            judged: Judged = connection.recv()
        except (EOFError, OSError):
            return None
        self.files += judged.files
        if judged.done:
            (child,) = (one for one in self._children if one.connection is connection)
            self._children.remove(child)
            child.end()
        return judged

    def close(self) -> None:
        """End the judging processes."""
        for child in self._children:
            child.end()
        self._children.clear()


def _main(
    connection: Connection,
    catalog: str,
    judge: Judge,
    first: int,
    last: int,
) -> None:
    """Judge the files of the directories after ``first``, up to ``last``."""
    reader = CatalogReader(catalog)
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        for after in range(first, last, _DIRECTORIES):
            up_to = min(after + _DIRECTORIES, last)
            files = _count_clear(reader, judge, after, up_to)
            if files:
                connection.send(Judged([], [], [], files, done=False))
            elif files is None:
                _judge_one_by_one(reader, judge, after, up_to, connection)
        connection.send(Judged([], [], [], 0, done=True))


def _count_clear(reader: CatalogReader, judge: Judge, after: int, up_to: int) -> int | None:
    """Return the number of files in some directories; ``None``: a filter contains a digest."""
    files = 0
    for digests in reader.plain_digests(
        after, up_to, judge.needed, judged=judge.filterset, until=judge.until, step=_STEP
    ):
        if digests is None or not judge.are_clear(digests):
            return None
        files += len(digests)
    return files


def _judge_one_by_one(
    reader: CatalogReader, judge: Judge, after: int, up_to: int, connection: Connection
) -> None:
    """Send the files of some directories with a digest that a filter contains or contained."""
    at: tuple[int, bytes] = (after + 1, b"")
    while True:
        files, damaged = reader.digests_after(*at, up_to, _STEP)
        if not files and not damaged:
            return
        judged = judge.judge(files)
        judged = judged._replace(due=judged.due + damaged, files=judged.files + len(damaged))
        if judged.files:
            connection.send(judged)
        at = max([*map(_place, files[-1:]), *damaged[-1:]])
