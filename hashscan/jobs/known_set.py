"""Opens the filters and the confirmer that the command line or else the configuration names."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hashscan.errors import UsageError
from hashscan.known.filters.open_filter import open_filter
from hashscan.known.filters.tiers import tier_path
from hashscan.model import TIER_NAMES, Tiers, filterset_of
from hashscan.text import shown

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from hashscan.config.settings import Settings
    from hashscan.config.sources import FilterSettings, ServiceSettings
    from hashscan.known.allow import AllowList
    from hashscan.known.filters.open_filter import FilterFile
    from hashscan.known.lists.staging import BuildProgress
    from hashscan.model import Algorithm, Confirmer
    from hashscan.state import State

#: Context manager for the building of a filter: yields a function that shows progress, or None.
Building = Callable[[], AbstractContextManager["Callable[[BuildProgress], None] | None"]]


@dataclass(frozen=True, slots=True)
class KnownSet:
    """Holds the filters that find candidates, and the confirmer that gives their verdicts.

    Attributes:
        filters: the filters of the known set, after all checks.
        make_confirmer: makes the confirmer; call this function in the process that asks the
            service.
        service, remote: name of the service, and whether it is on another machine.
        test: the verdicts are for testing; such a verdict moves no file.
        lists: digest of the content of the lists that give the verdicts; empty if a service does.
    """

    filters: tuple[FilterFile, ...]
    make_confirmer: Callable[[], Confirmer]
    service: str
    remote: bool
    test: bool = False
    lists: str = ""

    @property
    def algorithms(self) -> frozenset[Algorithm]:
        """Return the algorithms whose digests must be computed for each file."""
        return frozenset().union(*(one.algorithms for one in self.filters))

    @property
    def name(self) -> str:
        """Return this known set's identity: if it changes, the whole catalog is judged again."""
        filters = filterset_of(self.filters)
        return f"{filters} lists={self.lists[:16]}" if self.lists else filters


def open_known_set(
    settings: Settings,
    state: State,
    lists: Iterable[str],
    notice: Callable[[str], None],
    building: Building = nullcontext,
    *,
    only_categories: Collection[str] = (),
    tiers: bool = True,
    moving: bool | None = None,
) -> KnownSet:
    """Open the known set that the command line names, or else the configuration.

    ``building`` shows the progress while a filter is made from lists. ``only_categories`` are the
    categories of the lists that count as known; by default the configured categories. If ``tiers``
    is false, or the configuration turns tiers off, the filters are opened without tiers.
    ``moving``: whether matches are moved; by default the configuration decides.

    Raises:
        ConfigError: neither names a known set, or other users can change a file that decides which
            files are moved.
        UsageError: the command line names categories, but no digest lists that have categories.
        DigestListError: a list has lines that are no digests.
        FilterError: a filter of the known set cannot be used.
    """
    from hashscan.config.trust import moves, require_trusted  # noqa: PLC0415 - heavy

    lists = list(lists)
    moving = moves(settings) if moving is None else moving
    require_trusted(settings, lists, notice, moving=moving)
    known = _open_known_set(
        settings, state, lists, notice, building, only_categories=only_categories
    )
    if not (tiers and settings.scan.tiers):
        for one in known.filters:
            one.tiers = Tiers()
        return known
    for one in known.filters:
        for why in one.tiers_unused:
            notice(why)
    return known


def _open_known_set(
    settings: Settings,
    state: State,
    lists: Iterable[str],
    notice: Callable[[str], None],
    building: Building,
    *,
    only_categories: Collection[str],
) -> KnownSet:
    from hashscan.config.settings import require_service  # noqa: PLC0415

    lists = [os.path.abspath(path) for path in lists]
    if lists:
        return _local(lists, only_categories, state, (), notice, building)
    service = require_service(settings)
    if service.kind == "local":
        given = open_configured(settings, state) if settings.filter is not None else ()
        chosen = only_categories or service.only_categories
        return _local(list(service.known), chosen, state, given, notice, building)
    if only_categories:
        raise UsageError(
            "--only-category chooses from digest lists, but the configured service is asked: give "
            "lists with --known, or leave --only-category out"
        )
    return _remote(service, open_configured(settings, state))


