"""Checks whether a volume is present: an empty mount point is not an empty volume."""

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
    """Holds the result of a check whether a volume is present.

    Attributes:
        root: path of the volume, links resolved.
        error: why the volume cannot be opened; ``None``: the volume can be opened.
        identity: identity of the volume's root; ``None``: the volume cannot be opened.
        mounted: the volume's root is a mount point.
        empty: the volume's root has no entries.
        number: errno of the kernel's error; 0: there was no error.
        refused: the volume's path leads through another user's link, so the volume is not opened.
    """

    root: bytes
    error: str | None
    identity: Identity | None = None
    mounted: bool = False
    empty: bool = False
    number: int = 0
    refused: bool = False


def check_volume(root: bytes, mounts: MountTable | None = None) -> Seen:
    """Check the volume with this resolved path; a volume on a dead file server never answers.

    ``mounts`` is the present list of mounts, for callers that check many volumes.
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
    """Return whether a file system is mounted on ``root``.

    Without /proc, as in a chroot, a mount of a directory of the same file system is not visible.
    """
    try:
        return (mounts_now() if mounts is None else mounts).is_mounted(root)
    except FileNotFoundError:
        return os.path.ismount(root)


def follow_mounts(root: bytes) -> Callable[[], list[bytes]]:
    """Return a function that lists the mounts below a volume that were unmounted since this call.

    A file system that an automounter unmounts does not count: the automounter mounts it on demand.
    """
    try:
        before = mounts_now().below(root)
    except OSError:
        return list  # Without /proc the mounts are unknown.

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
    """Return why a volume must not be scanned now.

    The result is ``None`` if the volume is present; the catalog then notes its root.

    ``meant`` is set if the sysadmin wants the volume to be scanned in its present state.
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
