"""Restores a file from quarantine with its metadata; never overwrites another file."""

from __future__ import annotations

import errno
import os
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hashscan.audit import events
from hashscan.errors import QuarantineError
from hashscan.fs.beneath import closing, identity_of, open_file
from hashscan.fs.copy import copy_content, digests_of
from hashscan.fs.flags import apply_flags, prepare_flags
from hashscan.fs.metadata import apply_ownership, apply_times
from hashscan.fs.rename import put
from hashscan.model import Identity
from hashscan.quarantine.file_place import (
    Opened,
    Spot,
    failed,
    opened,
    private_for,
    private_of,
    read_file_at,
    sync_directory,
)
from hashscan.quarantine.records import Place, Record, RecordState
from hashscan.quarantine.recover import finish_restored, seal
from hashscan.quarantine.restore_target import open_target
from hashscan.quarantine.store import CONTENT
from hashscan.text import shown

if TYPE_CHECKING:
    from hashscan.fs.folders import Made
    from hashscan.quarantine.store import Store

_FRESH = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_DOING = "could not be restored"


@dataclass(frozen=True, slots=True)
class Restored:
    """The result of a restore of one file.

    Attributes:
        record: the file's record after the restore.
        path: full path of the restored file.
        notes: messages about directories that were made, and about attributes that could not be
            restored, e.g. because the target's file system does not support the attributes.
    """

    record: Record
    path: bytes
    notes: tuple[str, ...] = ()


def restore(
    store: Store,
    record_id: str,
    *,
    to: bytes | None = None,
    force: bool = False,
    mkdir: bool = False,
) -> Restored:
    """Restore one file under its name. The caller holds the store's lock and called ``recover``.

    Args:
        store: the quarantine's store.
        record_id: id of the file's record.
        to: directory in which the file is restored; ``None``: the original directory.
        force: restore the content even if its digests differ from the digests in the record.
        mkdir: make the missing directories of the target's path, see ``fs.folders``.

    Raises:
        UnsafePathError: a customer's symbolic link is in ``to``; nothing was restored.
        QuarantineError: the file was not restored and is still in quarantine. Reasons: ``taken``,
            ``no-directory``, ``other-root``, ``altered``, ``missing``, ``not-quarantined``, or the
            kernel's name of the error.
    """
    record = store.load(record_id)
    if record.state not in {RecordState.QUARANTINED, RecordState.DISPLACED}:
        raise QuarantineError(
            f"{record_id}: not restored: it is {record.state}, there is no content to restore",
            reason="not-quarantined",
        )
    made: list[Made] = []
    try:
        done = _put_back(store, record, made, to=to, force=force, mkdir=mkdir)
    except QuarantineError as error:
        if not made:
            raise
        text = f"{error}; before that, hashscan {'; '.join(map(str, made))}"
        raise QuarantineError(text, reason=error.reason) from error
    return replace(done, notes=(*map(str, made), *done.notes))


def _put_back(
    store: Store, record: Record, made: list[Made], *, to: bytes | None, force: bool, mkdir: bool
) -> Restored:
    with ExitStack() as stack:
        content = _content(stack, store, record)
        if record.state is RecordState.QUARANTINED and not force:
            _check_content(record, content)
        target = open_target(stack, record, made, to=to, mkdir=mkdir)
        place = target.place
        _check_free(record, target, content)
        store.announce(
            events.RESTORING,
            quarantine_id=record.id,
            path=os.fsdecode(record.origin.full_path),
            to=os.fsdecode(place.full_path),
        )
        record = record.became(
            RecordState.RESTORING, resume=record.state, target=place, target_identity=None
        )
        try:
            store.save(record)
            done = _restore(store, record, content, target)
        except (OSError, QuarantineError) as error:
            _restore_state(store, record, content)
            failure = _failure(error, record, place)
            store.conclude(
                events.NOT_RESTORED,
                quarantine_id=record.id,
                path=os.fsdecode(record.origin.full_path),
                reason=failure.reason,
                message=str(failure),
            )
            raise failure from error
        store.conclude(events.RESTORED, quarantine_id=record.id, path=os.fsdecode(place.full_path))
        return done


def _failure(error: OSError | QuarantineError, record: Record, place: Place) -> QuarantineError:
    if isinstance(error, QuarantineError):
        return error
    if isinstance(error, FileExistsError):
        return _taken(record, place)
    return failed(error, place, _DOING)


def _content(stack: ExitStack, store: Store, record: Record) -> Spot:
    entry = stack.enter_context(store.entry(record.id))
    spot = Spot(entry, CONTENT)
    if record.state is RecordState.DISPLACED and record.staging is not None:
        spot = stack.enter_context(private_of(record.staging, record, store.privates)) or spot
    if spot.status() is None:
        raise QuarantineError(
            f"{shown(store.path_of(record.id))}: not restored: the content is missing; someone "
            "removed it by hand, so search for a backup",
            reason="missing",
        )
    return spot


def _check_content(record: Record, content: Spot) -> None:
    assert record.metadata is not None
    try:
        digests = read_file_at(content, record.metadata.size).digests
    except OSError as error:
        raise failed(error, record.origin, _DOING) from error
    if digests != record.digests:
        raise QuarantineError(
            f"{record.id}: not restored: the content is not what the record says (see "
            "`quarantine verify`); a process that had the file open may have changed it; "
            "--force restores it as it is",
            reason="altered",
        )


