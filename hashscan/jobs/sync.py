"""Syncs a repository's filters according to the settings, and opens the stored filters."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from hashscan.audit import events
from hashscan.config import values
from hashscan.errors import ConfigError, Finding, HashscanError, StateError
from hashscan.known.sync.repository_settings import RepositorySource
from hashscan.known.sync.synced_filters import open_kept

if TYPE_CHECKING:
    from collections.abc import Callable

    from hashscan.audit.actor import By
    from hashscan.config.settings import Settings
    from hashscan.known.filters.filter_file import BloomFile
    from hashscan.known.sync.client import SyncReport
    from hashscan.state import State


def from_repository(settings: Settings) -> bool:
    """Return whether the configured filters come from a repository."""
    return settings.filter is not None and values.is_url(settings.filter.source)


def source_of(settings: Settings, *, password: str | None = None) -> RepositorySource:
    """Return the configured repository of filters.

    A ``password`` is necessary to fetch filters, but not to open stored filters.

    Raises:
        ConfigError: no repository is configured.
    """
    section = settings.filter
    if section is None or not values.is_url(section.source):
        fix = "write its URL, and the root key to trust as filter.root"
        service = settings.service
        if section is not None:
            fix = f"scans use it without sync; for a repository {fix}"
        elif service is not None and service.kind == "local":
            fix = f"scans make the filter from service.known, without sync; for a repository {fix}"
        finding = Finding(
            "configuration: filter.source",
            "no repository is named" if section is None else "is a file, not a repository",
            fix,
        )
        raise ConfigError("there is nothing to sync", [finding])
    assert section.root is not None  # The check of the settings guarantees a repository.
    return RepositorySource(
        url=section.source,
        root=section.root,
        categories=section.categories,
        username=section.username,
        password=password,
        ca_bundle=section.ca_bundle,
        proxy=section.proxy,
        timeout=section.timeout,
    )


def check_root(settings: Settings) -> None:
    """Check the pinned root of the configured repository, if there is one.

    Raises:
        FilterError: the root file cannot be read, or is not a root of a repository.
    """
    if from_repository(settings):
        from hashscan.known.sync.trust import check_root  # noqa: PLC0415 - heavy: TUF

        check_root(source_of(settings))


def run_sync(
    settings: Settings,
    state: State,
    *,
    by: By = "command",
    on_notice: Callable[[str], None] | None = None,
) -> SyncReport:
    """Fetch, verify and store the newest filters of the configured categories.

    Raises:
        ConfigError: no repository is configured, or the password cannot be read.
        LockedError: another process syncs the filters in this state directory.
        StateError: the state directory cannot be written.
    """
    from hashscan.audit.recorder import Recorder  # noqa: PLC0415
    from hashscan.config.password import read_filter_password  # noqa: PLC0415
    from hashscan.config.trust import moves, require_trusted  # noqa: PLC0415
    from hashscan.known.sync.client import sync  # noqa: PLC0415 - heavy: TUF, HTTP

    source_of(settings)  # A missing repository is the first error that is reported.
    assert settings.filter is not None
    require_trusted(settings, (), on_notice or (lambda _: None), moving=moves(settings))
    source = source_of(settings, password=read_filter_password(settings.filter))
    recorder = Recorder.of(settings, by, state)
    recorder.write(events.SYNC_STARTED, source=source.url)
    try:
        report = sync(source, state.filters, on_notice=on_notice)
    except HashscanError as error:
        with suppress(StateError):
            recorder.write(events.SYNC, source=source.url, states=[], message=str(error))
        raise
    states = [
        " ".join(filter(None, (one.category, one.state, one.version))) for one in report.categories
    ]
    messages = [one.message for one in report.categories if one.message]
    recorder.write(events.SYNC, source=source.url, states=states, message="; ".join(messages))
    return report


def open_filters(settings: Settings, state: State) -> tuple[BloomFile, ...]:
    """Return the stored filters of the configured categories.

    Raises:
        FilterError: a filter is missing, damaged, or was not verified for longer than allowed.
    """
    assert settings.filter is not None
    kept = open_kept(source_of(settings), state.filters, max_age=settings.filter.max_age)
    return tuple(one.loaded for one in kept)
