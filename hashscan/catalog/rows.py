"""The rows of the catalog's files, and the results that workers send to the catalog's writer.

Each field of ``FileRow`` is a column of the table ``file``. Only this module depends on the order
of the columns: it makes the table, the lists of columns, the checksums and the rows. Workers send a
row as a plain tuple, because sending a ``FileRow`` is many times slower; ``values_of`` reads values
from plain tuples by name.
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

#: A plain tuple with the fields of a ``FileRow``.
RawRow = tuple[Any, ...]
#: A plain tuple with the values of the columns ``STORED``.
StoredRow = tuple[Any, ...]


def signed(inode: int) -> int:
    """An inode number as a signed number for SQLite: some file systems use all 64 bits of it."""
    return inode - (1 << 64) if inode >= 1 << 63 else inode


def unsigned(inode: int) -> int:
    """The kernel's inode number from the signed number in SQLite."""
    return inode + (1 << 64) if inode < 0 else inode


class FileRow(NamedTuple):
    """The catalog's row of a file: the file's state when it was hashed or ruled out.

    ``FileRow`` is a named tuple, because a frozen dataclass takes many times as long to make.

    Attributes:
        name: name of the file in its directory.
        device: device number of the file. If the file is on the device of the volume's root,
            ``device`` is minus the id of the root's directory, because device numbers change at a
            reboot.
        inode: inode number as a signed number, see ``signed``.
        linked: whether the file's inode has more than one hard link.
        hit: whether a filter of the set ``judged`` has a digest of the file.
        racy: whether the file may have changed without a new stamp, so the stamp proves nothing.
        judged: the filter set (``Catalog.filterset``) that found ``hit``.
        scan: number of the scan that hashed the file or ruled it out.
        head: ``None``: the file was hashed. Otherwise the filter set ``judged`` ruled the file out
            by its first block (the block's key) or by its size (``b""``), and the row has no
            digests. If ``hit`` is set, the file is no longer ruled out and must be hashed.
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
        """The stamp of the file when it was hashed or ruled out."""
        return Stamp(self.size, self.mtime_ns, self.ctime_ns)

    @property
    def digests(self) -> FileDigests:
        """The digests of the file when it was hashed."""
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
    """The row of a file with this ``stat`` result; ``device`` is the device number for rows."""
    inode = status.st_ino
    return (
        name,
        device,
        inode - (1 << 64) if inode >= 1 << 63 else inode,  # faster than a call of ``signed``
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


#: The columns that a row's checksum covers, in order.
_SEALED = (*FileRow._fields, "dir")
_INDICES = {name: number for number, name in enumerate((*_SEALED, "checksum", "added"))}


def values_of(*names: str) -> Callable[[tuple[Any, ...]], Any]:
    """A function that returns the values of the columns ``names`` of a plain or stored row.

    For several names, the function returns a tuple; for one name, the function returns the value.
    The function is as fast as an access by index. The name ``added`` means the value that a query
    adds after the columns ``STORED``.
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
#: SQL that makes the table ``file``.
TABLE = (
    "CREATE TABLE file (dir INTEGER NOT NULL, "
    + ", ".join(f"{name} {_SQL_TYPES[kind]}" for name, kind in _TYPES.items())
    + ", checksum INTEGER NOT NULL, PRIMARY KEY (dir, name)) WITHOUT ROWID"
)
#: The columns of a ``StoredRow``.
STORED = f"{', '.join(_SEALED)}, checksum"
#: SQL that reads rows with their directory and their checksum: ``StoredRow``.
SELECT = f"SELECT {STORED} FROM file"  # noqa: S608
_ASSIGNED = ", ".join(
    f"{column} = excluded.{column}" for column in (*FileRow._fields[1:], "checksum")
)
_KEPT = ", ".join(f"kept.{column}" for column in _SEALED)
#: SQL that stores a file's row: a ``StoredRow``, and the time in nanoseconds since the epoch.
#:
#: A row may come late, from a process that read the file before its last write. The late row must
#: not replace a newer row, whose ctime is after the start of the late row's scan. If the clock was
#: set back, the stored ctime is before that start or in the future; then the late row is stored. A
#: row of another inode is always stored: files in a renamed directory have their old stamps.
UPSERT = (
    f"INSERT INTO file AS kept ({STORED}) VALUES (?{', ?' * len(_SEALED)})"  # noqa: S608
    f" ON CONFLICT (dir, name) DO UPDATE SET {_ASSIGNED} WHERE excluded.ctime_ns >= kept.ctime_ns"
    " OR excluded.inode <> kept.inode OR excluded.device <> kept.device OR kept.ctime_ns > ?"
    " OR kept.ctime_ns < (SELECT started FROM scan WHERE id = excluded.scan) * 1e9"
    # A new row always replaces a damaged row.
    f" OR kept.checksum <> checksum({_KEPT})"
)
#: SQL that saves the result of a filter set for a file: number of the set, hit, directory, name.
REJUDGE = (
    "UPDATE file SET judged = ?1, hit = ?2, checksum = checksum("  # noqa: S608
    + ", ".join({"judged": "?1", "hit": "?2"}.get(column, column) for column in _SEALED)
    # A damaged row is left damaged: the next scan hashes its file again.
    + f") WHERE dir = ?3 AND name = ?4 AND checksum = checksum({', '.join(_SEALED)})"
)

name_of: Callable[[RawRow], bytes] = values_of("name")
#: Function that returns the directory id of a stored row.
directory_of: Callable[[StoredRow], int] = values_of("dir")


def stored_row(row: RawRow, directory: int) -> StoredRow:
    """The ``StoredRow`` of a plain row: with the directory id and the checksum."""
    plain = [*row, directory]
    for flag in _FLAGS:
        plain[flag] = +plain[flag]  # SQLite returns the truth values of a row as numbers
    return (*plain, checksum(*plain))


def checked(stored: StoredRow) -> FileRow | None:
    """The ``FileRow`` of a stored row; ``None``: the row is damaged."""
    return FileRow._make(stored[:-2]) if are_whole((stored,)) else None


def checked_by_name(stored: Sequence[StoredRow]) -> dict[bytes, FileRow | None]:
    """The rows of one directory by name; ``None`` for a damaged row."""
    if are_whole(stored):
        return {row[0]: FileRow._make(row[:-2]) for row in stored}
    return {row[0]: checked(row) for row in stored}


class FoundCandidate(NamedTuple):
    """A candidate that a worker found, before the writer adds the path of its directory."""

    name: bytes
    identity: Identity
    stamp: Stamp
    digests: FileDigests
    links: int
    uid: int
    hits: tuple[FilterHit, ...]


class FoundProblem(NamedTuple):
    """A problem with an entry of a directory; an empty name means the directory itself."""

    name: bytes
    reason: str
    message: str


class DirectoryPlace(NamedTuple):
    """The place of a directory at the time when its parent directory was listed last.

    Attributes:
        parent: id of the parent directory; 0: the directory is a volume's root or unknown.
        name: name of the directory in its parent directory.
        inode: inode number in the listing of the parent directory; 0: unknown.
    """

    parent: int
    name: bytes
    inode: int


class QueuedDirectory(NamedTuple):
    """A directory that a scan must list.

    Attributes:
        number: id of the queued directory in the catalog.
        path: path of the directory below the volume's root.
        fresh: whether the catalog has no files of the directory yet.
        inode: inode number in the listing of the parent directory.
    """

    number: int
    path: bytes
    fresh: bool
    inode: int = 0
