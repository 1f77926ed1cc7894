"""Sorts the digests of lists and drops duplicates on disk, so that memory use does not grow.

A temporary SQLite database takes the lists' entries unsorted; SQLite's sorter, which uses files on
disk, returns the entries in order. A digest in several categories keeps the category whose name
appears first in the lists. If lists name different sizes for a digest, each of these sizes is kept.
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

# Number of digests, and number of bytes, between two reports of the progress.
_BATCH = 50_000
_STEP = 1024 * 1024
#: Memory in KiB that SQLite may use for sorting.
CACHE_KIB = 64 * 1024


class BuildProgress(NamedTuple):
    """The progress of a build.

    Attributes:
        stage: the build's present stage: ``reading`` (counts bytes), ``sorting`` (has no numbers),
            ``adding`` (counts digests).
        done: number of bytes or digests that the stage has finished.
        total: number of all bytes or digests of the stage; ``None`` if the number is not known.
    """

    stage: Literal["reading", "sorting", "adding"]
    done: int
    total: int | None


class Staged(NamedTuple):
    """The content of the digest lists, as ``fill`` read it.

    Attributes:
        reports: one report for each digest list.
        taken: number of the lists' used entries, duplicates included.
        categories: the names of categories in the lists, in order of appearance; the number of a
            category is its index here.
    """

    reports: list[ListReport]
    taken: int
    categories: list[str]


#: The source of a tier: a table of distinct keys, and a column that says which digests have a key.
_TIER_TABLES: dict[TierName, tuple[str, str]] = {
    "sizes": ("size", "sized"),
    "heads": ("head", "headed"),
}


class ListStaging:
    """The sorted, distinct digests of digest lists, in a temporary database."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Keep the temporary database; only the function ``staging`` makes an instance."""
        self.connection = connection

    def fill(
        self,
        lists: Sequence[str],
        *,
        skip_invalid: bool,
        only_categories: Collection[str] | None = None,
        on_progress: Callable[[BuildProgress], None] | None,
    ) -> Staged:
        """Add and sort all entries of the lists that count as known (see ``Lists``).

        Raises:
            DigestListError: one of the digest lists cannot be used.
            UsageError: a text in ``only_categories`` cannot be the name of a category.
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
        # The digests are inserted in sorted order, so that SQLite builds even a large index
        # quickly.
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
        """The number of distinct digests by algorithm, without algorithms that do not occur."""
        rows = dict(
            self.connection.execute("SELECT length(digest) * 2, count(*) FROM known GROUP BY 1")
        )
        return {name: rows[length] for name, length in HEX_LENGTH.items() if length in rows}

    def _all_have(self, mark: str) -> bool:
        (found,) = self.connection.execute(f"SELECT min({mark}) FROM known").fetchone()  # noqa: S608
        return bool(found)

    def tier_count(self, name: TierName) -> int | None:
        """The number of distinct keys of a tier, or ``None`` if a digest has no key."""
        column, mark = _TIER_TABLES[name]
        if not self._all_have(mark):
            return None
        (count,) = self.connection.execute(f"SELECT count(*) FROM {column}s").fetchone()  # noqa: S608
        return int(count)

    def tier_lacking(self, name: TierName) -> int:
        """The number of distinct digests that have no key of a tier."""
        _, mark = _TIER_TABLES[name]
        (count,) = self.connection.execute(
            f"SELECT count(*) FROM known WHERE NOT {mark}"  # noqa: S608
        ).fetchone()
        return int(count)

    def tier_keys(self, name: TierName) -> Iterator[bytes]:
        """Yield each distinct key of a tier, raw, in ascending order."""
        column, _ = _TIER_TABLES[name]
        rows = self.connection.execute(f"SELECT key FROM {column}s")  # noqa: S608
        return (size_key(key) if name == "sizes" else key for (key,) in rows)

    def contradicted(self) -> int:
        """The number of distinct digests for which the lists name different sizes."""
        (count,) = self.connection.execute("SELECT count(*) FROM known WHERE sized = 2").fetchone()
        return int(count)

    def size_range(self) -> tuple[int, int]:
        """The smallest and the largest file size in the lists; ``None`` if a digest has no size."""
        low, high = self.connection.execute("SELECT min(key), max(key) FROM sizes").fetchone()
        return int(low), int(high)

    def category_counts(self, categories: Sequence[str]) -> dict[str, int]:
        """The number of distinct digests by category; digests without a category are left out."""
        rows = self.connection.execute(
            "SELECT category, count(*) FROM known WHERE category IS NOT NULL GROUP BY 1"
        )
        return {categories[number]: count for number, count in rows}

    def raw_digests(
        self, total: int, on_progress: Callable[[BuildProgress], None] | None
    ) -> Iterator[bytes]:
        """Yield each distinct digest once, in ascending order."""
        rows = self.connection.execute("SELECT digest FROM known")
        for done, (raw,) in enumerate(rows):
            if on_progress and done % _BATCH == 0:
                on_progress(BuildProgress("adding", done, total))
            yield raw


@contextmanager
def staging(purpose: str) -> Iterator[ListStaging]:
    """Open a temporary database for digests that leaves nothing on disk, even after a kill.

    The database is in SQLite's directory for temporary files (``SQLITE_TMPDIR``, ``TMPDIR`` or
    ``/var/tmp``), in files of mode 0600 that have no name.

    Args:
        purpose: names, in an error's message, the file that cannot be made from the digests.

    Raises:
        StateError: the disk for temporary files is full or not writable.
    """
    connection = sqlite3.connect("", isolation_level=None)
    try:
        for pragma in ("journal_mode=OFF", "synchronous=OFF", f"cache_size=-{CACHE_KIB}"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("BEGIN")  # all of it is a single transaction, which is never committed
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
        # Some tools write the size 0 if they do not know a size.
        yield unhex(entry.hex), number, entry.size or None, entry.head
