"""The quarantine's directory (the store): records, contents and one lock; each write is whole.

    STORE/.hashscan-quarantine       mark: scans of all agents recognise the store and skip it
    STORE/lock                       flock, held for every change; names its last process
    STORE/ID/record.json             see ``records``
    STORE/ID/content                 the isolated file
    STORE/restored/SHA256-OF-PATH    ids of records that were restored to that path
    STORE/clock.json                 the time that has certainly passed, see ``timeline``
    STORE/act.json                   the act that is not finished, see ``unfinished_act``
    STORE/summary                    some facts of all records, see ``summary``

All files below the store are opened by descriptor. ``open`` refuses a store that others may enter.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import secrets
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Self

from hashscan.closable import Closable
from hashscan.errors import LockedError, QuarantineError, StateError
from hashscan.fs.beneath import closing
from hashscan.fs.named import opened_named, sync_names
from hashscan.fs.private import QUARANTINE_MARK, Privates, mark_quarantine
from hashscan.model import Identity
from hashscan.quarantine import unfinished_act
from hashscan.quarantine.explain import explained
from hashscan.quarantine.records import ID_PATTERN, Record
from hashscan.quarantine.store_index import Index
from hashscan.quarantine.summary import FILE as SUMMARY_FILE
from hashscan.quarantine.summary import NEW as NEW_SUMMARY
from hashscan.quarantine.summary import briefs
from hashscan.state import wait_for_lock
from hashscan.text import shown
from hashscan.timeline import FILE as CLOCK_FILE
from hashscan.timeline import Timeline, instant

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashscan.audit.recorder import Recorder
    from hashscan.fs.named import Named

CONTENT = b"content"
PART = b"content.part"
#: Maximum number of seconds to wait for the store's lock, whose holder may be copying a file.
LOCK_TIMEOUT = 600.0
_RECORD = b"record.json"
_NEW = b"record.json.new"
_LOCK = b"lock"
_RESTORED = b"restored"
_CLOCK = os.fsencode(CLOCK_FILE)
_NEW_CLOCK = _CLOCK + b".new"
_OWN = frozenset(
    {
        _LOCK,
        _RESTORED,
        QUARANTINE_MARK,
        _CLOCK,
        _NEW_CLOCK,
        unfinished_act.FILE,
        SUMMARY_FILE,
        NEW_SUMMARY,
    }
)

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
_MAX_RECORD = 64 << 20  # bytes; one file's xattrs are far smaller


class Store(Closable):
    """An open quarantine. All writes are on disk before a method returns.

    Attributes:
        recorder: writes the audit log; ``None``: the store logs nothing (in tests).
        index: finds records by inode and by path; valid while the store's lock is held.
        privates: finds private directories on volumes; reset whenever the store's lock is taken.
    """

    def __init__(self, directory: bytes, fd: int, recorder: Recorder | None = None) -> None:
        """Use an open directory as the store; callers use ``Store.open`` instead."""
        self.recorder = recorder
        self.directory = directory
        self.fd = fd
        self.device = os.fstat(fd).st_dev
        self.index = Index(self.ids, self._content_of, lambda: briefs(self))
        self.privates = Privates()
        self._token = secrets.token_hex(8)

    @classmethod
    def open(
        cls, directory: bytes, *, create: bool = True, recorder: Recorder | None = None
    ) -> Self:
        """Open the quarantine's store; make its directory (mode 0700) if the directory is missing.

        Raises:
            UnsafePathError: a customer's symbolic link is in the path.
            QuarantineError: the store is missing (reason ``no-store``), does not belong to the
                agent alone (``unsafe-store``), or cannot be opened (the kernel's error).
        """
        where = shown(directory)
        try:
            above, name = os.path.split(os.path.abspath(directory))
            with opened_named(above, make=0o755 if create else None) as named:
                if create:
                    _refuse_unsafe(directory, named)
                    with suppress(FileExistsError):
                        os.mkdir(name, 0o700, dir_fd=named.fd)
                        sync_names(named.fd)
                fd = os.open(name or b".", _DIRECTORY, dir_fd=named.fd)
        except FileNotFoundError as error:
            raise QuarantineError(f"{where}: there is no quarantine", reason="no-store") from error
        except OSError as error:
            if error.errno in {errno.ELOOP, errno.ENOTDIR, errno.EEXIST}:
                raise QuarantineError(
                    f"{where}: the quarantine must be a directory, and this is not one (or it is "
                    "a link); name the real directory in quarantine.directory",
                    reason="unsafe-store",
                ) from error
            raise explained(error, directory, "the quarantine could not be opened") from error
        status = os.fstat(fd)
        mode = stat.S_IMODE(status.st_mode)
        if status.st_uid != os.geteuid() or mode & 0o077:
            os.close(fd)
            raise QuarantineError(
                f"{where}: owned by user {status.st_uid}, mode {mode:04o}; the quarantine must "
                f"belong to the agent (user {os.geteuid()}) alone: `chown {os.geteuid()}` and "
                "`chmod 0700` the directory, after you have checked who could write there",
                reason="unsafe-store",
            )
        with suppress(OSError):  # on a full or read-only disk, records can still be read
            mark_quarantine(fd)
        return cls(directory, fd, recorder)

    def announce(self, event: str, *, line: bool = True, **facts: Any) -> None:
        """Write to the audit log that an act begins; the line is on disk when this returns.

        With ``line`` false, only save the act: then its result gets a line even after a kill.

        Raises:
            QuarantineError: the line cannot be written, so the act must not happen (reason
                ``no-audit-log``, or the kernel's error).
        """
        if self.recorder is None:
            return
        try:
            act = unfinished_act.Begun.of(event, facts, self.recorder)
            if act is not None:
                unfinished_act.conclude_earlier(self.begun_act(), self.load, self.recorder)
                with self._explained():
                    _write(self.fd, unfinished_act.FILE, act._replace(has_line=line).to_json())
            if line:
                self.recorder.write(event, **facts)
        except StateError as error:
            raise QuarantineError(
                f"nothing was changed, because the audit log could not be written: {error}",
                reason="no-audit-log",
            ) from error

    def conclude(self, event: str, *, sync: bool = False, **facts: Any) -> None:
        """Write the result of an act to the audit log, if the log can be written."""
        if self.recorder is not None:
            # The act has happened, and its begin is saved: the next start writes the result.
            with suppress(StateError):
                self.recorder.write(event, sync=sync, **facts)
                self.forget_act()

    def begun_act(self) -> unfinished_act.Begun | None:
        """The act that was announced and has no result yet; ``None``: every act has a result."""
        raw = self._read_own(unfinished_act.FILE, unfinished_act.MOST)
        return unfinished_act.Begun.parse(raw) if raw else None

    def forget_act(self) -> None:
        """Remove the file of the announced act, because the audit log has its result."""
        with suppress(OSError):  # if the file remains, a later start compares it with the audit log
            _unlink(self.fd, unfinished_act.FILE)

    def close(self) -> None:
        """Close the descriptor of the store's directory."""
        os.close(self.fd)

    @contextmanager
    def lock(self, timeout: float = LOCK_TIMEOUT) -> Iterator[None]:
        """Hold the store's lock: no other process and no other thread changes the store.

        Args:
            timeout: seconds to wait for the lock.

        Raises:
            LockedError: another hashscan held the store's lock for ``timeout`` seconds.
        """
        # A new descriptor for each lock: workers that are forked later inherit no lock, and two
        # threads exclude each other as two processes do.
        with self._explained():
            fd = os.open(
                _LOCK,
                os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC,
                0o600,
                dir_fd=self.fd,
            )
        try:
            if not wait_for_lock(fd, timeout, 0.02):
                raise LockedError(
                    f"{shown(self.directory)}: another hashscan works in the quarantine; "
                    "try again when it has finished"
                )
            try:
                with self._explained():
                    self._write_holder(fd)
                self.privates = Privates()
                yield
            finally:  # not only close: a worker forked meanwhile has the descriptor too
                fcntl.flock(fd, fcntl.LOCK_UN)
        finally:
            os.close(fd)

    def _write_holder(self, lock: int) -> None:
        """Write this process into the lock's file; reset the index if another held the lock."""
        mine = f"{os.getpid():>10} {self._token}\n".encode("ascii")
        if os.pread(lock, 64, 0) == mine:
            return
        self.index.reset()
        try:
            os.pwrite(lock, mine, 0)
        except OSError:
            os.ftruncate(lock, 0)  # needs no space; else the previous holder keeps its old index

    def timeline(self) -> Timeline:
        """The store's timeline (its record of the clocks) up to now; nothing is written."""
        before = self._kept_timeline()
        return Timeline.begin(instant()) if before is None else before.at(instant())

    def keep_timeline(self) -> Timeline:
        """Save and return the store's timeline (its record of the clocks); the caller has the lock.

        Raises:
            QuarantineError: the store cannot be written.
        """
        before, now = self._kept_timeline(), self.timeline()
        if before is None or now.differs(before):
            with self._explained():
                _write(self.fd, _NEW_CLOCK, now.to_json())
                os.replace(_NEW_CLOCK, _CLOCK, src_dir_fd=self.fd, dst_dir_fd=self.fd)
                os.fsync(self.fd)
        return now

    def _kept_timeline(self) -> Timeline | None:
        raw = self._read_own(_CLOCK, _MAX_RECORD)
        return None if raw is None else Timeline.parse(raw)

    def _read_own(self, name: bytes, most: int) -> bytes | None:
        try:
            fd = os.open(name, _READ, dir_fd=self.fd)
        except OSError:
            return None
        with os.fdopen(fd, "rb") as file:
            return file.read(most)

    def _content_of(self, record_id: str) -> Identity | None:
        try:
            status = os.stat(
                os.fsencode(record_id) + b"/" + CONTENT, dir_fd=self.fd, follow_symlinks=False
            )
        except OSError:
            return None
        return Identity(status.st_dev, status.st_ino)

    def ids(self) -> list[str]:
        """Ids of all records, the oldest record first; damaged records are included."""
        return sorted(name for name in self._names() if ID_PATTERN.fullmatch(name))

    def unknown_names(self) -> list[str]:
        """Names in the store that hashscan never makes."""
        own = {os.fsdecode(name) for name in _OWN}
        return sorted(
            name for name in self._names() if name not in own and not ID_PATTERN.fullmatch(name)
        )

    def _names(self) -> list[str]:
        with self._explained():
            return os.listdir(self.fd)

    def path_of(self, record_id: str) -> bytes:
        """Path of a record's directory in the store, for messages."""
        return self.directory + b"/" + os.fsencode(record_id)

    @contextmanager
    def entry(self, record_id: str) -> Iterator[int]:
        """Yield a descriptor of a record's directory in the store.

        Raises:
            QuarantineError: the record does not exist, or its directory cannot be opened.
        """
        try:
            fd = os.open(os.fsencode(record_id), _DIRECTORY, dir_fd=self.fd)
        except FileNotFoundError as error:
            raise QuarantineError(
                f"{shown(self.directory)}: no record {shown(record_id)}; see `quarantine list`",
                reason="no-record",
            ) from error
        except OSError as error:
            raise explained(error, self.path_of(record_id), "could not be opened") from error
        with closing(fd):
            yield fd

    def create(self, record: Record) -> None:
        """Make a record's directory in the store, and write the record's first state.

        Raises:
            QuarantineError: the record could not be written, e.g. for lack of space; then its
                directory is removed again.
        """
        name = os.fsencode(record.id)
        with self._explained():
            os.mkdir(name, 0o700, dir_fd=self.fd)
        try:
            self.save(record)
            with self._explained():
                os.fsync(self.fd)
        except BaseException:
            with suppress(QuarantineError):
                self.discard(record.id)
            raise

    def save(self, record: Record) -> None:
        """Replace ``record.json`` atomically: after a crash, the old or the new file exists.

        Raises:
            QuarantineError: the file could not be written, or ``load`` would refuse it (reason
                ``unfit-record``); the old file remains.
        """
        try:
            raw = self._checked_bytes(record)
            with self.entry(record.id) as entry, self._explained(record.id):
                _write(entry, _NEW, raw)
                os.replace(_NEW, _RECORD, src_dir_fd=entry, dst_dir_fd=entry)
                os.fsync(entry)
        except BaseException:
            self.index.reset()
            raise
        self.index.note(record)

    def _checked_bytes(self, record: Record) -> bytes:
        """The record as JSON. Raises if ``load`` would refuse the JSON, which would hide a file."""
        raw = record.to_json()
        where = shown(record.origin.full_path)
        why = f"its record would be too large ({len(raw)} bytes)"
        if len(raw) <= _MAX_RECORD:
            try:
                Record.from_json(raw, where)
            except QuarantineError as error:
                why = f"its record could not be read again: {error.__cause__ or error}"
            else:
                return raw
        raise QuarantineError(
            f"{where}: {why}; nothing was written; check the file's path, times and extended "
            "attributes (stat, getfattr -d) and handle the file by hand",
            reason="unfit-record",
        )

    def load(self, record_id: str) -> Record:
        """Read the record with the given id.

        Raises:
            QuarantineError: ``record.json`` is missing, damaged or of another format.
        """
        where = shown(self.path_of(record_id) + b"/" + _RECORD)
        with self.entry(record_id) as entry:
            try:
                fd = os.open(_RECORD, _READ, dir_fd=entry)
                with os.fdopen(fd, "rb") as file:
                    if os.fstat(fd).st_size > _MAX_RECORD:
                        raise QuarantineError(f"{where}: too large", reason="damaged-record")
                    raw = file.read()
            except FileNotFoundError as error:
                raise QuarantineError(
                    f"{where}: missing; the other files in its directory are left alone",
                    reason="damaged-record",
                ) from error
            except OSError as error:
                raise explained(error, self.path_of(record_id), "could not be read") from error
        record = Record.from_json(raw, where)
        if record.id != record_id:
            raise QuarantineError(
                f"{where}: this is the record of {record.id}; move it to the directory of its id",
                reason="damaged-record",
            )
        return record

    def tidy(self, record_id: str) -> bool:
        """Remove a killed process's half-written record, and the record's directory if it is empty.

        ``tidy`` never removes a content. The result is true if the directory was removed.
        """
        with self.entry(record_id) as entry:
            _unlink(entry, _NEW)
            if os.listdir(entry):
                return False
        try:
            os.rmdir(os.fsencode(record_id), dir_fd=self.fd)
        except OSError:
            return False
        self.index.forget(record_id)
        return True

    def discard(self, record_id: str) -> None:
        """Remove a record whose file was never moved. A directory with content is not removed.

        Raises:
            QuarantineError: the store cannot be written.
        """
        with self.entry(record_id) as entry, self._explained(record_id):
            rest = set(os.listdir(entry)) - {_RECORD.decode(), _NEW.decode()}
            if rest:
                raise QuarantineError(
                    f"{shown(self.path_of(record_id))}: not removed, for it holds {sorted(rest)!a}",
                    reason="unsafe-store",
                )
            _unlink(entry, _NEW)
            _unlink(entry, _RECORD)
            os.rmdir(os.fsencode(record_id), dir_fd=self.fd)
            self.index.forget(record_id)
            os.fsync(self.fd)

    def remember_restored(self, full_path: bytes, record_id: str) -> None:
        """Save that a record's file is being restored to a path, for ``restored_ids``.

        Raises:
            QuarantineError: the store cannot be written.
        """
        ids = [*self.restored_ids(full_path), record_id]
        with self._explained():
            with suppress(FileExistsError):
                os.mkdir(_RESTORED, 0o700, dir_fd=self.fd)
            with closing(os.open(_RESTORED, _DIRECTORY, dir_fd=self.fd)) as directory:
                _write(directory, b"new", "\n".join(dict.fromkeys(ids)).encode("ascii"))
                os.replace(b"new", _key(full_path), src_dir_fd=directory, dst_dir_fd=directory)
                os.fsync(directory)

    def restored_ids(self, full_path: bytes) -> list[str]:
        """Ids of records whose files may have been restored to a path; only a record proves it."""
        try:
            fd = os.open(_RESTORED + b"/" + _key(full_path), _READ, dir_fd=self.fd)
        except OSError:
            return []
        with os.fdopen(fd, "rb") as file:
            lines = file.read().decode("ascii", "replace").splitlines()
        return [line for line in lines if ID_PATTERN.fullmatch(line)]

    @contextmanager
    def _explained(self, record_id: str = "") -> Iterator[None]:
        try:
            yield
        except OSError as error:
            where = self.path_of(record_id) if record_id else self.directory
            raise explained(error, where, "the quarantine could not be written") from error


def _refuse_unsafe(directory: bytes, above: Named) -> None:
    """Refuse to make root's quarantine in a directory where another user could rename it.

    Files in an existing quarantine can still be listed and restored. An ordinary user may use any
    directory: an ordinary user has no customers.

    Raises:
        QuarantineError: another user could rename the quarantine (reason ``unsafe-store``).
    """
    if above.unsafe is not None and os.geteuid() == 0:
        raise QuarantineError(
            f"{shown(directory)}: root's quarantine may not be where somebody else can move it "
            f"away: {above.unsafe}; name another directory in quarantine.directory, or make root "
            "the owner of that directory",
            reason="unsafe-store",
        )


def _key(full_path: bytes) -> bytes:
    return hashlib.sha256(full_path).hexdigest().encode("ascii")


def _write(directory: int, name: bytes, data: bytes) -> None:
    fd = os.open(name, _WRITE, 0o600, dir_fd=directory)
    with closing(fd):
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(fd, rest) :]
        os.fsync(fd)


def _unlink(directory: int, name: bytes) -> None:
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=directory)
