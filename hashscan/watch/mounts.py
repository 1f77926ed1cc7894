"""Finds the file systems that are mounted at and below volumes, and notices changes.

Sources: proc(5), /proc/self/mountinfo; a poll for POLLPRI and POLLERR reports each change.
"""

from __future__ import annotations

import bisect
import os
import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hashscan.fs.volume import Volume

MOUNTINFO = "/proc/self/mountinfo"
#: Types of file systems whose answers come from a server or another process.
_BY_OTHERS = {
    *(b"nfs", b"nfs4", b"cifs", b"smb3", b"smbfs", b"9p", b"afs", b"ceph", b"lustre", b"beegfs"),
    *(b"glusterfs", b"gfs2", b"ocfs2", b"fuse", b"fuseblk", b"orangefs", b"coda", b"virtiofs"),
}
_OCTAL = re.compile(rb"\\([0-7]{3})")
#: Number of symbolic links that are followed in a path; the kernel has the same limit
#: (path_resolution(7)).
_MOST_LINKS = 40


class Mount(NamedTuple):
    """Describes one mount, which is one line of /proc/self/mountinfo.

    Attributes:
        number: the mount's id; a new mount at the same path has another id.
        device: device number of the file system, ``major:minor``.
        where: path of the mount point.
        kind: type of the mounted file system.
        source: source of the mounted file system, e.g. ``server:/export``.
        root: the directory of the file system that the mount shows; for a bind mount it may differ
            from ``/``.
    """

    number: int
    device: bytes
    where: bytes
    kind: bytes
    source: bytes = b""
    root: bytes = b"/"


def parse(text: bytes) -> list[Mount]:
    """Return the mounts in the text of mountinfo; invalid lines are skipped."""
    found = []
    for line in text.splitlines():
        fields = line.split(b" ")
        try:
            separator = fields.index(b"-")
            found.append(
                Mount(
                    int(fields[0]),
                    fields[2],
                    _unescaped(fields[4]),
                    fields[separator + 1],
                    _unescaped(b" ".join(fields[separator + 2 : separator + 3])),
                    _unescaped(fields[3]),
                )
            )
        except (ValueError, IndexError):
            continue
    return found


def _unescaped(field: bytes) -> bytes:
    return _OCTAL.sub(lambda octal: bytes([int(octal.group(1), 8) & 0xFF]), field)


class Reach(NamedTuple):
    """Describes the server that must answer before a path can be opened.

    Attributes:
        server: name of the server; empty: the path is on local file systems only.
        mount: id of the mount for which the server answers, or else of the path's mount; -1: the
            mount is unknown.
    """

    server: bytes
    mount: int


class MountTable:
    """Holds the mounts of one moment, by mount point: a look-up costs the depth of a path."""

    def __init__(self, mounts: Iterable[Mount]) -> None:
        """Sort ``mounts`` (in mountinfo's order): a later mount hides an earlier one."""
        self._at = {mount.where: mount for mount in mounts}
        self._places = sorted(where.rstrip(b"/") + b"/" for where in self._at)

    def under(self, path: bytes) -> Mount | None:
        """Return the mount that the directory ``path`` is on."""
        while True:
            found = self._at.get(path)
            if found is not None or path in {b"/", b""}:
                return found
            path = path.rpartition(b"/")[0] or b"/"

    def kind(self, path: bytes) -> bytes:
        """Return the type of the file system of the directory ``path``; empty: unknown."""
        on = self.under(path)
        return b"" if on is None else on.kind

    def below(self, path: bytes) -> list[Mount]:
        """Return the mounts at the directory ``path`` and below it."""
        prefix = path.rstrip(b"/") + b"/"
        start = bisect.bisect_left(self._places, prefix)
        # In byte order "0" follows "/", so all paths below the prefix sort before this value.
        end = bisect.bisect_left(self._places, prefix[:-1] + b"0", start)
        return [self._at[place[:-1] or b"/"] for place in self._places[start:end]]

    def is_mounted(self, path: bytes) -> bool:
        """Return whether a file system is mounted on the directory ``path``."""
        return path in self._at

    def reach(self, path: bytes) -> Reach:
        """Return the server for which an access to ``path`` (absolute) would wait; do not wait.

        Links in the path are followed up to the first path on a server, and no further.
        """
        waiting = path.split(b"/")[::-1]
        here, links = b"/", 0
        on = self._at.get(b"/")
        server = _server(on)
        automatic: Mount | None = None
        while waiting:
            name = waiting.pop()
            if name in {b"", b"."}:
                continue
            if name == b"..":
                here = here.rpartition(b"/")[0] or b"/"
                continue
            here = here.rstrip(b"/") + b"/" + name
            mount = self._at.get(here)
            if mount is not None:
                if answers_by_others(mount.kind):
                    return Reach(_server(mount), mount.number)
                on = mount
                automatic = mount if mount.kind == b"autofs" else automatic
            # A stat of a name below an automount point would mount the file system.
            elif automatic is None:
                try:
                    target = os.readlink(here)
                except OSError:
                    continue
                links += 1
                if links > _MOST_LINKS:
                    break
                here = b"/" if target.startswith(b"/") else here.rpartition(b"/")[0] or b"/"
                waiting += target.split(b"/")[::-1]
        if automatic is not None:
            return Reach(b"autofs " + automatic.where, automatic.number)
        on = self.under(here) or on
        return Reach(server, -1 if on is None else on.number)


