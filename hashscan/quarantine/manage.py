"""Looking after the quarantine: list, verify, export, purge."""

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
from hashscan.quarantine.file_place import Spot, look, private_of, sync_directory
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
    """A record, or why it cannot be read."""

    record_id: str
    record: Record | None
    trouble: str = ""


def records(store: Store) -> Iterator[Listed]:
    """All records, oldest first; a damaged record never hides the others.

    Raises:
        QuarantineError: this process cannot read any record now, e.g. at its limit of open files.
    """
    for record_id in store.ids():
        yield Listed(record_id, *loaded(store, record_id))


def resolve(store: Store, given: str) -> str:
    """The full id for an abbreviated one.

    Raises:
        UsageError: none or several match.
    """
    ids = store.ids()
    if given in ids:
        return given
    found = [
        one
        for one in ids
        if given and (one.startswith(given) or one.endswith(given) or f"-{given}" in one)
    ]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(
            f"{shown(given)}: stands for {len(found)} records ({', '.join(found[:4])}"
            f"{', ...' if len(found) > 4 else ''}); write more of the id"
        )
    raise UsageError(
        f"{shown(given)}: no such record in {shown(store.directory)}; see `quarantine list --all`"
    )


def same_inode(store: Store, record: Record) -> list[Record]:
    """Records of other names that the same inode had, oldest first.

    They have the same device and inode numbers, content and modification time, and both had more
    than one name when they were found: inode numbers alone are used again for new files.
    """
    if record.identity is None or record.metadata is None or not _is_linked(record):
        return []
    found = []
    for record_id in sorted(store.index.names(record.identity)):
        with suppress(QuarantineError):
            one = store.load(record_id)
            if (
                one.id != record.id
                and _is_linked(one)
                and one.digests == record.digests
                and one.metadata is not None
                and one.metadata.mtime_ns == record.metadata.mtime_ns
            ):
                found.append(one)
    return found


def _is_linked(record: Record) -> bool:
    # Where names are copied away one by one, the last has no other when its turn comes.
    return record.links > 1 or (record.metadata is not None and record.metadata.links > 1)


@dataclass(frozen=True, slots=True)
class StoreFinding:
    """What is wrong with one entry of the store.

    Attributes:
        kind: ``altered``, ``missing``, ``damaged``, ``unknown``, ``unfinished``, ``unreadable``
            or ``leftover``.
    """

    record_id: str
    kind: str
    message: str


@dataclass(frozen=True, slots=True)
class StoreVerified:
    """Result of ``verify``: how many contents were hashed again, and what is wrong."""

    checked: int
    findings: list[StoreFinding]


