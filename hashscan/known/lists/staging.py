"""Sorts the digests of lists and drops duplicates on disk, so that memory stays flat.

A temporary SQLite database takes the entries as they come; its sorter, which spills to disk, gives
them back in order. A digest that stands in several categories keeps the one whose name appears
first in the lists.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, NamedTuple

from hashscan.errors import StateError
from hashscan.known.lists.reader import STDIN, Lists
from hashscan.model import HEX_LENGTH, Algorithm

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from hashscan.known.lists.reader import Entry, ListReport

# How often progress is told: digests, and bytes.
_BATCH = 50_000
_STEP = 1024 * 1024
#: Memory of the sorting, in KiB.
CACHE_KIB = 64 * 1024


class BuildProgress(NamedTuple):
    """How far a build is.

    Attributes:
        stage: ``reading`` (bytes), ``sorting`` (no numbers), ``adding`` (digests).
        done: of ``total``.
        total: ``None`` where it is not known.
    """

    stage: Literal["reading", "sorting", "adding"]
    done: int
    total: int | None


class Staged(NamedTuple):
    """What the lists hold.

    Attributes:
        reports: one for each list.
        taken: entries with duplicates.
        categories: names that the lists give, in order of appearance; a category's number is its
            place here.
    """

    reports: list[ListReport]
    taken: int
    categories: list[str]


class Staging:
    """The sorted, distinct digests of some lists, for as long as they are needed."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Only for ``staging``."""
        self.connection = connection

    def fill(
        self,
        lists: Sequence[str],
        *,
        skip_invalid: bool,
        only_categories: Collection[str] | None = None,
        on_progress: Callable[[BuildProgress], None] | None,
    ) -> Staged:
        """Take all entries of the lists that count as known (see ``Lists``), and sort them.

        Raises:
            DigestListError: a list cannot be used.
            UsageError: one of ``only_categories`` is no name of a category.
        """
        total = _total(lists)
        done = told = 0

        def count(size: int) -> None:
            nonlocal done, told
            done += size
            if on_progress and (not told or done - told >= _STEP):
                told = done
                on_progress(BuildProgress("reading", done, total))

        source = Lists(
            lists, skip_invalid=skip_invalid, only_categories=only_categories, on_bytes=count
        )
        numbers: dict[str, int] = {}
        self.connection.execute("CREATE TABLE taken (digest BLOB NOT NULL, category INTEGER)")
        self.connection.executemany("INSERT INTO taken VALUES (?, ?)", _rows(source, numbers))
        if on_progress:
            on_progress(BuildProgress("sorting", 0, None))
        self.connection.execute(
            "CREATE TABLE known (digest BLOB PRIMARY KEY, category INTEGER) WITHOUT ROWID"
        )
        # In sorted order each row is appended, which is what keeps a large index quick to build.
        self.connection.execute(
            "INSERT INTO known SELECT digest, min(category) FROM taken GROUP BY digest"
        )
        self.connection.execute("DROP TABLE taken")
        return Staged(source.reports, sum(one.digests for one in source.reports), list(numbers))

    def counts(self) -> dict[Algorithm, int]:
        """Distinct digests by algorithm, without algorithms that do not occur."""
        rows = dict(
            self.connection.execute("SELECT length(digest) * 2, count(*) FROM known GROUP BY 1")
        )
        return {name: rows[length] for name, length in HEX_LENGTH.items() if length in rows}

    def category_counts(self, categories: Sequence[str]) -> dict[str, int]:
        """Distinct digests by the category that the lists name; those without one are left out."""
        rows = self.connection.execute(
            "SELECT category, count(*) FROM known WHERE category IS NOT NULL GROUP BY 1"
        )
        return {categories[number]: count for number, count in rows}

    def raw_digests(
        self, total: int, on_progress: Callable[[BuildProgress], None] | None
    ) -> Iterator[bytes]:
        """Each distinct digest once, in ascending order."""
        rows = self.connection.execute("SELECT digest FROM known")
        for done, (raw,) in enumerate(rows):
            if on_progress and done % _BATCH == 0:
                on_progress(BuildProgress("adding", done, total))
            yield raw


@contextmanager
def staging(purpose: str) -> Iterator[Staging]:
    """A staging area of which nothing remains, not even after a kill.

    It lies where SQLite keeps its temporary files: ``SQLITE_TMPDIR``, ``TMPDIR`` or ``/var/tmp``,
    in files of mode 0600 that have no name.

    Args:
        purpose: what cannot be made when it fails, for the message.

    Raises:
        StateError: the disk is full or not writable.
    """
    connection = sqlite3.connect("", isolation_level=None)
    try:
        for pragma in ("journal_mode=OFF", "synchronous=OFF", f"cache_size=-{CACHE_KIB}"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("BEGIN")  # one transaction for all; nothing is ever committed
        yield Staging(connection)
    except sqlite3.DatabaseError as error:
        raise StateError(
            f"{purpose} cannot be made: {error}; SQLite's temporary files need about 100 bytes a "
            "digest: make room in /var/tmp, or name another directory in SQLITE_TMPDIR, then run "
            "the command again"
        ) from error
    finally:
        connection.close()


def _total(lists: Sequence[str]) -> int | None:
    try:
        return None if STDIN in lists else sum(os.stat(path).st_size for path in lists)
    except (OSError, ValueError):
        return None


def _rows(source: Lists, numbers: dict[str, int]) -> Iterator[tuple[bytes, int | None]]:
    entry: Entry
    unhex = bytes.fromhex
    for entry in source:
        category = entry.category
        if category is None:
            yield unhex(entry.hex), None
            continue
        yield unhex(entry.hex), numbers.setdefault(category, len(numbers))
