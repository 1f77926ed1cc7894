"""Finishes or undoes the moves, restores and purges that a killed process left unfinished.

Every command that changes the quarantine calls ``recover`` first, under the store's lock. So no
unfinished record belongs to a process that still runs. The next step depends on the files in three
places: the store, the private directory of the volume, and the file's own directory. If one of the
three places cannot be reached, the record is not changed, and the next command tries again. A file
is deleted only if its other copy exists.
"""

from __future__ import annotations

import os
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hashscan.audit import events
from hashscan.errors import QuarantineError, StateError
from hashscan.fs.beneath import closing, identity_of, open_file
from hashscan.fs.flags import apply_seals, lacking_flags
from hashscan.quarantine.conclude import conclude, finish_copied
from hashscan.quarantine.file_place import (
    Opened,
    Spot,
    failed,
    opened_if_there,
    private_of,
    read_file_at,
    sync_directory,
    tidy_private,
)
from hashscan.quarantine.records import UNFINISHED, Place, Record, RecordState
from hashscan.quarantine.store import CONTENT, PART
from hashscan.quarantine.summary import settled
from hashscan.text import shown

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from hashscan.quarantine.store import Store

_DOING = "an unfinished job could not be ended"


@dataclass(frozen=True, slots=True)
class Recovered:
    """The result of one unfinished job: a move, a restore or a purge.

    Attributes:
        record_id: id of the record of the job's file.
        resolved: false if the job is still unfinished; ``message`` says why.
        message: the result of the job, for the administrator.
    """

    record_id: str
    resolved: bool
    message: str


def recover(store: Store, *, absent: Collection[bytes] = ()) -> list[Recovered]:
    """End all unfinished moves, restores and purges; the caller holds the store's lock.

    Args:
        store: the quarantine's store with the unfinished jobs.
        absent: roots of volumes that do not answer; the jobs on these volumes remain unfinished.

    Returns:
        A ``Recovered`` for each job that was unfinished, lacks its result in the audit log, or has
        a record that cannot be read.

    Raises:
        QuarantineError: the store itself cannot be listed.
    """
    with suppress(QuarantineError):  # on a full disk, the next command saves the timeline
        store.keep_timeline()
    done = list(_recover(store, absent))
    done += _act_without_result(store, {job.record_id for job in done})
    for job in done:
        if job.resolved:
            store.conclude(events.RECOVERED, quarantine_id=job.record_id, message=job.message)
    return done


def _act_without_result(store: Store, named: Collection[str]) -> Iterator[Recovered]:
    """The announced act, if the audit log lacks its result and ``named`` lacks its record."""
    act = None if store.recorder is None else store.begun_act()
    if act is None or act.record_id in named:
        return
    try:
        if not act.lacks_its_result():
            store.forget_act()
            return
    except StateError:
        return
    state = _state_of(store, act.record_id)
    path = shown(act.path)
    if state is None:
        message = f"{path}: hashscan was stopped before it was moved; it was left where it is"
    else:
        message = f"{path}: hashscan was stopped at work on it ({act.event}); now it is {state}"
    yield Recovered(act.record_id, resolved=True, message=message)


def _recover(store: Store, absent: Collection[bytes]) -> Iterator[Recovered]:
    for record_id, is_settled in settled(store):
        if is_settled:
            continue
        record = None
        try:
            if store.tidy(record_id):
                continue  # the process was killed before it wrote the record: no file was moved
            record = store.load(record_id)
            if record.state not in UNFINISHED:
                continue
            if record.origin.volume in absent:
                path = shown(record.origin.full_path)
                why = f"{path}: {_DOING}: its volume does not answer"
                yield Recovered(record_id, resolved=False, message=why)
                continue
            yield Recovered(record_id, resolved=True, message=_end_job(store, record))
        except QuarantineError as error:
            after = _state_of(store, record_id)
            resolved = after is not None and after not in UNFINISHED
            yield Recovered(record_id, resolved=resolved, message=str(error))
        except OSError as error:
            place = record.origin if record else Place(store.directory, os.fsencode(record_id))
            yield Recovered(record_id, resolved=False, message=str(failed(error, place, _DOING)))


def _state_of(store: Store, record_id: str) -> RecordState | None:
    try:
        return store.load(record_id).state
    except QuarantineError:
        return None


def _end_job(store: Store, record: Record) -> str:
    """End one unfinished move, restore or purge; return the result as a message."""
    if record.state is RecordState.INTENT:
        ended = _end_intent(store, record)
    elif record.state is RecordState.COPIED:
        ended = _end_copied(store, record)
    elif record.state is RecordState.PURGING:
        ended = _end_purging(store, record)
    else:
        ended = _end_restoring(store, record)
    path = shown(record.origin.full_path)
    if ended is None:
        return f"{path}: hashscan was stopped before it was moved; it was left where it is"
    return f"{path}: hashscan was stopped at work on it ({record.state}); now it is {ended.state}"


