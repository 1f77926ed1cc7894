"""A repository's directory on the publisher's side: reads, verifies, writes and tidies it.

Agents see the repository's old state or its new state, never a mixture, because of the order of
writing: the files of targets first, then the metadata under new version numbers, and
``timestamp.json`` last.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Root, Snapshot, Targets, Timestamp
from tuf.api.serialization import DeserializationError

from hashscan.durable import remove, replace_file
from hashscan.errors import LockedError, RepositoryRefusedError, StateError, UsageError
from hashscan.files import temporary_of
from hashscan.fs.named import opened_named
from hashscan.known.sync.layout import (
    FIRST_ROOT,
    METADATA_DIRECTORY,
    TARGETS_DIRECTORY,
    TIMESTAMP,
    is_target_file,
    metadata_file,
    target_file,
    version_of,
)
from hashscan.text import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

_T = TypeVar("_T", Root, Targets, Snapshot, Timestamp)
#: Size in bytes of the largest metadata file that is read.
_LONGEST = 64 << 20
#: Seconds for which a file is kept after the metadata drops the file: a running sync may need it.
KEEP = 86400.0


@dataclass(slots=True)
class Repository:
    """A repository whose signatures were checked; its metadata may have expired.

    Attributes:
        directory: path of the repository.
        root, targets, snapshot, timestamp: the newest metadata of each of these roles.
    """

    directory: str
    root: Metadata[Root]
    targets: Metadata[Targets]
    snapshot: Metadata[Snapshot]
    timestamp: Metadata[Timestamp]

    def write(self) -> None:
        """Write all new files and metadata into the repository, the timestamp last.

        Raises:
            StateError: a file cannot be written; agents still see the repository's previous state.
        """
        root, targets, snapshot = self.root.signed, self.targets.signed, self.snapshot.signed
        with explained(self.directory):
            for name, metadata in (
                (metadata_file("root", root.version), self.root),
                (metadata_file("targets", targets.version), self.targets),
                (metadata_file("snapshot", snapshot.version), self.snapshot),
                (TIMESTAMP, self.timestamp),
            ):
                path = os.path.join(self.directory, METADATA_DIRECTORY, name)
                content = metadata.to_bytes()
                if not _is(path, content):
                    replace_file(path, content, 0o644)

    def write_root(self) -> None:
        """Write a new root alone; the other metadata must be valid under the new root.

        Raises:
            StateError: the file of the new root cannot be written.
        """
        name = metadata_file("root", self.root.signed.version)
        with explained(self.directory):
            path = os.path.join(self.directory, METADATA_DIRECTORY, name)
            replace_file(path, self.root.to_bytes(), 0o644)

    def target_path(self, path: str, sha256: str) -> str:
        """The path of a target's file in the repository."""
        return os.path.join(
            self.directory, TARGETS_DIRECTORY, *target_file(path, sha256).split("/")
        )

    def tidy(self, before: float) -> None:
        """Remove old metadata, and files that the last two targets metadata do not name.

        Args:
            before: files that were published or replaced after this time are kept; seconds since
                the epoch.

        Raises:
            StateError: an old file of the repository cannot be removed.
        """
        versions = [self.targets]
        with contextlib.suppress(FileNotFoundError, RepositoryRefusedError):
            versions.append(
                _read(
                    self.directory,
                    metadata_file("targets", self.targets.signed.version - 1),
                    Targets,
                )
            )
        named = {
            target_file(path, target.hashes["sha256"])
            for one in versions
            for path, target in one.signed.targets.items()
            if "sha256" in target.hashes
        }
        with explained(self.directory):
            top = os.path.join(self.directory, TARGETS_DIRECTORY)
            for category in os.scandir(top):
                if not category.is_dir(follow_symlinks=False):
                    continue
                for entry in os.scandir(category.path):
                    old = entry.stat(follow_symlinks=False).st_mtime < before
                    ours = is_target_file(entry.name) or temporary_of(entry.name) is not None
                    ours = ours and entry.is_file(follow_symlinks=False)
                    if ours and old and f"{category.name}/{entry.name}" not in named:
                        remove(entry.path)
            current = {"targets": self.targets.signed, "snapshot": self.snapshot.signed}
            for entry in os.scandir(os.path.join(self.directory, METADATA_DIRECTORY)):
                if entry.stat(follow_symlinks=False).st_mtime >= before:
                    continue
                role, version = version_of(entry.name) or ("", 0)
                # Roots are kept for ever: an agent checks each root with the root before it.
                superseded = role in current and version < current[role].version - 1
                if superseded or temporary_of(entry.name) is not None:
                    remove(entry.path)


