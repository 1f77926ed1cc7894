"""What to scan and how, and what of it a worker process needs to know."""

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
    """Finds out which of a scan's volumes answer, without waiting for them; by their indices."""

    @property
    def connections(self) -> list[Connection]:
        """Readable when ``take`` has something."""
        ...

    def ask(self, number: int) -> None:
        """Check a volume."""
        ...

    def take(self, ready: Collection[object]) -> list[int]:
        """Volumes that were checked, or did not answer in time."""
        ...

    def hangs(self, number: int) -> bool:
        """Whether a volume did not answer to its last check."""
        ...


@dataclass(frozen=True, slots=True)
class ScanOptions:
    """What to scan and how.

    Attributes:
        others: volumes that are scanned at other times; a scan of ``volumes`` does not enter them.
        follow_mounts: returns for a root a function that lists the mounts lost below it.
        presence: asked for a volume at which a worker process hangs.
        identities: of the volumes' roots, by path, when they were found to be there.
        jobs: worker processes.
        filters: after all their checks.
        filterset: what tells one set of filters from another: their versions.
        algorithms: what the filters need.
        full: hash what did not change, too.
        own: identities of directories that hold hashscan's state.
        service, remote: the confirmer's name, and whether its verdicts are remembered.
        max_rate, max_files: bytes and files a second, of all processes together.
        turns: shared with other scans for which the same bounds hold.
        step_aside: with the lowest priority.
        large_apart: bytes; changed files that are larger are looked at apart from the others.
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
    """For scan number ``scan``; ``roots`` are the volumes' roots in the catalog."""
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
        UsageError: it cannot be opened.
    """
    try:
        with closing(open_root(root)) as fd:
            return identity_of(fd)
    except OSError as error:
        raise UsageError(
            f"the volume {shown(root)} cannot be opened: {error.strerror}; "
            "see the path, the mount and the rights of this user"
        ) from error
