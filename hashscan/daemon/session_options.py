"""The options of the daemon's scans, with one configuration and one set of filters."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from hashscan.agent.scanning import identity_of_directory, jobs_of
from hashscan.scan.options import ScanOptions
from hashscan.scan.pace import Turns

if TYPE_CHECKING:
    from hashscan.agent.known_set import KnownSet
    from hashscan.config.settings import Settings
    from hashscan.fs.volume import Volume
    from hashscan.state import State


def session_options(
    settings: Settings, state: State, known: KnownSet, volumes: tuple[Volume, ...]
) -> ScanOptions:
    """The options for ``volumes``; the state and the quarantine are never scanned."""
    return ScanOptions(
        volumes=volumes,
        jobs=jobs_of(settings, None),
        filters=known.filters,
        filterset=known.name,
        algorithms=known.algorithms,
        service=known.service,
        remote=known.remote,
        own=frozenset(
            identity_of_directory(directory)
            for directory in (state.directory, settings.quarantine_directory)
            if os.path.isdir(directory)
        ),
        max_file_size=settings.scan.max_file_size,
        max_rate=settings.scan.max_rate,
        max_files=settings.scan.max_files,
        pause_above_io_pressure=settings.scan.pause_above_io_pressure,
        step_aside=True,
        turns=Turns(),
    )
