"""Which file systems are mounted at and below volumes, and when that changes.

Source: proc(5), /proc/self/mountinfo; a poll for POLLPRI and POLLERR tells of each change.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hashscan.fs.volume import Volume

MOUNTINFO = "/proc/self/mountinfo"
#: File systems that a server or another process answers for.
_BY_OTHERS = {
    *(b"nfs", b"nfs4", b"cifs", b"smb3", b"smbfs", b"9p", b"afs", b"ceph", b"lustre", b"beegfs"),
    *(b"glusterfs", b"gfs2", b"ocfs2", b"fuse", b"fuseblk", b"orangefs", b"coda", b"virtiofs"),
}
_OCTAL = re.compile(rb"\\([0-7]{3})")


class Mount(NamedTuple):
    """One line of mountinfo: its number, ``major:minor``, where, and the file system's type."""

    number: int
    device: bytes
    where: bytes
    kind: bytes


def parse(text: bytes) -> list[Mount]:
    """The mounts in the text of mountinfo; lines that are none are left out."""
    found = []
    for line in text.splitlines():
        fields = line.split(b" ")
        try:
            separator = fields.index(b"-")
            where = _OCTAL.sub(lambda octal: bytes([int(octal.group(1), 8) & 0xFF]), fields[4])
            found.append(Mount(int(fields[0]), fields[2], where, fields[separator + 1]))
        except (ValueError, IndexError):
            continue
    return found


def kind_of(mounts: Sequence[Mount], root: bytes) -> bytes:
    """The type of the file system that the directory ``root`` lies on; empty: unknown."""
    on = _under(mounts, root)
    return b"" if on is None else on.kind


def answers_by_others(kind: bytes) -> bool:
    """Whether a file system of this type may wait for somebody who does not answer any more.

    Other hosts may change what lies on it, too, and the kernel tells nobody here.
    """
    return kind.split(b".")[0] in _BY_OTHERS


def _under(mounts: Sequence[Mount], root: bytes) -> Mount | None:
    on: Mount | None = None
    below = root.rstrip(b"/") + b"/"
    for mount in mounts:
        # A later mount on the same place hides the earlier one.
        if below.startswith(mount.where.rstrip(b"/") + b"/") and (
            on is None or len(mount.where) >= len(on.where)
        ):
            on = mount
    return on


def mounts_now() -> list[Mount]:
    """What is mounted now, as this process sees it.

    Raises:
        OSError: there is no /proc.
    """
    with open(MOUNTINFO, "rb") as file:
        return parse(file.read())


def concerning(mounts: Sequence[Mount], volume: Volume) -> frozenset[Mount]:
    """The mount that a volume lies on, and, where it crosses file systems, those below it."""
    root = volume.root.rstrip(b"/") + b"/"
    on = _under(mounts, volume.root)
    found: set[Mount] = {on} if on else set()
    if not volume.one_file_system:
        found |= {mount for mount in mounts if (mount.where.rstrip(b"/") + b"/").startswith(root)}
    return frozenset(found)


class Mounts:
    """Tells which volumes are concerned when something is mounted or unmounted."""

    def __init__(self, volumes: Sequence[Volume]) -> None:
        """Note what is mounted now.

        Raises:
            OSError: there is no /proc.
        """
        self._volumes = volumes
        self._fd = os.open(MOUNTINFO, os.O_RDONLY | os.O_CLOEXEC)
        self._now = self._look()

    def fileno(self) -> int:
        """To poll for POLLPRI."""
        return self._fd

    def _look(self) -> list[frozenset[Mount]]:
        os.lseek(self._fd, 0, os.SEEK_SET)
        text = b""
        while part := os.read(self._fd, 1 << 16):
            text += part
        mounts = parse(text)
        return [concerning(mounts, volume) for volume in self._volumes]

    def changed(self) -> list[int]:
        """Indices of the volumes that lie on other mounts than when this was asked last."""
        before, self._now = self._now, self._look()
        return [
            index
            for index, (old, new) in enumerate(zip(before, self._now, strict=True))
            if old != new
        ]

    def close(self) -> None:
        """Close."""
        os.close(self._fd)


def is_mounted(root: bytes) -> bool:
    """Whether a file system is mounted on the directory ``root`` now.

    Raises:
        OSError: there is no /proc.
    """
    return any(mount.where == root for mount in mounts_now())
