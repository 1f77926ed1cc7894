"""The rows of the catalog's files, and the findings that the workers send to the catalog's writer.

A field of ``FileRow`` is a column of the table ``file``. Only this module knows the columns' order:
it makes the table, the lists of columns, the checksums and the rows. Workers send a row as a plain
tuple, because a ``FileRow`` costs many times as much to send; ``values_of`` takes values out of
plain tuples by their names.
"""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple, get_type_hints

from hashscan.catalog.checksums import are_whole, checksum
from hashscan.fs.reading import cut
from hashscan.model import FileDigests, FilterHit, Identity, Stamp

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

#: The fields of a ``FileRow`` as a plain tuple.
RawRow = tuple[Any, ...]
#: The values of the columns ``STORED``.
StoredRow = tuple[Any, ...]


def signed(inode: int) -> int:
    """An inode's number as SQLite keeps it: some file systems use all 64 bits, without a sign."""
    return inode - (1 << 64) if inode >= 1 << 63 else inode


def unsigned(inode: int) -> int:
    """An inode's number as the kernel gives it, from what SQLite kept."""
    return inode + (1 << 64) if inode < 0 else inode


class FileRow(NamedTuple):
    """A file as it was when it was hashed or ruled out.

    A named tuple, because a frozen dataclass takes many times as long to make.

    Attributes:
        name: in its directory.
        device: for the device of the volume's root, whose number changes from boot to boot: minus
            the id of the root's directory; otherwise the device's number.
        inode: ``signed``.
        linked: the inode has more than one name.
        hit: a digest of it is in a filter of the set ``judged``.
        racy: it may have changed since without a new stamp, so the stamp does not count.
        judged: the filter set (``Catalog.filterset``) that ``hit`` belongs to.
        scan: the scan that hashed it.
        head: ``None``: the file was hashed. Otherwise the filter set ``judged`` ruled it out by its
            first block (the block's key) or by its size (``b""``), and it has no digests; if
            ``hit`` is set, the file is not ruled out any more.
    """

    name: bytes
    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int
    md5: bytes | None
    sha1: bytes | None
    sha256: bytes | None
    linked: bool
    hit: bool
    racy: bool
    judged: int
    scan: int
    head: bytes | None = None

    @property
    def stamp(self) -> Stamp:
        """The stamp it had."""
        return Stamp(self.size, self.mtime_ns, self.ctime_ns)

    @property
    def digests(self) -> FileDigests:
        """The digests it had."""
        return FileDigests(self.md5, self.sha1, self.sha256)


def found_row(
    name: bytes,
    device: int,
    status: os.stat_result,
    digests: tuple[bytes | None, bytes | None, bytes | None],
    *,
    judged: int,
    scan: int,
    hit: bool = False,
    racy: bool = False,
    head: bytes | None = None,
) -> RawRow:
    """The row of a file that was found with this status; ``device``: its number in rows."""
    inode = status.st_ino
    return (
        name,
        device,
        inode - (1 << 64) if inode >= 1 << 63 else inode,  # faster than ``signed``
        status.st_size,
        cut(status.st_mtime_ns),
        cut(status.st_ctime_ns),
        *digests,
        status.st_nlink > 1,
        hit,
        racy,
        judged,
        scan,
        head,
    )


#: The values that a row's checksum covers, in order.
_SEALED = (*FileRow._fields, "dir")
_INDICES = {name: number for number, name in enumerate((*_SEALED, "checksum", "added"))}


def values_of(*names: str) -> Callable[[tuple[Any, ...]], Any]:
    """A function that returns values of a row, plain or stored, by their names.

    It returns a tuple for several names, and the value itself for one name. It is as fast as
    indices are. ``added`` names the value that a query adds after the columns ``STORED``.
    """
    return itemgetter(*(_INDICES[name] for name in names))


