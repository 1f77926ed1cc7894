"""The options of a scan, and the settings that its worker processes get from them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from hashscan.errors import UsageError
from hashscan.fs.beneath import closing, identity_of, open_root
from hashscan.scan.messages import WorkerSettings
from hashscan.scan.pool import STALL_AFTER
from hashscan.scan.throttle import Turns
from hashscan.text import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from multiprocessing.connection import Connection

    from hashscan.fs.volume import Volume
    from hashscan.model import Algorithm, Filter, Identity


class Presence(Protocol):
    """Finds out which of a scan's volumes answer, without waiting for them.

    A volume is named by its index.
    """

    @property
    def connections(self) -> list[Connection]:
        """Return connections that become readable when ``take`` has a result."""
        ...

    def ask(self, number: int) -> None:
        """Start a check of a volume."""
        ...

    def take(self, ready: Collection[object]) -> list[int]:
        """Return the volumes that were checked, or did not answer in time."""
        ...

    def hangs(self, number: int) -> bool:
        """Return whether a volume did not answer its last check."""
        ...


@dataclass(frozen=True, slots=True)
class ScanOptions:
    """The volumes to scan, and the options of the scan.

    Attributes:
        volumes: the volumes to scan.
        others: volumes that are scanned at other times; a scan of ``volumes`` does not enter them.
        follow_mounts: takes a root, and returns a function that lists the mounts that have
            disappeared below it.
        presence: checks a volume on which a worker process hangs.
        identities: identities of the volumes' roots, by path, at the time when the caller found
            them.
        jobs: number of worker processes.
        filters: checked filters.
        filterset: the versions of the filters, which identify the set of filters.
        algorithms: algorithms that the filters need.
        full: also hash unchanged files.
        own: identities of directories that hold hashscan's state.
        service, remote: the confirmer's name, and whether its verdicts are remembered.
        max_rate, max_files: bytes and files a second, of all processes together.
        turns: shared with other scans for which the same bounds hold.
        step_aside: the worker processes run with the lowest priority.
        large_apart: bytes; larger changed files are hashed separately from the others.
        stall_after: seconds without a sign of life after which a worker process is replaced.
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
    presence: Presence | None = None


def worker_settings(
    options: ScanOptions,
    catalog: str,
    roots: Sequence[int],
    *,
    scan: int,
    judged: int,
    judged_until: int = 0,
    resumed: int | None = None,
) -> WorkerSettings:
    """Return the worker settings of scan ``scan``; ``roots``: ids of the roots in the catalog."""
    return WorkerSettings(
        volumes=options.volumes,
        roots=tuple(roots),
        catalog=catalog,
        filters=options.filters,
        algorithms=options.algorithms,
        judged=judged,
        scan=scan,
        full=options.full,
        resumed=resumed,
        own=options.own,
        max_file_size=options.max_file_size,
        max_rate=options.max_rate,
        max_files=options.max_files,
        turns=options.turns,
        pause_above_io_pressure=options.pause_above_io_pressure,
        judged_until=judged_until,
        step_aside=options.step_aside,
        large_apart=options.large_apart,
        others=options.others,
        identities=options.identities,
    )


def identity_of_root(root: bytes) -> Identity:
    """Return the device and inode of a volume's root.

    Raises:
        UsageError: the root cannot be opened.
    """
    try:
        with closing(open_root(root)) as fd:
            return identity_of(fd)
    except OSError as error:
        raise UsageError(
            f"the volume {shown(root)} cannot be opened: {error.strerror}; "
            "see the path, the mount and the rights of this user"
        ) from error
