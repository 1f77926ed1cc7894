"""What travels between the worker processes, which find things out, and the catalog's writer."""

from __future__ import annotations

from typing import Any, NamedTuple

from hashscan.catalog.checksums import are_whole, checksum
from hashscan.model import FileDigests, FilterHit, Identity, Stamp

#: The fields of a ``FileRow`` as a plain tuple, which costs a fraction to send and to take in.
RawRow = tuple[
    bytes,
    int,
    int,
    int,
    int,
    int,
    bytes | None,
    bytes | None,
    bytes | None,
    bool,
    bool,
    bool,
    int,
    int,
    bytes | None,
]


def signed(inode: int) -> int:
    """An inode's number as SQLite keeps it: some file systems use all 64 bits, without a sign."""
    return inode - (1 << 64) if inode >= 1 << 63 else inode


def unsigned(inode: int) -> int:
    """An inode's number as the kernel gives it, from what SQLite kept."""
    return inode + (1 << 64) if inode < 0 else inode


class FileRow(NamedTuple):
    """A file as it was when it was last looked into.

    Attributes:
        name: in its directory.
        device: for the device of the volume's root, whose number changes from boot to boot, minus
            the id of the root's directory; else the device's number.
        inode: ``signed``.
        linked: the inode has more than one name.
        hit: a digest of it is in a filter of the set ``judged``.
        racy: it may have changed since without a new stamp, so the stamp does not count.
        judged: the filter set (``Catalog.filterset``) that ``hit`` stands for.
        scan: the scan that hashed it.
        head: of a file that the filter set ``judged`` ruled out by less than all of it, so that it
            has no digests: the key of its first block, or nothing (``b""``) where its size was
            enough. With ``hit`` it is ruled out no longer. ``None``: it was hashed.
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


#: The columns of table ``file`` that make a row.
COLUMNS = ", ".join(FileRow._fields)
#: The columns of a row for ``checksums.are_whole``.
CHECKED = f"{COLUMNS}, dir, checksum"


def checked(row: tuple[Any, ...]) -> FileRow | None:
    """The row of ``CHECKED`` columns; ``None`` if it is damaged."""
    return FileRow._make(row[:-2]) if are_whole((row,)) else None


def with_checksum(row: RawRow, directory: int) -> tuple[Any, ...]:
    """The ``CHECKED`` columns of a row of ``directory``, as SQLite keeps them."""
    # Truth values come back as numbers.
    plain = (*row[:9], +row[9], +row[10], +row[11], *row[12:], directory)
    return (*plain, checksum(*plain))


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
