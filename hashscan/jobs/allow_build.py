"""Builds an allow-list from trees, archives and digest lists, with the origin of each digest.

The allow-list is a CSV file, which ``allow`` reads like other digest lists: MD5, SHA-1 and SHA-256
of a content, and the path of a file with this content. The rows are sorted by SHA-256 and carry no
time, so the same inputs give the same bytes. If several inputs contain the same content, the row
names the file of the first input.
"""

from __future__ import annotations

import csv
import io
import os
import sqlite3
from collections import Counter
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hashscan.archives.budget import ArchiveError
from hashscan.archives.members import LeftOutMember, kind_of_archive, read_members
from hashscan.durable import new_file, rename, temporary_name
from hashscan.errors import StateError, UsageError
from hashscan.fs.beneath import CrossesMountError, open_directory, open_root
from hashscan.fs.beneath import closing as closing_fd
from hashscan.fs.named import resolve, user_shown
from hashscan.known.allow import BUILT, BUILT_COLUMNS
from hashscan.known.lists.categories import EVERY
from hashscan.known.lists.entries import FatalListError
from hashscan.known.lists.reader import Lists, open_list
from hashscan.model import ALGORITHMS, EMPTY_DIGESTS, Digest, FileDigests, Skipped
from hashscan.scan.hashing import Hasher, NotHashed
from hashscan.text import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

#: Smallest size in bytes of a content in an allow-list: shorter contents are everywhere, and in no
#: known set.
MIN_SIZE = 64
_MOST_NAMED = 20
_HEAD = 512


@dataclass(slots=True)
class Built:
    """Counts the contents and files that an allow-list was built from.

    Attributes:
        contents: number of rows in the allow-list.
        files: number of files and members that were hashed.
        duplicates: number of files and members whose content an earlier file or member already had.
        left_out: number of files and members that are not in the allow-list, by reason.
        remarks: sentences about the allow-list for the administrator.
    """

    contents: int = 0
    files: int = 0
    duplicates: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    remarks: list[str] = field(default_factory=list)


def build_allow_list(
    inputs: Sequence[str],
    output: str,
    *,
    min_size: int = MIN_SIZE,
    force: bool = False,
    on_file: Callable[[int], None] = lambda _count: None,
) -> Built:
    """Write an allow-list of ``inputs`` to ``output``; the name appears when the list is complete.

    Args:
        inputs: directories, archives (tar, also with gzip, bzip2, xz or zstd; zip) and digest
            lists.
        output: path of the allow-list to write.
        min_size: size in bytes; smaller files do not enter the list, and empty files never do.
        force: replace an existing file ``output``.
        on_file: function that is called with the number of files so far.

    Raises:
        UsageError: an input cannot be used, or ``output`` exists; nothing was written.
        DigestListError: a digest list is invalid; nothing was written.
        StateError: the allow-list cannot be written.
    """
    if not force and os.path.lexists(output):
        raise UsageError(f"{shown(output)}: exists; --force replaces it")
    with _staging(output) as staging:
        built = _Building(staging, max(min_size, 1), on_file)
        for path in inputs:
            built.take(path)
        found = built.found
        for name in ALGORITHMS:
            found.duplicates += staging.execute(
                f"DELETE FROM content WHERE NOT whole AND {name} IN"  # noqa: S608
                f" (SELECT {name} FROM content WHERE whole)"
            ).rowcount
        (found.contents,) = staging.execute("SELECT count(*) FROM content").fetchone()
        if not found.contents:
            raise UsageError("no input has a file for the allow-list: see what was left out")
        _write(staging, output, force=force)
    return found


