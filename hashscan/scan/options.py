"""Defines the options of a scan."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from hashscan.errors import UsageError
from hashscan.fs.beneath import closing, identity_of, open_root
from hashscan.scan.throttle import Turns
from hashscan.text import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from multiprocessing.connection import Connection

    from hashscan.fs.volume import Volume
    from hashscan.model import Algorithm, Filter, Identity


#: Seconds without a sign of life after which a worker process counts as stuck (e.g. at a dead file
#: server).
STALL_AFTER = 300.0


class VolumePresence(Protocol):
    """Finds out which of a scan's volumes answer, without waiting for them.

    A volume is named by its index.
    """

    @property
    def connections(self) -> list[Connection]:
        """Return the connections that become readable when ``take`` has the result of a check."""
        ...

    def ask(self, number: int) -> None:
        """Start a check whether a volume answers."""
        ...

    def take(self, ready: Collection[object]) -> list[int]:
        """Return the volumes whose check has ended: they answered, or did not answer in time."""
        ...

    def hangs(self, number: int) -> bool:
        """Return whether a volume did not answer its last check."""
        ...


@dataclass(frozen=True, slots=True)
class ScanOptions:
    """Holds the volumes to scan and the scan's options; each worker process gets all options.

    Attributes:
        volumes: the volumes to scan.
        jobs: number of worker processes.
        filters: the filters, after all checks of them; a fork shares their memory.
        filterset: names the set of filters by the filters' versions.
        algorithms: algorithms that the filters need; their digests are computed for each file.
        service, remote: the confirmer's name, and whether the confirmer's verdicts are remembered.
        full: whether unchanged files are hashed, too.
        own: identities of directories that hold hashscan's own state; a scan never enters these
            directories.
        max_file_size: largest size in bytes; larger files are skipped.
        max_rate, max_files: largest number of bytes and of files a second, of all processes that
            share ``turns``.
        pause_above_io_pressure: share of time that other processes wait for disks, above which the
            scan pauses; see ``throttle``.
        step_aside: the worker processes run with the lowest priority.
        large_apart: size in bytes; larger changed files are left out, so that they are hashed
            separately from the others.
        stall_after: seconds without a sign of life after which a worker process is replaced.
        turns: times at which the next byte and the next file may be read, shared with other scans
            that have the same bounds; see ``throttle``.
        others: volumes that other scans cover; a scan of ``volumes`` does not enter them.
        identities: identities of the volumes' roots, by path, at the time when the caller found the
            roots. A root whose identity has changed, or that cannot be opened any more, has
            vanished. A root without an identity here may be any directory.
        follow_mounts: function that takes a root, and returns a function that lists the mounts that
            have disappeared below the root.
        presence: checks a volume on which a worker process hangs.
    """

    volumes: tuple[Volume, ...]
    jobs: int
    filters: tuple[Filter, ...]
    filterset: str
    algorithms: frozenset[Algorithm]
    service: str
    remote: bool
    full: bool = False
    own: frozenset[tuple[int, int]] = frozenset()
    max_file_size: int | None = None
    max_rate: float | None = None
    max_files: float | None = None
    pause_above_io_pressure: float | None = None
    step_aside: bool = False
    large_apart: int | None = None
    stall_after: float = STALL_AFTER
    turns: Turns = field(default_factory=Turns)
    others: tuple[Volume, ...] = ()
    identities: Mapping[bytes, Identity] = field(default_factory=dict)
    follow_mounts: Callable[[bytes], Callable[[], list[bytes]]] = lambda _root: list
    presence: VolumePresence | None = None


def identity_of_root(root: bytes) -> Identity:
    """Return the device and inode of a volume's root.

    Raises:
        UsageError: the volume's root cannot be opened.
    """
    try:
        with closing(open_root(root)) as fd:
            return identity_of(fd)
    except OSError as error:
        raise UsageError(
            f"the volume {shown(root)} cannot be opened: {error.strerror}; "
            "see the path, the mount and the rights of this user"
        ) from error
