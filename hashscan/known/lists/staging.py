"""Sorts the digests of lists and drops duplicates on disk, so that memory stays flat.

A temporary SQLite database takes the entries unsorted; its sorter, which spills to disk, returns
them in order. A digest in several categories keeps the category whose name appears first in the
lists. If lists give a digest different sizes, each of them counts.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, NamedTuple

from hashscan.errors import StateError
from hashscan.known.lists.reader import STDIN, Lists
from hashscan.model import HEX_LENGTH, Algorithm, TierName, size_key

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from hashscan.known.lists.reader import ListEntry, ListReport

# Digests, and bytes, between two reports of the progress.
_BATCH = 50_000
_STEP = 1024 * 1024
#: Memory of the sorting, in KiB.
CACHE_KIB = 64 * 1024


class BuildProgress(NamedTuple):
    """The progress of a build.

    Attributes:
        stage: ``reading`` (bytes), ``sorting`` (no numbers), ``adding`` (digests).
        done: of ``total``.
        total: ``None`` if it is not known.
    """

    stage: Literal["reading", "sorting", "adding"]
    done: int
    total: int | None


class Staged(NamedTuple):
    """The content of the lists.

    Attributes:
        reports: one for each list.
        taken: number of entries with duplicates.
        categories: names that the lists give, in order of appearance; a category's number is its
            place here.
    """

    reports: list[ListReport]
    taken: int
    categories: list[str]


#: The source of a tier: a table of distinct keys, and a mark on each digest that has a key.
_TIER_TABLES: dict[TierName, tuple[str, str]] = {
    "sizes": ("size", "sized"),
    "heads": ("head", "headed"),
}


class ListStaging:
    """The sorted, distinct digests of some lists, in a temporary database."""

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
        self.connection.execute(
            "CREATE TABLE taken (digest BLOB NOT NULL, category INTEGER, size INTEGER, head BLOB)"
        )
        self.connection.executemany("INSERT INTO taken VALUES (?, ?, ?, ?)", _rows(source, numbers))
        if on_progress:
            on_progress(BuildProgress("sorting", 0, None))
        self.connection.execute(
            "CREATE TABLE known (digest BLOB PRIMARY KEY, category INTEGER,"
            " sized INTEGER, headed INTEGER) WITHOUT ROWID"
        )
        # In sorted order each row is appended, so even a large index is built quickly.
        self.connection.execute(
            "INSERT INTO known SELECT digest, min(category), CASE WHEN max(size) ISNULL THEN 0"
            " WHEN min(size) = max(size) THEN 1 ELSE 2 END, max(head) NOTNULL"
            " FROM taken GROUP BY digest"
        )
        for column, mark in _TIER_TABLES.values():
            if self._all_have(mark):
                self.connection.execute(
                    f"CREATE TABLE {column}s AS SELECT {column} AS key FROM taken"  # noqa: S608
                    f" WHERE {column} NOTNULL GROUP BY {column}"
                )
        self.connection.execute("DROP TABLE taken")
        return Staged(source.reports, sum(one.digests for one in source.reports), list(numbers))

    def counts(self) -> dict[Algorithm, int]:
        """Distinct digests by algorithm, without algorithms that do not occur."""
        rows = dict(
            self.connection.execute("SELECT length(digest) * 2, count(*) FROM known GROUP BY 1")
        )
        return {name: rows[length] for name, length in HEX_LENGTH.items() if length in rows}

    def _all_have(self, mark: str) -> bool:
        (found,) = self.connection.execute(f"SELECT min({mark}) FROM known").fetchone()  # noqa: S608
        return bool(found)

    def tier_count(self, name: TierName) -> int | None:
        """Number of distinct keys of a tier; ``None`` if a digest has no key."""
        column, mark = _TIER_TABLES[name]
        if not self._all_have(mark):
            return None
        (count,) = self.connection.execute(f"SELECT count(*) FROM {column}s").fetchone()  # noqa: S608
        return int(count)

    def tier_lacking(self, name: TierName) -> int:
        """Number of distinct digests that have no key of a tier."""
        _, mark = _TIER_TABLES[name]
        (count,) = self.connection.execute(
            f"SELECT count(*) FROM known WHERE NOT {mark}"  # noqa: S608
        ).fetchone()
        return int(count)

    def tier_keys(self, name: TierName) -> Iterator[bytes]:
        """Each distinct key of a tier that ``tier_count`` knows, raw, in ascending order."""
        column, _ = _TIER_TABLES[name]
        rows = self.connection.execute(f"SELECT key FROM {column}s")  # noqa: S608
        return (size_key(key) if name == "sizes" else key for (key,) in rows)

    def contradicted(self) -> int:
        """Number of distinct digests to which the lists give different sizes."""
        (count,) = self.connection.execute("SELECT count(*) FROM known WHERE sized = 2").fetchone()
        return int(count)

    def size_range(self) -> tuple[int, int]:
        """The smallest and the largest size, if ``tier_count`` knows sizes."""
        low, high = self.connection.execute("SELECT min(key), max(key) FROM sizes").fetchone()
        return int(low), int(high)

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
def staging(purpose: str) -> Iterator[ListStaging]:
    """A staging area that leaves nothing on disk, not even after a kill.

    It is in SQLite's directory for temporary files: ``SQLITE_TMPDIR``, ``TMPDIR`` or ``/var/tmp``,
    in files of mode 0600 that have no name.

    Args:
        purpose: for the message of an error: the thing that cannot be made.

    Raises:
        StateError: the disk is full or not writable.
    """
    connection = sqlite3.connect("", isolation_level=None)
    try:
        for pragma in ("journal_mode=OFF", "synchronous=OFF", f"cache_size=-{CACHE_KIB}"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("BEGIN")  # one transaction for all; nothing is ever committed
        yield ListStaging(connection)
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


def _rows(
    source: Lists, numbers: dict[str, int]
) -> Iterator[tuple[bytes, int | None, int | None, bytes | None]]:
    entry: ListEntry
    unhex = bytes.fromhex
    for entry in source:
        category = entry.category
        number = None if category is None else numbers.setdefault(category, len(numbers))
        # Some tools write 0 for a size that they do not know.
        yield unhex(entry.hex), number, entry.size or None, entry.head
