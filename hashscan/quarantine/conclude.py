"""The steps after a file was moved from its place: keep the file in quarantine, or put it back.

``act`` and ``recover`` use these steps. The moved file is in a directory that only the agent can
enter: in the store, or in the private directory of its volume. Each step depends only on the record
and the files on disk. So ``recover`` can continue after a kill at any instant.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from hashscan.errors import QuarantineError
from hashscan.fs.beneath import closing, open_file
from hashscan.fs.copy import copy_content, digests_of
from hashscan.fs.rename import put
from hashscan.quarantine.file_place import FileAtPlace, Spot, failed, read_file_at, sync_directory
from hashscan.quarantine.records import RecordState
from hashscan.quarantine.store import CONTENT, PART
from hashscan.text import shown

if TYPE_CHECKING:
    from hashscan.quarantine.file_place import Opened
    from hashscan.quarantine.records import Record
    from hashscan.quarantine.store import Store

_FRESH = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_DOING = "could not be quarantined"


def conclude(store: Store, record: Record, spot: Spot, origin: Opened | None) -> Record:
    """Check a moved file: keep the file if its digests are the confirmed digests, else put it back.

    Args:
        store: the quarantine's store with the moved file.
        record: record of the file in state ``intent``; the record has ``staging`` if ``spot`` is on
            the volume.
        spot: directory entry of the moved file.
        origin: the file's old place; ``None`` if the directory of that place is gone.

    Returns:
        The record as ``quarantined``, ``undone`` (another file was moved, and was put back) or
        ``displaced`` (another file was moved, and could not be put back).

    Raises:
        QuarantineError: the file could not be kept in quarantine; it was put back, or ``recover``
            ends its move later.
    """
    try:
        seen = read_file_at(spot, record.size)
        if not seen.is_expected(record):
            note = "it is not the file that was hashed: changed or swapped meanwhile"
            return put_back(store, record, spot, origin, note)
        kept = _with_evidence(store, record, seen)
        if record.staging is None:
            return _keep_moved(store, kept, spot, origin)
        kept = _copy_in(store, kept, spot)
    except (OSError, QuarantineError) as error:
        failure = error if isinstance(error, QuarantineError) else _failed(record, error)
        undone = put_back(store, record, spot, origin, str(failure))
        if undone.state is RecordState.DISPLACED:
            raise QuarantineError(f"{failure}; {undone.note}", reason=failure.reason) from error
        raise failure from error
    # The record now says that the copy in the store is whole, so ``recover`` too would remove the
    # staged file.
    return finish_copied(store, kept, spot, origin)


def _failed(record: Record, error: OSError) -> QuarantineError:
    return failed(error, record.origin, _DOING)


def _with_evidence(store: Store, record: Record, seen: FileAtPlace) -> Record:
    assert seen.metadata is not None
    links = seen.metadata.links
    own = 1
    if links > 1 and record.staging is None:
        own = len(store.index.contents(seen.identity) | {record.id})
    return replace(
        record,
        identity=seen.identity,
        metadata=seen.metadata,
        digests=seen.digests,
        open_for_writing=seen.open_for_writing,
        remaining_links=max(0, links - own),
    )


def _keep_moved(store: Store, record: Record, spot: Spot, origin: Opened | None) -> Record:
    """Make a file's rename into the store durable, then save its record as ``quarantined``."""
    with closing(open_file(spot.directory, spot.name)) as fd:
        os.fsync(fd)  # the file's owner may have written to the file just before the move
    os.fsync(spot.directory)
    if origin is not None:
        sync_directory(origin.parent)
    record = record.became(RecordState.QUARANTINED)
    store.save(record)
    return record


def _copy_in(store: Store, record: Record, spot: Spot) -> Record:
    """Copy a staged file into the store, and verify the copy's digests."""
    assert record.metadata is not None
    drop_copies(store, record)
    with store.entry(record.id) as entry:
        if not _link_copy(store, record, entry):
            _make_copy(record, spot, entry)
        os.replace(PART, CONTENT, src_dir_fd=entry, dst_dir_fd=entry)
        os.fsync(entry)
    left_out = record.metadata.left_out
    note = f"{left_out} were not kept, and a restore cannot bring them back" if left_out else ""
    record = record.became(RecordState.COPIED, note=note)
    store.save(record)
    return record


