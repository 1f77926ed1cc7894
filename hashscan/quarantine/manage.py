"""List, verify, export and purge the files in the quarantine."""

from __future__ import annotations

import io
import os
import tarfile
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, BinaryIO, Literal

from hashscan.audit import events
from hashscan.durable import new_file
from hashscan.errors import QuarantineError, UsageError
from hashscan.fs.beneath import closing, open_file, open_root
from hashscan.fs.copy import HashedStream
from hashscan.fs.private import open_existing
from hashscan.model import PRIVATE_DIRECTORY
from hashscan.quarantine.explain import explained
from hashscan.quarantine.file_place import Spot, private_of, read_file_at, sync_directory
from hashscan.quarantine.records import Record, RecordState
from hashscan.quarantine.store import CONTENT
from hashscan.quarantine.summary import briefs, loaded
from hashscan.text import human_age, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hashscan.model import FileDigests
    from hashscan.quarantine.store import Store
    from hashscan.quarantine.summary import Brief
    from hashscan.timeline import Timeline


@dataclass(frozen=True, slots=True)
class Listed:
    """A record of a quarantined file, or the reason (``trouble``) why it cannot be read."""

    record_id: str
    record: Record | None
    trouble: str = ""


def records(store: Store) -> Iterator[Listed]:
    """All records in the store, the oldest record first; a damaged record does not end the list.

    Raises:
        QuarantineError: this process can read no record, e.g. at its limit of open files.
    """
    for record_id in store.ids():
        yield Listed(record_id, *loaded(store, record_id))


def resolve(store: Store, given: str) -> str:
    """The full id of a record for an abbreviated id.

    Raises:
        UsageError: no record's id, or more than one, begins with the abbreviated id.
    """
    ids = store.ids()
    if given in ids:
        return given
    found = [
        full
        for full in ids
        if given and (full.startswith(given) or full.endswith(given) or f"-{given}" in full)
    ]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(
            f"{shown(given)}: matches {len(found)} records ({', '.join(found[:4])}"
            f"{', ...' if len(found) > 4 else ''}); write more of the id"
        )
    raise UsageError(
        f"{shown(given)}: no such record in {shown(store.directory)}; see `quarantine list --all`"
    )


def same_inode(store: Store, record: Record) -> list[Record]:
    """Records of the other hard links of a record's file, the oldest record first.

    The inode number alone proves nothing, because file systems reuse the numbers. So the records
    must also have the same device, content and modification time, and each file must have had more
    than one hard link.
    """
    if record.identity is None or record.metadata is None or not _is_linked(record):
        return []
    found = []
    for record_id in sorted(store.index.names(record.identity)):
        with suppress(QuarantineError):
            other = store.load(record_id)
            if (
                other.id != record.id
                and _is_linked(other)
                and other.digests == record.digests
                and other.metadata is not None
                and other.metadata.mtime_ns == record.metadata.mtime_ns
            ):
                found.append(other)
    return found


def _is_linked(record: Record) -> bool:
    # If the hard links are copied and removed one by one, the last hard link has no other link when
    # it is moved.
    return record.links > 1 or (record.metadata is not None and record.metadata.links > 1)


@dataclass(frozen=True, slots=True)
class StoreFinding:
    """A fault of one record, or of one other directory entry in the store.

    Attributes:
        record_id: id of the faulty record; or the name of a directory entry that is no record.
        kind: kind of the fault: ``altered``, ``missing``, ``damaged``, ``unknown``, ``unfinished``,
            ``unreadable`` or ``leftover``.
    """

    record_id: str
    kind: str
    message: str


@dataclass(frozen=True, slots=True)
class StoreVerified:
    """Result of ``verify``: the number of contents that were hashed, and the faults found."""

    checked: int
    findings: list[StoreFinding]