@contextmanager
def _staging(output: str) -> Iterator[sqlite3.Connection]:
    """Yield a database of digests in memory or, if it is large, in a file without a name."""
    try:
        with closing(sqlite3.connect("", isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode = OFF")
            connection.execute("PRAGMA cache_size = -32768")
            # Rows of digest lists have one digest; rows of files have all of them (whole).
            connection.execute(
                "CREATE TABLE content (md5 BLOB, sha1 BLOB, sha256 BLOB,"
                " origin TEXT NOT NULL, whole INTEGER NOT NULL)"
            )
            connection.execute("CREATE UNIQUE INDEX wholly ON content (sha256) WHERE whole")
            for name in ALGORITHMS:
                connection.execute(
                    f"CREATE UNIQUE INDEX by_{name} ON content ({name}) WHERE NOT whole"
                )
            connection.execute("BEGIN")
            yield connection
    except sqlite3.Error as error:
        raise StateError(
            f"{shown(output)}: no room for the digests while they are sorted: {error}; make room "
            "in the directory for temporary files (TMPDIR)"
        ) from error


class _Building:
    """Adds the contents of inputs to an allow-list, one input after the other."""

    def __init__(
        self, staging: sqlite3.Connection, min_size: int, on_file: Callable[[int], None]
    ) -> None:
        self._staging = staging
        self._min_size = min_size
        self._on_file = on_file
        self._hasher = Hasher(frozenset(ALGORITHMS))
        self.found = Built()

    def take(self, path: str) -> None:
        """Add the contents of one input to the allow-list.

        Raises:
            UsageError, DigestListError: the input is invalid or cannot be read.
        """
        if os.path.isdir(path):
            self._take_tree(path)
            return
        with _opened(path) as descriptor:
            head = os.pread(descriptor, _HEAD, 0)
            if kind_of_archive(head):
                with open(os.dup(descriptor), "rb") as file:
                    self._take_archive(path, file)
                return
        self._take_list(path)

    def _put(self, digests: FileDigests, origin: str) -> None:
        # A control character or a line end in a file's name must not end a line of the allow-list.
        changed = self._staging.execute(
            "INSERT OR IGNORE INTO content VALUES (?, ?, ?, ?, ?)",
            (*digests, shown(origin), None not in digests),
        ).rowcount
        self.found.files += 1
        self.found.duplicates += not changed
        self._on_file(self.found.files)

    def _left_out(self, why: str, origin: str) -> None:
        self.found.left_out[why] += 1
        if why not in _USUAL and self.found.left_out[why] <= _MOST_NAMED:
            self.found.remarks.append(f"{shown(origin)}: left out: {why}")

    def _take_file(self, digests: FileDigests, size: int, origin: str) -> None:
        if size == 0:
            self._left_out("empty", origin)
        elif size < self._min_size:
            self._left_out("small", origin)
        else:
            self._put(digests, origin)

    # Directories

    def _take_tree(self, path: str) -> None:
        root = os.fsencode(resolve(os.path.abspath(path)))
        owner = os.stat(root).st_uid
        if owner not in {0, os.geteuid()}:
            self.found.remarks.append(
                f"{shown(root)}: belongs to {user_shown(owner)}, who can have any file allowed by "
                "putting it there: use a tree that only root can write to"
            )
        try:
            with closing_fd(open_root(root)) as top:
                self._take_directories(top, os.fsdecode(root))
        except OSError as error:
            raise UsageError(f"{shown(root)}: cannot be read: {error.strerror}") from error

    def _take_directories(self, top: int, root: str) -> None:
        waiting = [b""]
        while waiting:
            path = waiting.pop()
            try:
                opened = open_directory(top, path)
            except CrossesMountError:
                self._left_out("other-filesystem", f"{root}: {os.fsdecode(path)}")
                continue
            with closing_fd(opened) as directory, os.scandir(directory) as names:
                entries = sorted((os.fsencode(one.name), one) for one in names)
                below = []
                for name, entry in entries:
                    full = path + b"/" + name if path else name
                    origin = f"{root}: {os.fsdecode(full)}"
                    if entry.is_dir(follow_symlinks=False):
                        below.append(full)
                    elif not entry.is_file(follow_symlinks=False):
                        is_link = entry.is_symlink()
                        self._left_out("link" if is_link else "device", origin)
                    else:
                        self._take_entry(directory, name, origin)
                waiting += reversed(below)

    def _take_entry(self, directory: int, name: bytes, origin: str) -> None:
        hashed = self._hasher.hash(directory, name)
        if isinstance(hashed, NotHashed):
            if isinstance(hashed.reason, Skipped):
                self._left_out(str(hashed.reason), origin)
                return
            raise UsageError(f"{shown(origin)}: cannot be read: {hashed.message or hashed.reason}")
        self._take_file(hashed.digests, hashed.status.st_size, origin)

    # Archives

    def _take_archive(self, path: str, file: io.BufferedReader) -> None:
        archive = os.path.basename(path)
        try:
            for one in read_members(file):
                origin = f"{archive}: {os.fsdecode(one.name)}"
                if isinstance(one, LeftOutMember):
                    if one.why != "directory":
                        self._left_out(one.why, origin)
                else:
                    self._take_file(one.digests, one.size, origin)
        except ArchiveError as error:
            raise UsageError(
                f"{shown(path)}: {error}; nothing was written. Fetch the archive again, or leave "
                "it out"
            ) from error

    # Digest lists

    def _take_list(self, path: str) -> None:
        lists = Lists([path], only_categories=EVERY)
        for entry in lists:
            if Digest(entry.algorithm, entry.hex) in EMPTY_DIGESTS:
                continue
            digests = FileDigests(**{entry.algorithm: bytes.fromhex(entry.hex)})
            self._put(digests, f"{os.path.basename(path)}: line {entry.line}")
        self.found.left_out["empty"] += sum(one.empty for one in lists.reports)


#: For these reasons, a file is missing from the allow-list without a line of its own.
_USUAL = frozenset({"empty", "small", "link", "directory"})


@contextmanager
def _opened(path: str) -> Iterator[int]:
    """Open an input that is a file; return the file's descriptor.

    Raises:
        UsageError: the input is missing, unreadable or not a regular file.
    """
    try:
        with open_list(path) as descriptor:
            yield descriptor
    except FatalListError as error:
        raise UsageError(str(error.finding)) from error


def _write(staging: sqlite3.Connection, output: str, *, force: bool) -> None:
    try:
        new = temporary_name(output) if force else output
        with new_file(new, 0o644) as file:
            text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
            text.write(BUILT)
            writer = csv.writer(text, lineterminator="\n")
            writer.writerow(BUILT_COLUMNS)
            rows = staging.execute(
                "SELECT md5, sha1, sha256, origin FROM content"
                " ORDER BY sha256 IS NULL, sha256, sha1, md5"
            )
            for *digests, origin in rows:
                cells = ["" if raw is None else raw.hex() for raw in digests]
                writer.writerow([*cells, origin])
            text.flush()
            text.detach()
        if force:
            rename(new, output)
    except OSError as error:
        raise StateError(
            f"{shown(output)}: the allow-list cannot be written: {error.strerror}; make room there "
            "or mend the permissions"
        ) from error
