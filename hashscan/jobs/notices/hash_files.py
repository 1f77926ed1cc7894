"""Checks and hashes the files that notices name, by descriptor from a volume's root."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from hashscan.config.trust import believed_files
from hashscan.fs.beneath import (
    closing,
    components,
    identity_of,
    open_directory,
    open_root,
    open_step,
)
from hashscan.fs.listing import ListedFile, listing
from hashscan.fs.private import is_quarantine
from hashscan.fs.reading import identity_in, stamp_of
from hashscan.fs.volume import Roots
from hashscan.model import ALGORITHMS, PRIVATE_DIRECTORY, Candidate, Problem, join
from hashscan.scan.hashing import Hasher, NotHashed, hash_below
from hashscan.text import said_by, shown
from hashscan.watch.mounts import mount_of, roots_now

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hashscan.config.settings import Settings
    from hashscan.jobs.volume_presence import Seen
    from hashscan.model import Identity
    from hashscan.notices.notice import ItemFile

_NOT_THERE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
_OWN = (
    "it belongs to hashscan itself; if the notice is right, move it by hand, else close the notice"
)
#: The most files that are listed in a directory that a notice names.
MOST_LISTED = 1000


class NamedSpot(NamedTuple):
    """A file's path in two parts: the root of the file's volume, and the path below the root."""

    volume: bytes
    path: bytes

    @property
    def full(self) -> bytes:
        """The absolute path of the file: root and path joined."""
        return join(self.volume, self.path)


class NamedFilePresence(StrEnum):
    """Whether a file exists at its path."""

    THERE = "there"
    AWAY = "away"
    UNKNOWN = "unknown"  #: the volume does not answer, or another file system is mounted


class Peeked(NamedTuple):
    """Whether a file exists at its path, and what hashscan saw there.

    Attributes:
        presence: whether the file exists at its path.
        status: the file's status, as stat(2) returns it, if the file exists.
        anchor: a text that identifies the volume's root and the file system, as in
            ``notices.notice.ItemFile``; "" unless the file exists.
        why: why hashscan cannot say whether the file exists.
    """

    presence: NamedFilePresence
    status: os.stat_result | None = None
    anchor: str = ""
    why: str = ""


class NoticeFiles:
    """Checks and hashes files that notices name, for one round over the items."""

    def __init__(
        self,
        settings: Settings,
        *,
        was_mounted: Callable[[bytes], bool],
        probe: Callable[[list[str]], list[Seen]],
    ) -> None:
        """Keep the arguments, and check which of the configured volumes are there.

        ``was_mounted``: says whether a volume's root was a mount point at the volume's last scan.

        ``probe``: checks whether directories are there, each within a bounded time.
        """
        self._was_mounted = was_mounted
        self._probe = probe
        self._own = _own(settings)
        self._hasher = Hasher(frozenset(ALGORITHMS))
        self._seen: dict[bytes, Seen] = {}
        self._mounts: dict[int, bytes] = {}
        paths = [os.fsencode(one.path) for one in settings.volumes]
        found = probe([os.fsdecode(path) for path in paths])
        self._seen |= {seen.root: seen for seen in found}
        self._configured_roots = {
            path.rstrip(b"/"): seen.root for path, seen in zip(paths, found, strict=True)
        }
        self.volumes = tuple(seen.root for seen in found)
        self._roots = Roots(self.volumes)

    def spot(self, full: bytes, root: bytes | None = None) -> NamedSpot | None:
        """Split an absolute path into its volume (without a volume, ``root``) and the rest.

        Returns ``None`` if the path is below no volume and not below ``root``, or cannot be the
        path of a file.
        """
        for given, resolved in self._configured_roots.items():
            if given != resolved and full.startswith(given + b"/"):
                full = resolved.rstrip(b"/") + full[len(given) :]
                break
        volume = self._roots.holding(full) or root
        if volume is None or not full.startswith(volume.rstrip(b"/") + b"/"):
            return None
        path = full[len(volume.rstrip(b"/")) + 1 :].rstrip(b"/")
        try:
            return NamedSpot(volume, path) if components(path) else None
        except ValueError:
            return None

    @staticmethod
    def spot_of(file: ItemFile) -> NamedSpot:
        """The root and the path below the root of a file that is stored with an item."""
        return NamedSpot(file.volume, file.path)

    def unreachable(self, volume: bytes) -> str:
        """Why the files of a volume cannot be checked now; "" if the files can be checked."""
        if volume not in self._seen:
            (self._seen[volume],) = self._probe([os.fsdecode(volume)])
        seen = self._seen[volume]
        if seen.error is not None:
            return f"{shown(volume)}: {seen.error}"
        # An unmounted volume may have other files at its mount point. Only a scan may take such a
        # mount point for the volume.
        if not seen.mounted and self._was_mounted(volume):
            return f"{shown(volume)}: its file system is not mounted"
        return ""

    def peek(self, spot: NamedSpot, anchor: str = "", *, directory: bool = False) -> Peeked:
        """Check whether a regular file, or with ``directory`` also a directory, exists at its path.

        ``anchor``: the anchor that was stored with the file; "": hashscan never saw the file.
        """
        why = self.unreachable(spot.volume)
        if why:
            return Peeked(NamedFilePresence.UNKNOWN, why=why)
        try:
            with closing(open_root(spot.volume)) as root:
                return self._peek(root, spot, anchor, directory=directory)
        except (OSError, ValueError) as error:
            return Peeked(NamedFilePresence.UNKNOWN, why=f"{shown(spot.full)}: {said_by(error)}")

    def _peek(self, root: int, spot: NamedSpot, anchor: str, *, directory: bool) -> Peeked:
        *above, name = components(spot.path)
        status = None
        fd = os.dup(root)
        try:
            try:
                for one in above:
                    below = open_step(fd, one, cross_mounts=True)
                    os.close(fd)
                    fd = below
                status = os.stat(name, dir_fd=fd, follow_symlinks=False)
            except OSError as error:
                if error.errno not in _NOT_THERE:
                    raise
            # The anchor identifies the deepest directory that exists. A missing or covering file
            # system changes the id of the directory's file system; a bind mount of the same file
            # system changes the root of the mount.
            here = f"{identity_of(root).inode} {os.fstatvfs(fd).f_fsid:x} {self._mounted(fd)}"
        finally:
            os.close(fd)
        mode = 0 if status is None else status.st_mode
        if stat.S_ISREG(mode) or (directory and stat.S_ISDIR(mode)):
            return Peeked(NamedFilePresence.THERE, status, here)
        if anchor not in {"", here}:
            return Peeked(
                NamedFilePresence.UNKNOWN,
                why=f"{shown(spot.full)} is not there, and its place is in another directory or"
                f" file system than before: check whether {shown(spot.volume)}"
                " and all file systems below it are mounted; if the file is removed, run"
                " 'hashscan notice close ID --reason TEXT'",
            )
        return Peeked(NamedFilePresence.AWAY)

    def _mounted(self, fd: int) -> str:
        """The root of the mount that has ``fd``, as a path in its file system; "" without /proc."""
        try:
            number = mount_of(fd)
            if number not in self._mounts:
                self._mounts = roots_now()
        except OSError:
            return ""
        return shown(self._mounts.get(number, b""))

    def hash(self, spot: NamedSpot) -> Candidate | NotHashed:
        """Hash a file with all algorithms, and return the file as a candidate without hits."""
        why = self.unreachable(spot.volume)
        if why:
            return NotHashed(Problem.NOT_THERE, why)
        # If this check of the file fails, the hashing fails, too, and reports the reason.
        with suppress(OSError, ValueError), closing(open_root(spot.volume)) as root:
            if self._is_own(root, spot.path):
                return NotHashed(Problem.OTHER, _OWN)
        hashed = hash_below(self._hasher, *spot)
        if isinstance(hashed, NotHashed):
            return hashed
        status = hashed.status
        return Candidate(
            *spot,
            identity=identity_in(status),
            stamp=stamp_of(status),
            digests=hashed.digests,
            links=status.st_nlink,
            uid=status.st_uid,
            hits=(),
        )

    def _is_own(self, root: int, path: bytes) -> bool:
        """Whether a file is one of hashscan's own files, or in a directory of hashscan.

        Only root can move hashscan's directories, so no open descriptor needs to protect them.
        """
        *above, name = components(path)
        fd = os.dup(root)
        try:
            for one in above:
                below = open_step(fd, one, cross_mounts=True)
                os.close(fd)
                fd = below
                status = os.fstat(fd)
                is_private = (
                    one == PRIVATE_DIRECTORY
                    and status.st_uid == os.geteuid()
                    and not stat.S_IMODE(status.st_mode) & 0o077
                )
                if is_private or is_quarantine(fd) or identity_in(status) in self._own:
                    return True
            return identity_in(os.stat(name, dir_fd=fd, follow_symlinks=False)) in self._own
        finally:
            os.close(fd)

    def files_in(self, spot: NamedSpot) -> list[NamedSpot]:
        """Up to ``MOST_LISTED`` regular files of a directory, without files of its subdirectories.

        Raises:
            OSError: the directory cannot be listed.
        """
        found: list[NamedSpot] = []
        with (
            closing(open_root(spot.volume)) as root,
            closing(open_directory(root, spot.path, cross_mounts=True)) as directory,
        ):
            for entry in listing(directory):
                if isinstance(entry, ListedFile):
                    found.append(NamedSpot(spot.volume, spot.path + b"/" + entry.name))
                if len(found) >= MOST_LISTED:
                    break
        return found


def _own(settings: Settings) -> frozenset[Identity]:
    """Identities of the state directory, of the quarantine, and of files that hashscan trusts."""
    found = set()
    for path in (settings.state, settings.quarantine_directory, *believed_files(settings)):
        with suppress(OSError, ValueError):
            found.add(identity_in(os.stat(path)))
    return frozenset(found)


def stamps_of(peeked: Iterable[Peeked]) -> tuple[tuple[int, ...], ...]:
    """Identities and stamps (size and times) of files, to detect a change; () if a file is gone."""
    return tuple(
        () if one.status is None else (*identity_in(one.status), *stamp_of(one.status))
        for one in peeked
    )
