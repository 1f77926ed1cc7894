"""Action ``quarantine``: move a match from its volume to the quarantine."""

from __future__ import annotations

import errno
import os
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from hashscan.audit import events
from hashscan.errors import LockedError, QuarantineError
from hashscan.fs.beneath import identity_of, is_regular
from hashscan.fs.listing import Follower
from hashscan.fs.reading import identity_in
from hashscan.fs.rename import take
from hashscan.model import Acted, Stamp
from hashscan.quarantine.conclude import conclude
from hashscan.quarantine.explain import explained_move
from hashscan.quarantine.failed_moves import Attempts
from hashscan.quarantine.file_place import Spot, failed, opened, private_for, read_file_at
from hashscan.quarantine.records import Place, Record, RecordState, intent, new_id
from hashscan.quarantine.recover import Recovered, recover
from hashscan.quarantine.store import CONTENT, LOCK_TIMEOUT, Store
from hashscan.text import shown

if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import Self

    from hashscan.audit.recorder import Recorder
    from hashscan.model import Candidate, Confirmed, FileDigests
    from hashscan.quarantine.file_place import Opened

_DOING = "could not be moved to quarantine"
#: How often the move of a file is repeated under the file's new name, if it was renamed.
_FOLLOWED = 10


class Quarantine:
    """Moves matches to the quarantine.

    Attributes:
        recovered: the moves, restores and purges that a killed process had left unfinished, and how
            each was ended.
    """

    def __init__(
        self,
        store: Store,
        *,
        cross_mounts: Collection[bytes] | None = (),
        patience: float | None = None,
        absent: Collection[bytes] = (),
    ) -> None:
        """Use ``store``; end its moves, restores and purges that a killed process left unfinished.

        Args:
            store: the quarantine's store, which the caller closes.
            cross_mounts: roots of the volumes whose files may be on other file systems that are
                mounted below the root; ``None``: all volumes.
            patience: maximum number of seconds to wait for the store's lock; default: the timeout
                of ``Store.lock``.
            absent: roots of volumes that do not answer. Unfinished jobs on a volume in this list
                are ended before the first match on that volume is moved.

        Raises:
            LockedError: another hashscan process held the store's lock for ``patience`` seconds.
            QuarantineError: the store cannot be read or written.
        """
        self._store = store
        self._cross_mounts = None if cross_mounts is None else frozenset(cross_mounts)
        self._patience = LOCK_TIMEOUT if patience is None else patience
        self._absent = set(absent)
        self._follower = Follower()
        self._attempts = Attempts()
        with store.lock(self._patience):
            self.recovered: list[Recovered] = recover(store, absent=self._absent)

    @classmethod
    def open(
        cls,
        directory: bytes,
        *,
        cross_mounts: Collection[bytes] = (),
        create: bool = True,
        patience: float | None = None,
        absent: Collection[bytes] = (),
        recorder: Recorder | None = None,
    ) -> Self:
        """Open the store at ``directory``, or make the store (``create``); ``close`` closes it.

        Raises:
            QuarantineError, LockedError: ``Store.open`` or ``__init__`` raised the error.
        """
        store = Store.open(directory, create=create, recorder=recorder)
        try:
            return cls(store, cross_mounts=cross_mounts, patience=patience, absent=absent)
        except BaseException:
            store.close()
            raise

    def close(self) -> None:
        """Close the quarantine's store."""
        self._store.close()

    def act(self, match: Confirmed) -> Acted:
        """Move a match to quarantine; a failure is reported in the result, not raised."""
        path = match.candidate.full_path
        self._follower.earn()
        try:
            with self._store.lock(self._patience):
                if match.candidate.volume in self._absent:
                    self._absent.discard(match.candidate.volume)
                    recover(self._store, absent=self._absent)
                return self.held(match.candidate) or self._act(match)
        except QuarantineError as error:
            return Acted("reported", message=str(error), problem=error.reason)
        except LockedError as error:
            return Acted("reported", message=f"{shown(path)}: {_DOING}: {error}", problem="locked")
        except ValueError as error:
            return Acted("reported", message=f"{shown(path)}: {_DOING}: {error}", problem="other")
        except OSError as error:
            failure = failed(error, self._place(match.candidate), _DOING)
            return Acted("reported", message=str(failure), problem=failure.reason)

    def _place(self, candidate: Candidate) -> Place:
        volumes = self._cross_mounts
        crosses = volumes is None or candidate.volume in volumes
        return Place(candidate.volume, candidate.path, cross_mounts=crosses)

    def held(self, candidate: Candidate) -> Acted | None:
        """Action ``held`` if an administrator restored the match's content there; else ``None``.

        A scan may move a file again that was restored because the service withdrew its digest: if
        the file is a match now, the service knows the digest again.
        """
        hexes = candidate.digests.as_dict()
        for record_id in self._store.restored_ids(candidate.full_path):
            try:
                record = self._store.load(record_id)
            except QuarantineError:
                continue
            known = record.digests.as_dict() if record.digests else {}
            common = hexes.keys() & known.keys()
            if (
                record.state is RecordState.RESTORED
                and not record.withdrawn
                and common
                and all(hexes[name] == known[name] for name in common)
            ):
                return Acted(
                    "held",
                    quarantine_id=record.id,
                    message=f"{shown(candidate.full_path)}: restored by the administrator on "
                    f"{record.history[-1][1]} and not moved again; to have every copy of it "
                    "allowed, put its digest into a list of `allow`; to quarantine it again, "
                    f"`hashscan quarantine purge {record.id}` and scan",
                )
        return None

    def digests_of(self, record_id: str | None) -> FileDigests | None:
        """The digests of a quarantined file; ``None``: the file's record cannot be read."""
        if record_id is None:
            return None
        try:
            return self._store.load(record_id).digests
        except (OSError, QuarantineError):
            return None

    def _earlier_move(self, match: Confirmed) -> Acted | None:
        """The result of a match's earlier move, which ended just before the process was killed.

        A match that was detected after the move in the record is another file with the same name:
        then the result is ``None``.
        """
        candidate = match.candidate
        hexes = candidate.digests.as_dict()
        for record_id in self._store.index.at(candidate.full_path):
            try:
                record = self._store.load(record_id)
                with self._store.entry(record_id) as entry:
                    content = Spot(entry, CONTENT).status()
            except (OSError, QuarantineError):
                continue
            known = record.digests.as_dict() if record.digests else {}
            if (
                record.state is RecordState.QUARANTINED
                and content is not None
                and record.origin.volume == candidate.volume
                and record.found_identity.inode == candidate.identity.inode
                and all(known.get(name) == value for name, value in hexes.items())
                and match.detected <= record.acted
            ):
                return Acted(
                    "quarantined",
                    record.id,
                    message=f"{shown(candidate.full_path)}: it was moved on {record.acted}, before "
                    "the last run was killed",
                    remaining_links=record.remaining_links,
                )
        return None

    def _act(self, match: Confirmed) -> Acted:
        """Move a match to quarantine, even if its file was renamed within its directory.

        The file's owner may watch for opens and rename the file at each open. So after the first
        rename, hashscan does not open the file before its move.
        """
        for turn in range(_FOLLOWED):
            try:
                return self._act_at(match, opens=turn == 0)
            except QuarantineError as error:
                renamed = self._renamed(match) if error.reason == "vanished" else None
                if renamed is None:
                    raise
                match = renamed
        return self._act_at(match, opens=False)

    def _renamed(self, match: Confirmed) -> Confirmed | None:
        """A match with its file's new name; ``None``: the directory has no name of its inode."""
        candidate = match.candidate
        try:
            with opened(self._place(candidate)) as origin:
                name = self._follower.name_of(origin.parent, candidate.identity.inode)
                if name is None:
                    return None
                status = os.stat(name, dir_fd=origin.parent, follow_symlinks=False)
        except (OSError, QuarantineError):
            return None
        # The inode number may belong to a newer file or to a directory by now.
        if not is_regular(status) or identity_in(status) != candidate.identity:
            return None
        above = candidate.path.rpartition(b"/")[0]
        path = above + b"/" + name if above else name
        return replace(match, candidate=replace(candidate, path=path))

    def _act_at(self, match: Confirmed, *, opens: bool) -> Acted:
        with ExitStack() as stack:
            try:
                origin = stack.enter_context(opened(self._place(match.candidate)))
                _precheck(origin, match, opens=opens)
            except (OSError, QuarantineError):
                moved_before = self._earlier_move(match)
                if moved_before is None:
                    raise
                self._write_result(match, moved_before, moved_before.quarantine_id)
                return moved_before
            span = self._store.keep_timeline().span
            record = intent(
                new_id(), match, origin.place, identity_of(origin.parent).inode, span=span
            )
            owner = self._attempts.owner(match.candidate.uid)
            is_quiet = self._attempts.is_quiet(owner)
            self._announce(match, record, owner if is_quiet else None)
            moved = [False]
            try:
                self._store.create(record)
                record = self._move(record, origin, moved)
            except (OSError, QuarantineError) as error:
                if not moved[0]:
                    with suppress(QuarantineError):
                        self._store.discard(record.id)
                self._attempts.failed(owner, match.candidate.full_path)
                if moved[0] or not is_quiet:
                    self._write_failure(match, record, error, moved[0])
                else:
                    self._store.forget_act()
                raise
        acted = _result_of(record)
        if acted.action != "quarantined":
            self._attempts.failed(owner, match.candidate.full_path)
        if acted.quarantine_id or not is_quiet:  # a file moved by mistake has a record, too
            # With ``is_quiet``, the line ``moved`` is the only line about the move, so the line
            # must survive a power cut.
            self._write_result(match, acted, record.id, sync=is_quiet)
        else:
            self._store.forget_act()
        return acted

    def _announce(self, match: Confirmed, record: Record, quiet: int | None) -> None:
        """Write the audit log's line before a move; moves of the owner ``quiet`` get no own line.

        An owner with many failed moves gets one line with the number of failed moves.

        Raises:
            QuarantineError: the line cannot be written to the audit log.
        """
        if quiet is not None:
            left_out = self._attempts.due(quiet)
            if left_out is not None:
                self._store.announce(events.MOVES_LEFT_OUT, uid=quiet, count=left_out)
                self._attempts.line_written(quiet)
        self._store.announce(
            events.MOVING,
            line=quiet is None,
            path=os.fsdecode(record.origin.full_path),
            volume=os.fsdecode(record.origin.volume),
            quarantine_id=record.id,
            digests=match.candidate.digests.as_dict(),
            category=match.category,
            notice=match.authority and match.authority.notice,
        )

    def _write_failure(
        self, match: Confirmed, record: Record, error: Exception, moved: bool
    ) -> None:
        failure = error
        if isinstance(error, OSError):
            failure = failed(error, record.origin, _DOING)
        assert isinstance(failure, QuarantineError)
        message = str(failure)
        if moved:
            message += "; the next command or start finishes or undoes the move"
        self._store.conclude(
            events.NOT_MOVED,
            path=os.fsdecode(match.candidate.full_path),
            quarantine_id=record.id,
            reason="unfinished" if moved else failure.reason,
            message=message,
        )

    def _write_result(
        self, match: Confirmed, acted: Acted, record_id: str | None, *, sync: bool = False
    ) -> None:
        path = os.fsdecode(match.candidate.full_path)
        if acted.action == "quarantined":
            self._store.conclude(events.MOVED, sync=sync, path=path, quarantine_id=record_id)
            return
        self._store.conclude(
            events.NOT_MOVED,
            sync=sync,
            path=path,
            quarantine_id=record_id,
            reason=acted.problem,
            message=acted.message,
        )

    def _move(self, record: Record, origin: Opened, moved: list[bool]) -> Record:
        """Rename a match's file into the store or a private directory, then check and keep it.

        The list item ``moved[0]`` is true after the rename of the file.
        """
        if os.fstat(origin.parent).st_dev == self._store.device:
            with self._store.entry(record.id) as entry:
                spot = Spot(entry, CONTENT)
                try:
                    _rename_to(origin, spot)
                except OSError:
                    pass  # a bind mount is between the two directories
                else:
                    moved[0] = True
                    return conclude(self._store, record, spot, origin)
        for last in (False, False, True):
            with private_for(origin, record) as (spot, staging):
                record = replace(record, staging=staging)
                self._store.save(record)
                try:
                    _rename_to(origin, spot)
                except QuarantineError:
                    # Another agent, with another store, may have removed the empty private
                    # directory.
                    if not last and os.fstat(spot.directory).st_nlink == 0:
                        continue
                    raise
                moved[0] = True
                return conclude(self._store, record, spot, origin)
        raise AssertionError  # pragma: no cover - the last pass of the loop returns or raises