def _check_free(record: Record, target: Opened, content: Spot) -> None:
    there = target.spot.status()
    ours = content.status()
    if there is None or (ours and (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)):
        return
    raise _taken(record, target.place)


def _taken(record: Record, place: Place) -> QuarantineError:
    return QuarantineError(
        f"{shown(place.full_path)}: not restored: another file has the name, and nothing is "
        f"overwritten; move that file away, or `hashscan quarantine restore {record.id} --to DIR`",
        reason="taken",
    )


def _restore_state(store: Store, record: Record, content: Spot) -> None:
    """Save a record's state from before a failed restore, if the store still has the content."""
    store.index.reset()
    with suppress(OSError, QuarantineError):
        if content.status() is not None:
            displaced = record.resume is RecordState.DISPLACED
            store.save(
                record.became(
                    record.resume or RecordState.QUARANTINED,
                    target=None,
                    staging=record.staging if displaced else None,
                )
            )


def _restore(store: Store, record: Record, content: Spot, target: Opened) -> Restored:
    if record.is_copy:  # a copy lacks the owner, so it is never moved to the target
        return _restore_copy(store, record, content, target)
    try:
        put(content.directory, content.name, target.parent, target.spot.name)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        if record.resume is RecordState.DISPLACED:
            raise QuarantineError(
                f"{record.id}: not restored: this is not the file that was confirmed, so it is "
                "only renamed, never copied; name a directory on its own file system",
                reason="other-filesystem",
            ) from error
        return _restore_copy(store, record, content, target)
    sync_directory(target.parent)
    sync_directory(content.directory)
    content.remove_private()
    status = target.spot.status()
    if status is not None:
        record = replace(record, target_identity=_identity(status))
    record = finish_restored(store, record, None)
    return Restored(record, target.place.full_path)


def _identity(status: os.stat_result) -> Identity:
    return Identity(status.st_dev, status.st_ino)


def _restore_copy(store: Store, record: Record, content: Spot, target: Opened) -> Restored:
    """Restore a file by a copy: copy the content, name the copy, then remove the content."""
    with private_for(target, record) as (copy, staging):
        record = replace(record, staging=staging)
        store.save(record)
        try:
            notes: list[str] = []
            if not _link_sibling(store, record, copy):
                notes = _make_copy(record, content, copy)
            status = copy.status()
            assert status is not None
            record = replace(record, target_identity=_identity(status))
            store.save(record)
            put(copy.directory, copy.name, target.parent, target.spot.name)
        except BaseException:
            with suppress(OSError):
                copy.remove()
            raise
        sync_directory(target.parent)
        sync_directory(copy.directory)
        copy.remove_private()
        notes += seal(record, target.spot)
        record = finish_restored(store, record, content)
    return Restored(record, target.place.full_path, tuple(notes))


def _make_copy(record: Record, content: Spot, copy: Spot) -> list[str]:
    assert record.metadata is not None
    with (
        closing(open_file(content.directory, content.name)) as source,
        closing(os.open(copy.name, _FRESH, 0o600, dir_fd=copy.directory)) as fd,
    ):
        size = os.fstat(source).st_size
        prepare_flags(fd, record.metadata.flags)
        copy_content(source, fd, size)
        if digests_of(fd, size) != digests_of(source, size):
            raise QuarantineError(
                f"{record.id}: not restored: the copy differs from the content; check the "
                "kernel's log: the disk may be failing",
                reason="io-error",
            )
        notes = apply_ownership(fd, record.metadata)
        apply_times(fd, record.metadata)
        apply_flags(fd, record.metadata.flags)
        os.fsync(fd)
    return notes


def _link_sibling(store: Store, record: Record, copy: Spot) -> bool:
    """Make ``copy`` a hard link of the same inode's file that was restored before.

    If two hard links of one file were copied to the store, the store has two copies. On the volume
    the two names become one file again, if the file restored first still has its content.

    Returns:
        False if no restored hard link of the file with its content exists.
    """
    if record.links < 2 or record.identity is None or record.digests is None:
        return False
    for record_id in store.index.names(record.identity):
        with suppress(OSError, QuarantineError):
            other = store.load(record_id)
            if (
                other.state is RecordState.RESTORED
                and other.identity == record.identity
                and other.digests == record.digests
                and other.target is not None
                and _link(record, other, copy)
            ):
                return True
    return False


def _link(record: Record, other: Record, copy: Spot) -> bool:
    assert other.target is not None
    assert record.metadata is not None
    with opened(other.target) as there:
        with closing(open_file(there.parent, there.spot.name)) as fd:
            identity = identity_of(fd)
            size = os.fstat(fd).st_size
            if (
                identity != other.target_identity
                or size != record.metadata.size
                or digests_of(fd, size) != record.digests
            ):
                return False
        os.link(
            there.spot.name,
            copy.name,
            src_dir_fd=there.parent,
            dst_dir_fd=copy.directory,
            follow_symlinks=False,
        )
        status = copy.status()
        if status is not None and _identity(status) == identity:
            return True
        copy.remove()  # another file got the name before the link was made
        return False
