"""A file of the store with the facts of each record that lists, counts and selections need.

Reading 100,000 records takes minutes. So ``STORE/summary`` has a line for each finished record: a
CRC-32, the time stamps of the record and of its directory, and the record's facts. If the time
stamps have changed, hashscan reads the record instead of its line. So the summary is never wrong,
only incomplete, and it may be removed at any time. If many lines are missing, the file is written
again.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, Self
from zlib import crc32

from hashscan.errors import QuarantineError
from hashscan.machine import is_limited
from hashscan.model import FileDigests, Identity
from hashscan.quarantine.records import UNFINISHED, RecordFacts, RecordState

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from typing import BinaryIO

    from hashscan.quarantine.records import Record

FILE, NEW = b"summary", b"summary.new"
#: The summary is written again if at least ``_MISSING`` lines are missing, and at least one line
#: for each ``_SHARE`` records.
_MISSING, _SHARE = 100, 50
#: Maximum number of new lines of the summary in memory.
_MOST_IN_MEMORY = 10_000
#: Nanoseconds after a change in which a record can change again without a new time stamp.
_RACY = 2_000_000_000
#: Seconds after which the temporary file of a killed writer is removed.
_KILLED = 600.0
_CRC: Final = 9

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Records(Protocol):
    """The methods of ``Store`` that the summary uses."""

    @property
    def fd(self) -> int:
        """Descriptor of the store's directory."""
        ...

    def ids(self) -> list[str]:
        """Ids of all records in the store, the oldest record first."""
        ...

    def load(self, record_id: str) -> Record:
        """The record with the given id."""
        ...


class _Fields(NamedTuple):
    """Fields of a record that a line of the summary has, see ``Record``.

    Attributes:
        path: full path of the record's file.
        size: size of the record's file in bytes.
        others: digests that the scan found and the moved file does not have, in hex.
        uid: user id of the file's owner; ``None``: unknown.
        owner: user name of the file's owner; ``None``: unknown.
    """

    id: str
    state: RecordState
    withdrawn: str
    acted: str
    span: str
    size: int
    category: str
    path: bytes
    service: str
    verdict: str
    algorithm: str
    digest: str
    digests: FileDigests | None
    others: tuple[str, ...]
    identity: Identity | None
    uid: int | None
    owner: str | None


class Brief(RecordFacts, _Fields):
    """The facts of a record that lists, counts and selections of records need."""

    __slots__ = ()

    @classmethod
    def of(cls, record: Record) -> Self:
        """The ``Brief`` of a record."""
        metadata, digests = record.metadata, record.digests
        own = {record.digest, *(digests.as_dict().values() if digests else ())}
        return cls(
            record.id,
            record.state,
            record.withdrawn,
            record.acted,
            record.span,
            metadata.size if metadata else record.size,
            record.category,
            record.origin.full_path,
            record.service,
            record.verdict,
            record.algorithm,
            record.digest,
            digests,
            tuple(text for text in record.expected.values() if text not in own),
            record.identity,
            metadata.uid if metadata else None,
            metadata.owner if metadata else None,
        )

    @property
    def all_hex(self) -> tuple[str, ...]:
        """All digests in the record, in lower-case hex."""
        return (*(digest.hex for digest in self.each_digest), *self.others)


_STATE, _PATH, _DIGESTS, _OTHERS, _IDENTITY = (
    Brief._fields.index(name) - 1 for name in ("state", "path", "digests", "others", "identity")
)


class Briefed(NamedTuple):
    """The ``Brief`` of a record, or the reason (``trouble``) why the record cannot be read."""

    record_id: str
    brief: Brief | None
    trouble: str = ""


def loaded(store: Records, record_id: str) -> tuple[Record | None, str]:
    """A record and an empty text; or ``None`` and the reason why the record cannot be read.

    Raises:
        QuarantineError: this process can read no record, e.g. at its limit of open files.
    """
    try:
        return store.load(record_id), ""
    except QuarantineError as error:
        if is_limited(error):
            raise
        return None, str(error)