def open_repository(directory: str, pin: bytes) -> Repository:
    """Read the newest state of a repository; check all signatures from the first root on.

    ``pin`` is the first root, which is kept beside the keys. Without ``pin``, an attacker who can
    write the directory could replace the root by a root with additional keys of the attacker, and
    the publisher would sign forged metadata.

    Raises:
        UsageError: the directory has no repository.
        RepositoryRefusedError: the keys of the repository did not sign one of its files.
    """
    try:
        path = os.path.join(directory, METADATA_DIRECTORY, FIRST_ROOT)
        if not _is(path, pin):
            raise _tampered(path, "is missing, or not the root that was kept beside the keys")
        root = _read(directory, FIRST_ROOT, Root)
        _verify(directory, root, root, "root")
        while True:
            try:
                following = _read(directory, metadata_file("root", root.signed.version + 1), Root)
            except FileNotFoundError:
                break
            for who in (root, following):
                _verify(directory, who, following, "root")
            root = following
        timestamp = _read(directory, TIMESTAMP, Timestamp)
        _verify(directory, root, timestamp, "timestamp")
        snapshot = _read(
            directory, metadata_file("snapshot", timestamp.signed.snapshot_meta.version), Snapshot
        )
        _verify(directory, root, snapshot, "snapshot")
        version = snapshot.signed.meta["targets.json"].version
        targets = _read(directory, metadata_file("targets", version), Targets)
        _verify(directory, root, targets, "targets")
    except OSError as error:
        raise UsageError(
            f"{shown(error.filename or directory)}: {error.strerror}; is {shown(directory)} a "
            "repository? 'hashscan repository init' makes one"
        ) from error
    return Repository(directory, root, targets, snapshot, timestamp)


def _read(directory: str, name: str, kind: type[_T]) -> Metadata[_T]:
    path = os.path.join(directory, METADATA_DIRECTORY, name)
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        content = file.read(_LONGEST)
    try:
        found: Metadata[_T] = Metadata.from_bytes(content)
    except DeserializationError as error:
        raise _tampered(path, "is no TUF metadata") from error
    numbered = version_of(name)
    if not isinstance(found.signed, kind) or (numbered and numbered[1] != found.signed.version):
        raise _tampered(path, "holds other metadata than its name says")
    return found


def _verify(directory: str, root: Metadata[Root], metadata: Metadata[_T], role: str) -> None:
    try:
        root.signed.verify_delegate(role, metadata.signed_bytes, metadata.signatures)
    except (RepositoryError, ValueError) as error:
        path = os.path.join(
            directory, METADATA_DIRECTORY, metadata_file(role, metadata.signed.version)
        )
        raise _tampered(path, f"is not signed as its root demands ({error})") from error


def _tampered(path: str, what: str) -> RepositoryRefusedError:
    return RepositoryRefusedError(
        f"{shown(path)}: {what}; nothing was published. Find out who changed it, and go on from a "
        "copy of the repository that you trust"
    )


def _is(path: str, content: bytes) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    with open(descriptor, "rb") as file:
        return file.read(len(content) + 1) == content


@contextlib.contextmanager
def locked(directory: str) -> Iterator[None]:
    """Lock the repository for one publisher; the kernel releases the lock of a dead process.

    Raises:
        UsageError: the directory does not exist, or a customer's link leads to it.
        LockedError: another publisher has the lock of the repository.
    """
    try:
        with opened_named(os.fsencode(directory)) as named:
            descriptor = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=named.fd)
    except OSError as error:
        raise UsageError(
            f"{shown(directory)}: {error.strerror}; 'hashscan repository init' makes a repository"
        ) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LockedError(
                f"another hashscan publishes in {shown(directory)}; try again when it has ended"
            ) from None
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def explained(directory: str) -> Iterator[None]:
    """Turn an ``OSError`` of the disk into ``StateError``."""
    try:
        yield
    except OSError as error:
        raise StateError(
            f"{shown(error.filename or directory)}: the repository cannot be written: "
            f"{error.strerror}; agents see what was published before. Make room or mend the "
            "permissions, then run the command again"
        ) from error