_SQL_TYPES = {
    bytes: "BLOB NOT NULL",
    bytes | None: "BLOB",
    int: "INTEGER NOT NULL",
    bool: "INTEGER NOT NULL",
}
_TYPES = get_type_hints(FileRow)
_FLAGS = tuple(number for number, kind in enumerate(_TYPES.values()) if kind is bool)
#: SQL that makes the table.
TABLE = (
    "CREATE TABLE file (dir INTEGER NOT NULL, "
    + ", ".join(f"{name} {_SQL_TYPES[kind]}" for name, kind in _TYPES.items())
    + ", checksum INTEGER NOT NULL, PRIMARY KEY (dir, name)) WITHOUT ROWID"
)
#: The columns of a ``StoredRow``.
STORED = f"{', '.join(_SEALED)}, checksum"
#: SQL that reads rows with their directory and their checksum: ``StoredRow``.
SELECT = f"SELECT {STORED} FROM file"  # noqa: S608
_ASSIGNED = ", ".join(f"{one} = excluded.{one}" for one in (*FileRow._fields[1:], "checksum"))
_KEPT = ", ".join(f"kept.{one}" for one in _SEALED)
#: SQL that stores a row: a ``StoredRow``, and the time in nanoseconds since the epoch.
#:
#: A row may arrive late, from a process that read the file before its last write; it must not
#: replace the newer row. The newer row's ctime is after the start of the late row's scan. If the
#: clock was set back, the stored ctime is before that start, or in the future; then the new row
#: wins. A row of another inode always wins: in a renamed directory, files have their old stamps.
UPSERT = (
    f"INSERT INTO file AS kept ({STORED}) VALUES (?{', ?' * len(_SEALED)})"  # noqa: S608
    f" ON CONFLICT (dir, name) DO UPDATE SET {_ASSIGNED} WHERE excluded.ctime_ns >= kept.ctime_ns"
    " OR excluded.inode <> kept.inode OR excluded.device <> kept.device OR kept.ctime_ns > ?"
    " OR kept.ctime_ns < (SELECT started FROM scan WHERE id = excluded.scan) * 1e9"
    # A damaged row must not win.
    f" OR kept.checksum <> checksum({_KEPT})"
)
#: SQL that changes what a filter set found: its number, whether it has a hit, directory, name.
REJUDGE = (
    "UPDATE file SET judged = ?1, hit = ?2, checksum = checksum("  # noqa: S608
    + ", ".join({"judged": "?1", "hit": "?2"}.get(one, one) for one in _SEALED)
    # A damaged row is left damaged: the next scan hashes its file again.
    + f") WHERE dir = ?3 AND name = ?4 AND checksum = checksum({', '.join(_SEALED)})"
)

name_of: Callable[[RawRow], bytes] = values_of("name")
#: Returns the id of a stored row's directory.
directory_of: Callable[[StoredRow], int] = values_of("dir")


def stored_row(row: RawRow, directory: int) -> StoredRow:
    """A row of ``directory`` with its checksum, as SQLite keeps it."""
    plain = [*row, directory]
    for flag in _FLAGS:
        plain[flag] = +plain[flag]  # truth values come back as numbers
    return (*plain, checksum(*plain))


def checked(stored: StoredRow) -> FileRow | None:
    """A stored row; ``None`` if it is damaged."""
    return FileRow._make(stored[:-2]) if are_whole((stored,)) else None


def checked_by_name(stored: Sequence[StoredRow]) -> dict[bytes, FileRow | None]:
    """The stored rows of one directory by their names; ``None`` for a damaged row."""
    if are_whole(stored):
        return {row[0]: FileRow._make(row[:-2]) for row in stored}
    return {row[0]: checked(row) for row in stored}


class FoundCandidate(NamedTuple):
    """A candidate in a directory, before the writer adds where that directory is."""

    name: bytes
    identity: Identity
    stamp: Stamp
    digests: FileDigests
    links: int
    uid: int
    hits: tuple[FilterHit, ...]


class FoundProblem(NamedTuple):
    """A problem with an entry; an empty name means the directory itself."""

    name: bytes
    reason: str
    message: str


class DirectoryPlace(NamedTuple):
    """Where a directory was when it was listed last.

    Attributes:
        parent: id of the directory above it; 0: it is a volume's root, or unknown.
        name: in that directory.
        inode: as the listing of that directory has it; 0: unknown.
    """

    parent: int
    name: bytes
    inode: int


class QueuedDirectory(NamedTuple):
    """A directory to be listed.

    Attributes:
        number: its id in the catalog.
        path: below the volume's root.
        fresh: the catalog holds nothing of it.
        inode: as its parent gave it.
    """

    number: int
    path: bytes
    fresh: bool
    inode: int = 0