def _server(mount: Mount | None) -> bytes:
    """Return the name of the server behind a mount; empty: a local file system.

    Network file systems name their host in the mount's source (``host:/export``, ``//host/share``).
    For other file systems with a server, the result is the name of the device.
    """
    if mount is None or not answers_by_others(mount.kind):
        return b""
    if mount.source.startswith(b"//"):
        return mount.kind + b" " + mount.source[2:].partition(b"/")[0]
    host, colon, _ = mount.source.partition(b":/")
    return mount.kind + b" " + (host if colon else mount.source + b" " + mount.device)


def answers_by_others(kind: bytes) -> bool:
    """Return whether a file system of this type may wait for a server that does not answer.

    Other hosts may also change files on such a file system, and the kernel of this host reports no
    such change.
    """
    return kind.split(b".")[0] in _BY_OTHERS


def mounts_now() -> MountTable:
    """Return the present mounts that this process can see.

    Raises:
        OSError: /proc is missing.
    """
    with open(MOUNTINFO, "rb") as file:
        return MountTable(parse(file.read()))


def mount_of(fd: int) -> int:
    """Return the id of the mount that an open file or directory is on.

    Source: proc(5), /proc/pid/fdinfo.

    Raises:
        OSError: /proc is missing.
    """
    with open(f"/proc/self/fdinfo/{fd}", "rb") as file:
        return int(next(line.split()[1] for line in file if line.startswith(b"mnt_id:")))


def roots_now() -> dict[int, bytes]:
    """Return the directory of its file system that each mount shows, by the mount's id.

    Raises:
        OSError: /proc is missing.
    """
    with open(MOUNTINFO, "rb") as file:
        return {one.number: one.root for one in parse(file.read())}


def concerning(mounts: MountTable, volume: Volume) -> frozenset[Mount]:
    """Return the mount of a volume and, if the volume crosses file systems, the mounts below it."""
    on = mounts.under(volume.root)
    found: set[Mount] = {on} if on else set()
    if not volume.one_file_system:
        found |= set(mounts.below(volume.root))
    return frozenset(found)


class Mounts:
    """Finds the volumes that are affected if a file system is mounted or unmounted."""

    def __init__(self, volumes: Sequence[Volume]) -> None:
        """Note the present mounts, to detect changes.

        Raises:
            OSError: /proc is missing.
        """
        self._volumes = volumes
        self._fd = os.open(MOUNTINFO, os.O_RDONLY | os.O_CLOEXEC)
        self._now = self._read_mounts()

    def fileno(self) -> int:
        """Return the descriptor on which a poll for POLLPRI reports changed mounts."""
        return self._fd

    def _read_mounts(self) -> list[frozenset[Mount]]:
        os.lseek(self._fd, 0, os.SEEK_SET)
        text = b""
        while part := os.read(self._fd, 1 << 16):
            text += part
        mounts = MountTable(parse(text))
        return [concerning(mounts, volume) for volume in self._volumes]

    def changed(self) -> list[int]:
        """Return the indices of the volumes whose mounts have changed since the last call."""
        before, self._now = self._now, self._read_mounts()
        return [
            index
            for index, (old, new) in enumerate(zip(before, self._now, strict=True))
            if old != new
        ]

    def close(self) -> None:
        """Close the descriptor of mountinfo."""
        os.close(self._fd)
