"""Opens the root of a volume in a worker process, and notices if it vanishes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hashscan.fs.beneath import closing, identity_of, open_directory, open_root
from hashscan.fs.volume import excluder
from hashscan.machine import is_limited

if TYPE_CHECKING:
    from hashscan.fs.volume import Roots, Volume
    from hashscan.model import Identity


class VanishedError(OSError):
    """Raised if the directory that was a volume's root at the scan's start is not at its path."""


class VolumeRoot:
    """Represents the root of a volume in a worker process.

    The root is open only while the process has tasks: an open directory prevents the volume's file
    system from being unmounted.
    """

    def __init__(self, volume: Volume, number: int, identity: Identity | None = None) -> None:
        """Prepare the root with the catalog id ``number``, without opening the root.

        ``identity`` is the root's identity when the scan began. If ``identity`` is ``None``, any
        directory may be the root.
        """
        self._volume = volume
        self._identity = identity
        self._device = -1
        self._number = number
        #: The root's device, and its number in the catalog's rows; see ``FileRow``.
        self.row_device = (-1, -number)
        self.fd = -1
        #: Identities of the roots of other volumes inside this volume.
        self.others: frozenset[Identity] = frozenset()
        self.one_file_system = volume.one_file_system
        self.excludes = excluder(volume.exclude)
        self.has_excludes = bool(volume.exclude)

    def open(self) -> None:
        """Open the volume's root if the root is not open.

        Raises:
            VanishedError: the directory that was the volume's root is no longer at the root's path.
            OSError: the volume's root cannot be opened.
        """
        if self.fd < 0:
            self.fd = self._open()
            self._device = os.fstat(self.fd).st_dev
            self.row_device = (self._device, -self._number)

    def _open(self) -> int:
        try:
            fd = open_root(self._volume.root)
        except OSError as error:
            if self._identity is None or is_limited(error):
                raise
            raise VanishedError(f"it cannot be opened any more: {error.strerror}") from error
        if self._identity not in {None, identity_of(fd)}:
            os.close(fd)
            raise VanishedError("its path leads to another directory now")
        return fd

    def why_vanished(self) -> str:
        """Return why the volume has vanished since the scan began; empty: the volume is there."""
        try:
            with closing(self._open()) as fd, os.scandir(fd) as entries:
                next(entries, None)
        except VanishedError as error:
            return str(error)
        except OSError as error:
            return f"it cannot be listed any more: {error.strerror}"
        return ""

    def find_others(self, roots: Roots) -> None:
        """Find the directories that are the roots of other volumes inside this volume.

        The roots of other volumes are opened from this root, never by their absolute paths: a path
        may lead to a dead file server.
        """
        found = set()
        for path in roots.inside(self._volume.root):
            try:
                fd = open_directory(self.fd, path, cross_mounts=not self.one_file_system)
            except (OSError, ValueError):
                continue
            with closing(fd):
                found.add(identity_of(fd))
        self.others = frozenset(found)

    def close(self) -> None:
        """Close the volume's root."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    @property
    def device(self) -> int:
        """Return the device number of the volume's root."""
        return self._device

    def device_of(self, status: os.stat_result) -> int:
        """Return the number of a file's device in the catalog's rows; see ``FileRow``."""
        return -self._number if status.st_dev == self._device else status.st_dev