def _open_origin(stack: ExitStack, record: Record) -> Opened | None:
    """Open the old place of a record's file; ``None``: its directory is gone or was replaced."""
    origin = stack.enter_context(opened_if_there(record.origin))
    if origin is None or os.fstat(origin.parent).st_ino != record.parent_inode:
        return None
    return origin


def _end_intent(store: Store, record: Record) -> Record | None:
    with ExitStack() as stack:
        entry = stack.enter_context(store.entry(record.id))
        spot = Spot(entry, CONTENT)
        if record.staging is None:
            if spot.status() is not None:
                return conclude(store, record, spot, _open_origin(stack, record))
        else:
            staged = stack.enter_context(private_of(record.staging, record, store.privates))
            if staged is not None and staged.status() is not None:
                return conclude(store, record, staged, _open_origin(stack, record))
            if spot.status() is not None or Spot(entry, PART).status() is not None:
                raise QuarantineError(
                    f"{shown(record.origin.full_path)}: copied to "
                    f"{shown(store.path_of(record.id))}, but its staged file is not in .hashscan "
                    f"at {shown(record.staging.place.full_path)} any more: someone moved that "
                    "directory; bring it back, or take the copy out by hand",
                    reason="unresolved",
                )
    tidy_private(record.origin, record)
    store.discard(record.id)
    return None


def _end_copied(store: Store, record: Record) -> Record | None:
    assert record.staging is not None
    assert record.metadata is not None
    with ExitStack() as stack:
        entry = stack.enter_context(store.entry(record.id))
        staged = stack.enter_context(private_of(record.staging, record, store.privates))
        content = Spot(entry, CONTENT)
        whole = (
            content.status() is not None
            and read_file_at(content, record.metadata.size).digests == record.digests
        )
        origin = _open_origin(stack, record)
        if whole or staged is None or staged.status() is None:
            return finish_copied(store, record, staged, origin)
        record = record.became(RecordState.INTENT)
        store.save(record)
        return conclude(store, record, staged, origin)


def _end_purging(store: Store, record: Record) -> Record:
    with store.entry(record.id) as entry:
        Spot(entry, CONTENT).remove()
        sync_directory(entry)
    record = record.became(RecordState.PURGED)
    store.save(record)
    return record


def _end_restoring(store: Store, record: Record) -> Record:
    assert record.target is not None
    with ExitStack() as stack:
        entry = stack.enter_context(store.entry(record.id))
        content = Spot(entry, CONTENT)
        displaced_on_volume = record.resume is RecordState.DISPLACED and record.staging is not None
        if content.status() is None and not displaced_on_volume:
            return finish_restored(store, record, None)
        staged = None
        if record.staging is not None:
            staged = stack.enter_context(private_of(record.staging, record, store.privates))
        if displaced_on_volume:
            content = staged or content
            if content.status() is None:
                return finish_restored(store, record, None)
        target = stack.enter_context(opened_if_there(record.target))
        if target is not None and _arrived(record, target, content):
            sync_directory(target.parent)
            if staged is not None:
                staged.remove()
                staged.remove_private()
            seal(record, target.spot)
            return finish_restored(store, record, content)
        if staged is not None and not displaced_on_volume:
            staged.remove()
            staged.remove_private()
        keep = record.staging if displaced_on_volume else None
    tidy_private(record.target, record)
    record = record.became(
        record.resume or RecordState.QUARANTINED, staging=keep, target=None, target_identity=None
    )
    store.save(record)
    return record


def _arrived(record: Record, target: Opened, content: Spot) -> bool:
    """Whether the file being restored already has its name at the target."""
    there = target.spot.status()
    ours = content.status()
    if there is None or ours is None:
        return False
    if (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino):
        return True  # a move may be a link and an unlink: killed in between
    return record.target_identity is not None and (
        there.st_ino == record.target_identity.inode and there.st_size == ours.st_size
    )


def seal(record: Record, spot: Spot) -> list[str]:
    """Make a restored copy immutable or append-only again, if the record has these flags.

    Call this when the copy has its final name, because a file with these flags cannot be renamed.
    If the owner moved the copy meanwhile, another file with the copy's name is not changed.

    Returns:
        The flags in the record that the copy lacks.
    """
    if record.target_identity is None or record.metadata is None:
        return []
    try:
        with closing(open_file(spot.directory, spot.name)) as fd:
            if identity_of(fd).inode != record.target_identity.inode:
                return []
            apply_seals(fd, record.metadata.flags)
            return lacking_flags(fd, record.metadata.flags)
    except OSError:
        return []


def finish_restored(store: Store, record: Record, content: Spot | None) -> Record:
    """Remove a restored file's content from the store; save the file's record as ``restored``.

    The caller has made sure that the restored file is on disk.

    Raises:
        OSError, QuarantineError: the store cannot be written; ``recover`` tries again.
    """
    assert record.target is not None
    if content is not None:
        content.remove()
        sync_directory(content.directory)
    store.remember_restored(record.target.full_path, record.id)
    record = record.became(RecordState.RESTORED, staging=None)
    store.save(record)
    return record