def _rename_to(origin: Opened, spot: Spot) -> None:
    """Rename a match's file to the directory entry ``spot``.

    Raises:
        OSError: the number is always EXDEV: the file's directory and the directory of ``spot`` are
            on different mounts.
        QuarantineError: the rename failed with another error.
    """
    name = origin.spot.name
    try:
        take(origin.parent, name, spot.directory, spot.name)
    except OSError as error:
        if error.errno == errno.EXDEV:
            raise
        raise explained_move(error, origin.parent, name, origin.place.full_path) from error


def _precheck(origin: Opened, match: Confirmed, *, opens: bool) -> None:
    """Refuse, before the move, a file that is clearly not the match.

    The check before the move proves nothing, because another file can get the name immediately
    after the check. ``conclude`` checks the moved file; the check before the move only avoids most
    needless moves.

    Args:
        origin: place of the match's file on its volume.
        match: the match whose file is checked.
        opens: hash a file that has the match's size and another time stamp; false: do not open the
            file, and compare only identity and size.

    Raises:
        QuarantineError: the match's file is gone, or another file has its name (reason
            ``changed``).
    """
    candidate = match.candidate
    status = origin.spot.status()
    if status is None:
        raise failed(FileNotFoundError(errno.ENOENT, ""), origin.place, _DOING)
    stamp = Stamp(status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    same = (status.st_dev, status.st_ino) == candidate.identity and (
        stamp == candidate.stamp or (not opens and stamp.size == candidate.stamp.size)
    )
    if not same and opens and is_regular(status) and status.st_size == candidate.stamp.size:
        digests = read_file_at(origin.spot, status.st_size).digests
        hexes = digests.as_dict() if digests else {}
        same = all(hexes.get(k) == v for k, v in candidate.digests.as_dict().items())
    if not same:
        raise QuarantineError(
            f"{shown(candidate.full_path)}: not moved: it is not the file that was hashed any "
            "more; the next scan checks it again",
            reason="changed",
        )


def _result_of(record: Record) -> Acted:
    if record.state is RecordState.QUARANTINED:
        path = shown(record.origin.full_path)
        message = f"{path}: {record.note}" if record.note else ""
        if record.open_for_writing:
            message = f"{message}; " if message else ""
            message += (
                f"{path}: a process has it open for writing and can "
                f"still change it; see `fuser`, and `hashscan quarantine verify`"
            )
        return Acted(
            "quarantined", record.id, message=message, remaining_links=record.remaining_links
        )
    path = shown(record.origin.full_path)
    if record.state is RecordState.DISPLACED:
        return Acted("reported", record.id, f"{path}: {record.note}", problem="displaced")
    return Acted(
        "reported", message=f"{path}: put back: {record.note}; scan again", problem="changed"
    )