def verify(store: Store, volumes: Iterable[bytes] = ()) -> StoreVerified:
    """Hash all contents again and compare them with their records.

    Hashing runs without the store's lock, so that no scan waits for it; the caller must not
    hold it either.

    Args:
        store: the quarantine.
        volumes: resolved roots below which private directories may hold what no record knows.

    Raises:
        QuarantineError: the store cannot be listed.
    """
    checked = 0
    findings = [
        StoreFinding(
            name,
            "unknown",
            f"{shown(store.where(name))}: nothing that hashscan made; see what it is",
        )
        for name in store.unknown()
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
        if finding:  # perhaps it was just being moved: look again when nobody is at work
            with store.lock():
                try:
                    finding, hashed = _verify(store, store.load(record.id))
                except QuarantineError:
                    finding = None  # forgotten meanwhile, as nothing was moved
        checked += hashed
        if finding:
            findings.append(finding)
    for volume in volumes:
        findings += _leftovers(volume, on_volumes)
    return StoreVerified(checked, findings)


def _verify(store: Store, record: Record) -> tuple[StoreFinding | None, bool]:
    where = shown(store.where(record.id))
    if record.state in {RecordState.RESTORED, RecordState.PURGED, RecordState.UNDONE}:
        return None, False
    if record.state not in {RecordState.QUARANTINED, RecordState.DISPLACED}:
        text = f"{where}: still {record.state}; the next command that can reach all places ends it"
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
                return None, False  # displaced: another file, whose digests are nobody's business
            seen = look(spot, record.metadata.size)
    except (OSError, QuarantineError) as error:
        return StoreFinding(record.id, "unreadable", f"{where}: {error}"), False
    if seen.digests != record.digests:
        text = f"{where}: the content is not what was quarantined"
        if record.open_for_writing:
            text += "; a process had the file open for writing then"
        return StoreFinding(record.id, "altered", text), True
    return None, True


def _leftovers(volume: bytes, known: set[bytes]) -> Iterator[StoreFinding]:
    """What lies in the private directory at a volume's root and belongs to no record."""
    with suppress(OSError), closing(open_root(volume)) as root:
        private = open_existing(root)
        if private is None:
            return
        with closing(private):
            for name in sorted(os.fsencode(one) for one in os.listdir(private)):
                if name not in known:
                    path = shown(volume + b"/" + PRIVATE_DIRECTORY + b"/" + name)
                    text = f"{path}: belongs to no record of this quarantine; see what it is"
                    yield StoreFinding(shown(name), "leftover", text)


def export(store: Store, record_id: str, output: bytes) -> bool:
    """Write ``record.json`` and ``content`` to a new tar file, mode 0600, for the police.

    The file gets its name when it is whole and on disk, not before. The content is read once, so
    the hashed bytes are the written bytes.

    Returns:
        Whether the exported content has the digests of the record.

    Raises:
        QuarantineError: there is no content, the file exists already, or it cannot be written;
            then nothing is left.
        UnsafePathError: a customer's link is on the way to ``output``.
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
            raise explained(error, store.where(record_id), "could not be exported") from error
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
    """Write the tar file; return the digests of the content in it."""
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
    """Ids of files that were quarantined longer ago than an age, oldest first.

    Attributes:
        old: so much time has certainly passed.
        doubtful: only the wall clock says so, which was set or jumped. These files are kept.
    """

    old: tuple[str, ...] = ()
    doubtful: tuple[str, ...] = ()


def aged(store: Store, seconds: float) -> Aged:
    """Files that were quarantined more than ``seconds`` ago, whatever their own times."""
    timeline = store.timeline()
    found: dict[Literal["old", "doubtful"], list[str]] = {"old": [], "doubtful": []}
    for record_id, brief, _ in briefs(store):
        if brief is not None and (kind := passed(brief, seconds, timeline)):
            found[kind].append(record_id)
    return Aged(tuple(found["old"]), tuple(found["doubtful"]))


def passed(record: Brief, seconds: float, timeline: Timeline) -> Literal["old", "doubtful"] | None:
    """Whether a file was quarantined more than ``seconds`` ago, see ``Aged``; ``None``: no.

    A withdrawn file does not age: it is an innocent customer's, and waits for its restore.
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
    """Delete one content for good; its record stays. The caller holds the lock and has recovered.

    Args:
        store: the quarantine.
        record_id: which one.
        lift: purge even the record of a restored file, so that scans do not hold the file any
            more. Only for records that the caller knows as restored: any other record may have
            been restored since it was chosen.
        because: the reason, for the audit log.

    Raises:
        QuarantineError: there is no content, or it is a displaced file, which is a customer's
            and never deleted.
    """
    record = store.load(record_id)
    if record.state is RecordState.DISPLACED:
        raise QuarantineError(
            f"{record_id}: not purged: this is not the file that was looked for but another one "
            "of the customer's; restore it, with --to if its name is taken",
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
            raise explained(error, store.where(record_id), "could not be purged") from error
        store.save(record := record.became(RecordState.PURGED))
    except QuarantineError as error:
        store.conclude(events.NOT_PURGED, quarantine_id=record_id, path=path, message=str(error))
        raise
    store.conclude(events.PURGED, quarantine_id=record_id, path=path)
    return record
