"""Builds the options of a scan from the configuration and one set of filters."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hashscan.fs.beneath import identity_of
from hashscan.fs.named import opened_named
from hashscan.scan.options import ScanOptions

if TYPE_CHECKING:
    from hashscan.config.settings import Settings
    from hashscan.fs.volume import Volume
    from hashscan.jobs.known_set import KnownSet
    from hashscan.state import State


def scan_options(
    settings: Settings,
    state: State,
    known: KnownSet,
    volumes: tuple[Volume, ...],
    *,
    others: tuple[Volume, ...] = (),
    jobs: int | None = None,
    full: bool = False,
    step_aside: bool = False,
) -> ScanOptions:
    """Return the options for a scan of ``volumes``, which never enters state and quarantine.

    For ``others``, ``full`` and ``step_aside``, see ``ScanOptions``. For ``jobs``, see ``jobs_of``.

    Raises:
        OSError: the state directory or the quarantine cannot be opened.
    """
    return ScanOptions(
        volumes=volumes,
        jobs=jobs_of(settings, jobs),
        filters=known.filters,
        filterset=known.name,
        algorithms=known.algorithms,
        service=known.service,
        remote=known.remote,
        full=full,
        own=frozenset(
            _identity_of_directory(directory)
            for directory in (state.directory, settings.quarantine_directory)
            if os.path.isdir(directory)
        ),
        max_file_size=settings.scan.max_file_size,
        max_rate=settings.scan.max_rate,
        max_files=settings.scan.max_files,
        pause_above_io_pressure=settings.scan.pause_above_io_pressure,
        step_aside=step_aside,
        others=others,
    )


def jobs_of(settings: Settings, jobs: int | None) -> int:
    """Return the number of worker processes for a scan.

    The number is ``jobs`` if configured, else the number of cores that this process may use.
    """
    if jobs is not None:
        return jobs
    if isinstance(settings.scan.jobs, int):
        return settings.scan.jobs
    return max(1, len(os.sched_getaffinity(0)))


def _identity_of_directory(directory: str) -> tuple[int, int]:
    with opened_named(os.fsencode(directory)) as named:
        return identity_of(named.fd)
