"""Opening a file's place on a volume, and reading the metadata and digests of a file there."""

from __future__ import annotations

import errno
import os
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hashscan.errors import QuarantineError
from hashscan.fs.beneath import (
    closing,
    identity_of,
    is_regular,
    open_directory,
    open_file,
    open_parent,
    open_root,
)
from hashscan.fs.copy import digests_of
from hashscan.fs.metadata import InodeMetadata, read_metadata
from hashscan.fs.private import Privates, open_private, open_top, remove_empty, remove_if_empty
from hashscan.fs.racy import has_writer
from hashscan.model import FileDigests, Identity, join
from hashscan.quarantine.explain import explained
from hashscan.quarantine.records import Place, Record, StagingPlace
from hashscan.text import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

_GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})


@dataclass(frozen=True, slots=True)
class Spot:
    """Address of a directory entry: a directory's descriptor and a name in that directory.

    Attributes:
        directory: descriptor of the directory that contains the entry.
        name: name of the directory entry, which may not exist.
        top: descriptor of the directory that contains ``directory``, if ``directory`` is a private
            directory on a volume; else ``None``.
        private: name of the private directory in ``top``.
    """

    directory: int
    name: bytes
    top: int | None = None
    private: bytes = b""

    def status(self) -> os.stat_result | None:
        """The directory entry's ``stat``; no link is followed. ``None``: the entry is missing."""
        try:
            return os.stat(self.name, dir_fd=self.directory, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def remove(self) -> None:
        """Unlink the directory entry if it exists."""
        with suppress(FileNotFoundError):
            os.unlink(self.name, dir_fd=self.directory)

    def remove_private(self) -> None:
        """Remove the private directory on a volume if it is empty.

        Call this before the record is saved as finished: later, nothing searches for the private
            directory.
        """
        if self.top is not None:
            remove_if_empty(self.top, self.directory, self.private)


@dataclass(frozen=True, slots=True)
class Opened:
    """A file's place on a volume, with descriptors of the volume's root and the file's parent.

    Attributes:
        place: the file's place, with the inode number of the volume's root.
        root: descriptor of the volume's root.
        spot: the file's parent directory, and the file's name in that directory.
    """

    place: Place
    root: int
    spot: Spot

    @property
    def parent(self) -> int:
        """Descriptor of the directory of the file, whether or not the file is in it now."""
        return self.spot.directory


@dataclass(frozen=True, slots=True)
class FileAtPlace:
    """Facts of a file; only ``identity`` is set if the file is not a regular file.

    Attributes:
        identity: device and inode number of the file.
        metadata: owner, mode, times and attributes of the file.
        digests: digests of the content; ``None`` if the size differs from the expected size.
        open_for_writing: whether a process has the file open for writing; ``None``: unknown.
    """

    identity: Identity
    metadata: InodeMetadata | None = None
    digests: FileDigests | None = None
    open_for_writing: bool | None = None

    def is_expected(self, record: Record) -> bool:
        """Whether the file has the digests that were confirmed for the record."""
        hexes = self.digests.as_dict() if self.digests else {}
        return bool(hexes) and all(hexes.get(k) == v for k, v in record.expected.items())


def opened_root(place: Place) -> tuple[int, Place]:
    """Open the volume's root of a file's place; check that the root is still the same directory.

    Returns:
        A descriptor of the root, which the caller closes, and the place with the root's inode
        number.

    Raises:
        QuarantineError: the root is another directory (reason ``other-root``).
        OSError: ``open_root`` raised the error.
    """
    root = open_root(place.volume)
    inode = identity_of(root).inode
    if place.root_inode not in {None, inode}:
        os.close(root)
        raise QuarantineError(
            f"{shown(place.volume)}: not touched: this is not the directory that it was when "
            f"{shown(place.full_path)} was moved; check who replaced it, bring the right directory "
            "back (or mount it) and try again, or restore with --to DIR",
            reason="other-root",
        )
    return root, replace(place, root_inode=inode)


@contextmanager
def opened(place: Place) -> Iterator[Opened]:
    """Open a file's place from the volume's root down, by descriptor.

    Raises:
        QuarantineError: the volume's root is another directory (reason ``other-root``).
        OSError: ``open_root`` or ``open_parent`` raised the error.
    """
    with ExitStack() as stack:
        root, place = opened_root(place)
        stack.enter_context(closing(root))
        parent, name = open_parent(root, place.path, cross_mounts=place.cross_mounts)
        stack.enter_context(closing(parent))
        yield Opened(place, root, Spot(parent, name))


@contextmanager
def opened_if_there(place: Place) -> Iterator[Opened | None]:
    """Open a file's place, see ``opened``; ``None``: a directory of its path is gone or replaced.

    Raises:
        QuarantineError: the volume's root is another directory (reason ``other-root``).
        OSError: the volume or a directory of the path cannot be opened.
    """
    with ExitStack() as stack:
        root, place = opened_root(place)
        stack.enter_context(closing(root))
        try:
            parent, name = open_parent(root, place.path, cross_mounts=place.cross_mounts)
        except OSError as error:
            if error.errno not in _GONE:
                raise
            yield None
            return
        stack.enter_context(closing(parent))
        yield Opened(place, root, Spot(parent, name))


def read_file_at(spot: Spot, size: int) -> FileAtPlace:
    """Metadata of the file at ``spot``, and its digests if the file has ``size`` bytes.

    Raises:
        OSError: the file cannot be read.
    """
    status = os.stat(spot.name, dir_fd=spot.directory, follow_symlinks=False)
    if not is_regular(status):  # do not open the file, because opening a device can have effects
        return FileAtPlace(Identity(status.st_dev, status.st_ino))
    with closing(open_file(spot.directory, spot.name)) as fd:
        identity = identity_of(fd)
        if not is_regular(os.fstat(fd)):
            return FileAtPlace(identity)
        metadata = read_metadata(fd)
        if metadata.size != size:
            return FileAtPlace(identity, metadata)
        writer = has_writer(fd)
        return FileAtPlace(identity, metadata, digests_of(fd, size), writer)


def sync_directory(directory: int) -> None:
    """Write a directory's entries to disk (fsync), if its file system supports that.

    Raises:
        OSError: the directory's entries could not be written, e.g. EIO.
    """
    try:
        os.fsync(directory)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.EOPNOTSUPP}:
            raise


