"""Whether a volume is there: an empty directory that was a mount point is not an empty volume."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from hashscan.fs.beneath import closing, identity_of, open_root
from hashscan.machine import explain
from hashscan.watch.mounts import mounts_now

if TYPE_CHECKING:
    from collections.abc import Callable

    from hashscan.catalog.mount_points import MountedVolumes
    from hashscan.model import Identity
    from hashscan.watch.mounts import MountTable


class Seen(NamedTuple):
    """The result of a check of a volume.

    Attributes:
        root: its path, links resolved.
        error: why it cannot be opened; ``None``: it can.
        identity: of the root; ``None``: it cannot be opened.
        mounted: it is a mount point.
        empty: there is nothing in it.
        number: the kernel's number of the error; 0: there is none.
        refused: its path leads through a link of somebody else.
    """

    root: bytes
    error: str | None
    identity: Identity | None = None
    mounted: bool = False
    empty: bool = False
    number: int = 0
    refused: bool = False


def look_at(root: bytes, mounts: MountTable | None = None) -> Seen:
    """Check the volume with this resolved path; a volume on a dead file server never answers.

    ``mounts``: the present mounts, for callers that check many volumes.
    """
    try:
        with closing(open_root(root)) as fd:
            identity = identity_of(fd)
            with os.scandir(fd) as entries:
                empty = next(entries, None) is None
        return Seen(root, None, identity, _is_mounted(root, mounts), empty)
    except OSError as error:
        why = f"it cannot be opened: {explain(error) or error.strerror}"
        return Seen(root, why, number=error.errno or 0)


def _is_mounted(root: bytes, mounts: MountTable | None) -> bool:
    """Whether a file system is mounted on ``root``.

    Without /proc, as in a chroot, a mount of a directory of the same file system is not seen.
    """
    try:
        return (mounts_now() if mounts is None else mounts).is_mounted(root)
    except FileNotFoundError:
        return os.path.ismount(root)


def follow_mounts(root: bytes) -> Callable[[], list[bytes]]:
    """Return a function that lists the mounts below a volume that were unmounted since this call.

    A file system that an automounter unmounts is left out: it is mounted when it is needed.
    """
    try:
        before = mounts_now().below(root)
    except OSError:
        return list  # without /proc nothing is known

    def unmounted() -> list[bytes]:
        mounts = mounts_now()
        numbers = {mount.number for mount in mounts.below(root)}
        return [
            mount.where
            for mount in before
            if mount.where != root
            and mount.number not in numbers
            and mounts.kind(mount.where) != b"autofs"
        ]

    return unmounted


def why_not_there(seen: Seen, catalog: MountedVolumes, *, meant: bool = False) -> str | None:
    """Why a volume is not to be scanned now; ``None``: it is there, and the catalog notes how.

    ``meant``: somebody says that it is to be scanned as it is.
    """
    if seen.error is not None:
        return seen.error
    if seen.mounted:
        catalog.set_mounted(seen.root)
    elif catalog.was_mounted(seen.root):
        if seen.empty and not meant:
            return "its file system is not mounted; mount it, and it is scanned"
        catalog.forget_mounted(seen.root)
    return None