def briefs(store: Records) -> Iterator[Briefed]:
    """The facts of all records, the oldest record first; a damaged record does not end them.

    Raises:
        QuarantineError: this process can read no record, e.g. at its limit of open files.
    """
    ids = store.ids()
    missing: dict[str, bytes] = {}
    count = 0
    for record_id, stamps, raw in _lines(store, ids):
        found = None if raw is None else _brief_in(raw)
        if found is not None:
            yield Briefed(record_id, found)
            continue
        record, trouble = loaded(store, record_id)
        if record is None:
            yield Briefed(record_id, None, trouble)
            continue
        brief = Brief.of(record)
        if stamps and brief.state not in UNFINISHED:
            missing[record_id] = _line(record_id, stamps, brief)
            count += 1
        if len(missing) >= _MOST_IN_MEMORY:
            _write(store, ids, missing)
            missing.clear()
        yield Briefed(record_id, brief)
    if missing and count >= max(_MISSING, len(ids) // _SHARE):
        _write(store, ids, missing)


def settled(store: Records) -> Iterator[tuple[str, bool]]:
    """Each record's id, and whether the record is certainly finished; false: read the record."""
    for record_id, _, raw in _lines(store, store.ids()):
        yield record_id, raw is not None


def _lines(
    store: Records, ids: Collection[str]
) -> Iterator[tuple[str, list[int], list[Any] | None]]:
    """Each id with the record's current time stamps, and its line if the stamps are unchanged.

    The list of time stamps is empty if no line may be written for the record yet.
    """
    kept = _saved_lines(store)
    there = next(kept, None)
    # A record that changed after this time may change again without a new time stamp.
    newest = time.time_ns() - _RACY
    for record_id in ids:
        stamps = _stamps(store, record_id)
        while there is not None and there[0] < record_id:
            there = next(kept, None)
        if there is not None and there[0] == record_id and there[1] == stamps:
            yield record_id, stamps, there
        else:
            is_new = not stamps or max(stamps[2:]) > newest
            yield record_id, [] if is_new else stamps, None


def _stamps(store: Records, record_id: str) -> list[int]:
    """Time stamps of a record and of its directory; empty: the directory has no record."""
    name = os.fsencode(record_id)
    try:
        above = os.stat(name, dir_fd=store.fd, follow_symlinks=False)
        own = os.stat(name + b"/record.json", dir_fd=store.fd, follow_symlinks=False)
    except OSError:
        return []
    return [own.st_ino, own.st_size, own.st_mtime_ns, own.st_ctime_ns, above.st_ctime_ns]


def _saved_lines(store: Records) -> Iterator[list[Any]]:
    """The undamaged lines of the summary, ascending by record id: id, time stamps, facts."""
    try:
        fd = os.open(FILE, _READ, dir_fd=store.fd)
    except OSError:
        return
    last = ""
    with os.fdopen(fd, "rb") as file, suppress(OSError):
        for line in file:
            text = line[_CRC:]
            if line[:_CRC] != b"%08x " % crc32(text):
                continue
            found = json.loads(text)
            if found[0] > last:
                last = found[0]
                yield found


def _line(record_id: str, stamps: list[int], brief: Brief) -> bytes:
    values: list[Any] = list(brief[1:])
    values[_PATH] = os.fsdecode(brief.path)
    values[_DIGESTS] = brief.digests and [digest and digest.hex() for digest in brief.digests]
    return _encoded([record_id, stamps, values])


def _encoded(line: list[Any]) -> bytes:
    text = json.dumps(line).encode("ascii") + b"\n"
    return b"%08x " % crc32(text) + text


def _brief_in(line: list[Any]) -> Brief | None:
    """The facts in a line of the summary; ``None``: another version of hashscan wrote the line."""
    record_id, _, values = line
    try:
        values[_STATE] = RecordState(values[_STATE])
        values[_PATH] = os.fsencode(values[_PATH])
        digests, identity = values[_DIGESTS], values[_IDENTITY]
        values[_DIGESTS] = digests and FileDigests(
            *(text and bytes.fromhex(text) for text in digests)
        )
        values[_OTHERS] = tuple(values[_OTHERS])
        values[_IDENTITY] = identity and Identity(*identity)
        return Brief(record_id, *values)
    except (ValueError, TypeError, IndexError):
        return None


def _write(store: Records, ids: Collection[str], missing: Mapping[str, bytes]) -> None:
    """Write the summary again with the missing lines; if the write fails, keep the old summary."""
    with suppress(OSError):
        try:
            fd = os.open(NEW, _CREATE, 0o600, dir_fd=store.fd)
        except FileExistsError:  # another process is writing the summary
            status = os.stat(NEW, dir_fd=store.fd, follow_symlinks=False)
            if abs(time.time() - status.st_mtime) > _KILLED:
                os.unlink(NEW, dir_fd=store.fd)
            return
        try:
            with os.fdopen(fd, "wb") as file:
                _merge(store, frozenset(ids), missing, file)
                file.flush()
                os.fsync(fd)
            os.replace(NEW, FILE, src_dir_fd=store.fd, dst_dir_fd=store.fd)
        except BaseException:
            with suppress(OSError):
                os.unlink(NEW, dir_fd=store.fd)
            raise


def _merge(
    store: Records, ids: frozenset[str], missing: Mapping[str, bytes], file: BinaryIO
) -> None:
    rest = iter(sorted(missing))
    following = next(rest, None)
    for line in _saved_lines(store):
        while following is not None and following < line[0]:
            file.write(missing[following])
            following = next(rest, None)
        if line[0] in ids and line[0] not in missing:
            file.write(_encoded(line))
    while following is not None:
        file.write(missing[following])
        following = next(rest, None)