def verify(store: Store, volumes: Iterable[bytes] = ()) -> StoreVerified:
    """Hash all contents in the store again, and compare their digests with the records.

    The caller must not hold the store's lock: contents are hashed without the lock, so that no
    scan waits.

    Args:
        store: the quarantine.
        volumes: resolved roots of volumes; their private directories are searched for files
            without a record.

    Raises:
        QuarantineError: the store cannot be listed.
    """
    checked = 0
    findings = [
        StoreFinding(
            name,
            "unknown",
            f"{shown(store.path_of(name))}: hashscan did not make this; find out what it is",
        )
        for name in store.unknown_names()
    ]
    on_volumes: set[bytes] = set()
    for listed in records(store):
        record = listed.record
        if record is None:
            findings.append(StoreFinding(listed.record_id, "damaged", listed.trouble))
            continue
        if record.staging is not None:
            on_volumes.add(os.fsencode(record.id))
        finding, hashed = _verify(store, record)
        if finding:  # another process may be moving the file: check again under the store's lock
            with store.lock():
                try:
                    finding, hashed = _verify(store, store.load(record.id))
                except QuarantineError:
                    finding = None  # the record was removed meanwhile: its file was not moved
        checked += hashed
        if finding:
            findings.append(finding)
    for volume in volumes:
        findings += _leftovers(volume, on_volumes)
    return StoreVerified(checked, findings)


def _verify(store: Store, record: Record) -> tuple[StoreFinding | None, bool]:
    where = shown(store.path_of(record.id))
    if record.state in {RecordState.RESTORED, RecordState.PURGED, RecordState.UNDONE}:
        return None, False
    if record.state not in {RecordState.QUARANTINED, RecordState.DISPLACED}:
        text = f"{where}: still {record.state}; the next command that can reach its volume ends it"
        return StoreFinding(record.id, "unfinished", text), False
    try:
        with ExitStack() as stack:
            spot = Spot(stack.enter_context(store.entry(record.id)), CONTENT)
            if record.staging is not None:
                private = private_of(record.staging, record, store.privates)
                spot = stack.enter_context(private) or spot
            if spot.status() is None:
                return StoreFinding(record.id, "missing", f"{where}: the content is missing"), False
            if record.digests is None or record.metadata is None:
                return None, False  # never hash a displaced file: it is innocent
            seen = read_file_at(spot, record.metadata.size)
    except (OSError, QuarantineError) as error:
        return StoreFinding(record.id, "unreadable", f"{where}: {error}"), False
    if seen.digests != record.digests:
        text = f"{where}: the content is not what was quarantined"
        if record.open_for_writing:
            text += "; a process had the file open for writing then"
        return StoreFinding(record.id, "altered", text), True
    return None, True


def _leftovers(volume: bytes, known: set[bytes]) -> Iterator[StoreFinding]:
    """Names of files in the private directory at a volume's root that belong to no record."""
    with suppress(OSError), closing(open_root(volume)) as root:
        private = open_existing(root)
        if private is None:
            return
        with closing(private):
            for name in sorted(map(os.fsencode, os.listdir(private))):
                if name not in known:
                    path = shown(volume + b"/" + PRIVATE_DIRECTORY + b"/" + name)
                    text = f"{path}: belongs to no record of this quarantine; find out what it is"
                    yield StoreFinding(shown(name), "leftover", text)


def export(store: Store, record_id: str, output: bytes) -> bool:
    """Write a record and its content to a new tar file, mode 0600, for the police.

    The tar file gets its name when it is whole and on disk. The content is read only once, so the
    hashed bytes are the written bytes.

    Returns:
        Whether the exported content has the digests of the record.

    Raises:
        QuarantineError: the record has no content, or ``output`` exists already or cannot be
            written; then no part of a tar file remains.
        UnsafePathError: a customer's symbolic link is in the path of ``output``.
    """
    record = store.load(record_id)
    if record.state is not RecordState.QUARANTINED or record.metadata is None:
        raise QuarantineError(
            f"{record_id}: not exported: it is {record.state}; only quarantined files are",
            reason="not-quarantined",
        )
    with ExitStack() as stack:
        entry = stack.enter_context(store.entry(record_id))
        try:
            source = stack.enter_context(closing(open_file(entry, CONTENT)))
        except OSError as error:
            raise explained(error, store.path_of(record_id), "could not be exported") from error
        try:
            with new_file(output) as file:
                store.announce(
                    events.EXPORTED,
                    quarantine_id=record_id,
                    path=os.fsdecode(record.origin.full_path),
                    to=os.fsdecode(output),
                )
                return _write_tar(record, source, file) == record.digests
        except OSError as error:
            raise explained(error, output, "the export could not be written") from error