def check_known_set(settings: Settings, state: State, notice: Callable[[str], None]) -> None:
    """Read the files that ``open_known_set`` opens for the configuration; store nothing.

    Raises:
        ConfigError: the configuration names no known set, or no usable password.
        UsageError, DigestListError: a digest list cannot be used.
        FilterError: a filter of the known set cannot be used.
        StateError: the disk has no room to sort the digests of the lists.
    """
    from hashscan.config.settings import require_service  # noqa: PLC0415
    from hashscan.known.confirmers.local_list import check_local  # noqa: PLC0415

    service = require_service(settings)
    given: tuple[FilterFile, ...] = ()
    if service.kind == "local":
        check_local(service.known, state.filters, only_categories=service.only_categories)
        if settings.filter is not None:
            given = open_configured(settings, state)
    else:
        given = _remote(service, open_configured(settings, state)).filters
    if settings.scan.tiers:
        for one in given:
            for why in one.tiers_unused:
                notice(why)


def open_configured(settings: Settings, state: State) -> tuple[FilterFile, ...]:
    """Open the configured filters: a filter file, or the synced filters of a repository.

    Raises:
        ConfigError: the configuration names no filters.
        FilterError: a filter is missing, damaged, or older than allowed.
    """
    from hashscan.config.settings import require_filter  # noqa: PLC0415
    from hashscan.config.values import is_url  # noqa: PLC0415

    path = require_filter(settings)
    assert settings.filter is not None
    if is_url(path):
        from hashscan.jobs.sync import open_filters  # noqa: PLC0415 - only where it is needed

        return open_filters(settings, state)
    return (open_file(settings.filter),)


def files_of(settings: Settings) -> list[str]:
    """Return the files from which the configured known set is read: lists, or filter and tiers."""
    from hashscan.config.values import is_url  # noqa: PLC0415

    found = [] if settings.service is None else list(settings.service.known)
    if settings.filter is not None and not is_url(settings.filter.source):
        path = settings.filter.source
        found += [path, *(tier_path(path, name) for name in TIER_NAMES)]
    return found


def open_file(settings: FilterSettings) -> FilterFile:
    """Open the configured filter file.

    Raises:
        FilterError: the filter file is missing, damaged, or older than allowed.
    """
    return open_filter(
        settings.source,
        max_age=settings.max_age,
        category=settings.categories[0],
        algorithms=settings.algorithms,
    )


def _local(
    lists: list[str],
    only_categories: Collection[str],
    state: State,
    given: tuple[FilterFile, ...],
    notice: Callable[[str], None],
    building: Building,
) -> KnownSet:
    from hashscan.known.confirmers.local_list import open_local  # noqa: PLC0415

    with building() as on_progress:
        known = open_local(
            lists,
            state.filters,
            only_categories=only_categories,
            on_notice=notice,
            on_progress=on_progress,
        )
    filters = given or tuple(known.loaded)
    missing = known.confirmer.missing_in(given) if given else 0
    if given and missing:
        notice(
            f"{missing} of the {known.digests} digests of the lists are not in the filter "
            f"{', '.join(shown(one.path) for one in given)}, so files with them are not found; "
            "build the filter anew from the lists, or leave the section 'filter' out"
        )
    # The remarks about lists are printed once, when the lists are read, not again in every scan.
    for remark in known.remarks if known.built else ():
        notice(remark)
    # The confirmer is opened here and used in the asking process only: it is immutable, so a fork
    # may copy it.
    confirmer = known.confirmer
    return KnownSet(filters, lambda: confirmer, confirmer.name, remote=False, lists=known.key)


def _remote(service: ServiceSettings, given: tuple[FilterFile, ...]) -> KnownSet:
    from hashscan.config.password import read_password  # noqa: PLC0415

    read_password(service)  # A missing password is reported immediately.
    url, username = service.url, service.username

    def make() -> Confirmer:
        from hashscan.known.confirmers.hashcheckservice import HashCheckService  # noqa: PLC0415

        return HashCheckService(
            url=url,
            username=username,
            password=read_password(service),
            timeout=service.timeout,
            test=service.test,
            ca_bundle=service.ca_bundle,
        )

    # Verdicts of the test twin must not be remembered as the service's verdicts.
    name = f"{url} (test)" if service.test else url
    return KnownSet(given, make, name, remote=True, test=service.test)


def describe(known: KnownSet, allow: AllowList | None = None, *, tiers: bool = True) -> list[str]:
    """Return the lines that ``-v`` prints about a known set and an allow-list."""
    return [
        f"known set: {known.service}",
        *(
            f"filter: {shown(one.path)}: {one.category}, version {one.version}, "
            f"{one.metadata.digests} digests ({', '.join(sorted(one.algorithms))}), made "
            f"{one.metadata.created}"
            + (f"; tiers: {', '.join(one.tiers.names)}" if tiers and one.tiers.names else "")
            for one in known.filters
        ),
        *(f"allow-list: {shown(path)}" for path in (allow.paths if allow else ())),
    ]