def _make_copy(record: Record, spot: Spot, entry: int) -> None:
    assert record.metadata is not None
    with (
        closing(open_file(spot.directory, spot.name)) as source,
        closing(os.open(PART, _FRESH, 0o600, dir_fd=entry)) as part,
    ):
        copy_content(source, part, record.metadata.size)
        os.fsync(part)
        arrived = digests_of(part, record.metadata.size)
    if arrived != record.digests:
        raise QuarantineError(
            f"{shown(record.origin.full_path)}: {_DOING}: it changed while it was copied; "
            "the next scan checks it again",
            reason="changed",
        )


def _link_copy(store: Store, record: Record, entry: int) -> bool:
    """Hard-link the copy in the store that another hard link of the same file has already.

    Thousands of hard links of one large file must not fill the store. The copy is hashed again,
    because the record of the copy alone proves nothing. No volume has a link of the copy.

    Returns:
        False if the store has no copy of the file's inode.
    """
    assert record.metadata is not None
    assert record.identity is not None
    if max(record.links, record.metadata.links) < 2:
        return False
    for record_id in reversed(store.index.names(record.identity)):
        with suppress(OSError, QuarantineError):  # an unusable copy is not used
            other = store.load(record_id)
            if (
                other.id != record.id
                and other.state is RecordState.QUARANTINED
                and other.is_copy
                and other.digests == record.digests
                and _linked(store, record, other.id, entry)
            ):
                return True
    Spot(entry, PART).remove()
    return False


def _linked(store: Store, record: Record, other_id: str, entry: int) -> bool:
    assert record.metadata is not None
    size = record.metadata.size
    with (
        store.entry(other_id) as there,
        closing(open_file(there, CONTENT)) as copy,
    ):
        if os.fstat(copy).st_size != size or digests_of(copy, size) != record.digests:
            return False
        os.link(CONTENT, PART, src_dir_fd=there, dst_dir_fd=entry, follow_symlinks=False)
        os.fsync(copy)
    return True


def finish_copied(store: Store, record: Record, spot: Spot | None, origin: Opened | None) -> Record:
    """Remove the staged file after its copy to the store; save the record as ``quarantined``.

    Raises:
        QuarantineError: the staged file could not be removed; ``recover`` tries again.
    """
    try:
        if spot is not None:
            spot.remove()
            sync_directory(spot.directory)
            spot.remove_private()
        if origin is not None:
            sync_directory(origin.parent)
    except OSError as error:
        raise failed(error, record.origin, "is copied, but its staged file remains") from error
    record = record.became(RecordState.QUARANTINED, staging=None)
    store.save(record)
    return record


def drop_copies(store: Store, record: Record) -> None:
    """Remove a record's copies in the store; the caller has checked that the staged file exists."""
    with store.entry(record.id) as entry:
        Spot(entry, PART).remove()
        Spot(entry, CONTENT).remove()


def put_back(store: Store, record: Record, spot: Spot, origin: Opened | None, note: str) -> Record:
    """Move a file from quarantine back to its old name; never overwrite another file.

    Returns:
        The record as ``undone``; or as ``displaced``, with the file still at ``spot``, if the old
        directory is gone or another file has the old name.
    """
    reason = "its directory is gone"
    if origin is not None:
        try:
            put(spot.directory, spot.name, origin.parent, origin.spot.name)
            sync_directory(origin.parent)
        except FileExistsError:
            reason = "another file has its name by now"
        except OSError as error:
            reason = error.strerror or str(error)
    if spot.status() is None:
        spot.remove_private()
        record = record.became(RecordState.UNDONE, staging=None, note=note)
    else:
        record = record.became(
            RecordState.DISPLACED,
            note=f"{note}; it could not be put back ({reason}) and is kept as {record.id}: "
            f"`hashscan quarantine restore {record.id}`, or --to another directory",
        )
    # If the record cannot be saved, the file is nevertheless in one place only, and ``recover``
    # saves the record in the same state.
    with suppress(OSError, QuarantineError):
        if record.staging is not None or spot.name != CONTENT:
            drop_copies(store, record)
        store.save(record)
    return record