@contextmanager
def private_for(there: Opened, record: Record) -> Iterator[tuple[Spot, StagingPlace]]:
    """Make a private directory on the mount of a file; yield the record's entry in that directory.

    The private directory is removed afterwards if it is empty.

    Raises:
        QuarantineError: another file has the private directory's name.
        OSError: the private directory cannot be made.
    """
    place = there.place
    parent_path = place.path.rpartition(b"/")[0]
    top, path = open_top(there.root, parent_path, cross_mounts=place.cross_mounts, fd=there.parent)
    with ExitStack() as stack:
        stack.enter_context(closing(top))
        use = os.fsencode(record.id)
        private, name = open_private(top, join(place.volume, path), use)
        stack.enter_context(closing(private))
        stack.callback(remove_if_empty, top, private, name)
        staging = StagingPlace(
            replace(place, path=path),
            top_inode=identity_of(top).inode,
            private_inode=identity_of(private).inode,
        )
        yield Spot(private, use, top, name), staging


@contextmanager
def private_of(staging: StagingPlace, record: Record, privates: Privates) -> Iterator[Spot | None]:
    """Open the private directory that a record names; yield the record's entry in it.

    ``None`` is yielded if the private directory is gone. The private directory is removed
    afterwards if it is empty.

    Args:
        staging: place of the private directory in which the file is staged.
        record: the record of the staged file.
        privates: finds a renamed private directory; all calls under one lock of the store share
            this finder.

    Raises:
        QuarantineError: the volume is not reachable, e.g. not mounted (reason ``unreachable``).
    """
    place, use = staging.place, os.fsencode(record.id)
    with ExitStack() as stack:
        try:
            root = stack.enter_context(closing(open_root(place.volume)))
            top = open_directory(root, place.path, cross_mounts=place.cross_mounts)
            stack.enter_context(closing(top))
            reachable = identity_of(top).inode == staging.top_inode and (
                place.root_inode in {None, identity_of(root).inode}
            )
            found = privates.find(top, staging.private_inode, use) if reachable else None
        except OSError as error:
            raise _unreachable(place, error.strerror or str(error)) from error
        if not reachable:
            raise _unreachable(place, "another directory is in its place now")
        if found is None:
            yield None
            return
        private, name = found
        stack.enter_context(closing(private))
        stack.callback(remove_if_empty, top, private, name)
        yield Spot(private, use, top, name)


def _unreachable(place: Place, reason: str) -> QuarantineError:
    return QuarantineError(
        f"{shown(place.full_path)}: {reason}; a file may be in its private directory .hashscan: "
        "mount the volume, and the next hashscan command finishes the job",
        reason="unreachable",
    )


def tidy_private(place: Place, record: Record) -> None:
    """Remove the empty private directory that a killed process left on the mount of a file."""
    with suppress(OSError, QuarantineError), ExitStack() as stack:
        root, _ = opened_root(place)
        stack.enter_context(closing(root))
        parent_path = place.path.rpartition(b"/")[0]
        top, _ = open_top(root, parent_path, cross_mounts=place.cross_mounts)
        stack.enter_context(closing(top))
        remove_empty(top, os.fsencode(record.id))


def failed(error: OSError, place: Place, doing: str) -> QuarantineError:
    """An error about the file at ``place``: names the failed step (``doing``) and a fix."""
    return explained(error, place.full_path, doing)