def _write_tar(record: Record, source: int, file: BinaryIO) -> FileDigests:
    """Write the tar file of an export; return the digests of the content in the tar file."""
    size = os.fstat(source).st_size
    content = HashedStream(source, size)
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
        sealed = record.to_json()
        tar.addfile(_member(record, "record.json", len(sealed)), io.BytesIO(sealed))
        tar.addfile(_member(record, "content", size), content)
    return content.digests


def _member(record: Record, name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(f"{record.id}/{name}")
    member.size, member.mode, member.mtime = size, 0o600, int(time.time())
    return member


@dataclass(frozen=True, slots=True)
class Aged:
    """Ids of files that have been in quarantine for longer than an age, the oldest file first.

    Attributes:
        old: ids of files that have certainly been in quarantine for longer than the age.
        doubtful: ids of files that are older than the age by the wall clock only, because the clock
            was set or jumped. These files are kept.
    """

    old: tuple[str, ...] = ()
    doubtful: tuple[str, ...] = ()


def aged(store: Store, seconds: float) -> Aged:
    """Files that were quarantined more than ``seconds`` ago; the files' own times do not count."""
    timeline = store.timeline()
    found: dict[Literal["old", "doubtful"], list[str]] = {"old": [], "doubtful": []}
    for record_id, brief, _ in briefs(store):
        if brief is not None and (kind := passed(brief, seconds, timeline)):
            found[kind].append(record_id)
    return Aged(tuple(found["old"]), tuple(found["doubtful"]))


def passed(record: Brief, seconds: float, timeline: Timeline) -> Literal["old", "doubtful"] | None:
    """``old`` or ``doubtful`` (see ``Aged``) after ``seconds`` in quarantine; ``None``: neither.

    A file whose digest was withdrawn never counts as old: an innocent customer waits for the file.
    """
    if record.state is not RecordState.QUARANTINED or record.withdrawn:
        return None
    acted = datetime.fromisoformat(record.acted).timestamp()
    if timeline.age(acted, record.span) >= seconds:
        return "old"
    return "doubtful" if acted <= timeline.last.wall - seconds else None


def why_doubtful(count: int, seconds: float) -> str:
    """A message about ``count`` files that are older than ``seconds`` by the wall clock only."""
    return (
        f"{count:,} contents are kept, though the clock says that they are older than "
        f"{human_age(seconds)}: the clock was set or jumped, or the machine was off for long, so "
        "it is uncertain whether that time has passed; set the clock right (timedatectl), or "
        "remove them by their ids with 'hashscan quarantine purge ID...'"
    )


def purge(store: Store, record_id: str, *, lift: bool = False, because: str = "") -> Record:
    """Delete the content of one record for ever; the record itself is kept.

    The caller holds the store's lock and has called ``recover``.

    Args:
        store: the quarantine.
        record_id: id of the record whose content is deleted.
        lift: purge even the record of a restored file, so that scans do not hold the file any
            more. Set this only if the record was restored when the administrator chose it: other
            records may have been restored since.
        because: the reason for the purge, for the audit log.

    Raises:
        QuarantineError: the record has no content, or its file is displaced: a displaced file is a
            customer's innocent file, which is never deleted.
    """
    record = store.load(record_id)
    if record.state is RecordState.DISPLACED:
        raise QuarantineError(
            f"{record_id}: not purged: this is not the file that was confirmed but another file "
            "of the customer; restore it, with --to if its name is taken",
            reason="displaced",
        )
    if record.state is not RecordState.QUARANTINED and not (
        lift and record.state is RecordState.RESTORED
    ):
        raise QuarantineError(
            f"{record_id}: not purged: it is {record.state}", reason="not-quarantined"
        )
    path = os.fsdecode(record.origin.full_path)
    store.announce(events.PURGING, quarantine_id=record_id, path=path, because=because)
    try:
        store.save(record := record.became(RecordState.PURGING))
        try:
            with store.entry(record_id) as entry:
                Spot(entry, CONTENT).remove()
                sync_directory(entry)
        except OSError as error:
            raise explained(error, store.path_of(record_id), "could not be purged") from error
        store.save(record := record.became(RecordState.PURGED))
    except QuarantineError as error:
        store.conclude(events.NOT_PURGED, quarantine_id=record_id, path=path, message=str(error))
        raise
    store.conclude(events.PURGED, quarantine_id=record_id, path=path)
    return record
