"""Sync: fetch and verify the newest filters of a repository, and switch to them.

python-tuf's client decides whether files are authentic and recent. Sync then fetches a patch if the
repository has a patch for the version in use and the patch is smaller than the filter; otherwise
sync fetches the whole filter. The new filter is made beside the filter in use: it may not be longer
than its signed length, must have its signed digest, and is loaded with all checks. Only after that
does the pointer (``synced_filters``) change.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from hashscan.durable import make_directories, sync_directory
from hashscan.errors import (
    ExitCode,
    Fault,
    FilterError,
    HashscanError,
    RepositoryRefusedError,
    RepositoryUnreachableError,
    StateError,
)
from hashscan.known.filters.bit_file import metadata_path
from hashscan.known.filters.filter_file import load
from hashscan.known.filters.metadata import TierMetadata, dump
from hashscan.known.filters.tiers import TierFile, tier_path
from hashscan.known.sync.apply import Kept, Maker, WantedPart
from hashscan.known.sync.fetcher import DiskError, Fetcher
from hashscan.known.sync.layout import (
    FilterTarget,
    TierTarget,
    read_custom,
    whole_target,
)
from hashscan.known.sync.synced_filters import (
    FILTER,
    KeptPlace,
    KeptVersion,
    Pointer,
    load_entry,
    names_in,
)
from hashscan.known.sync.trust import (
    categories_in,
    refresh,
    translated,
    trust_of,
    wanted,
)
from hashscan.model import TIER_NAMES, TierName
from hashscan.state import Lock
from hashscan.text import shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from tuf.ngclient import Updater

    from hashscan.known.filters.filter_file import BloomFile
    from hashscan.known.sync.repository_settings import RepositorySource
    from hashscan.model import Tier

_UNFINISHED = ".unfinished-"
#: Seconds for which a sync keeps the version in use because a tier of the newer version cannot be
#: fetched, counted from the time when the version in use was last the newest.
_PATIENCE = 6 * 3600.0


@dataclass(frozen=True, slots=True)
class CategoryReport:
    """The result of a sync for one category.

    Attributes:
        state: ``updated``: a newer filter is in use now; ``current``: the filter in use was the
            newest already; ``refused``: the served files are not authentic, whole and recent;
            ``unreachable``: the category's files cannot be fetched now.
        version, digests: version and number of digests of the filter in use; ``None``: there is
            none.
        verified: time when the repository last named the filter in use as the newest, in seconds
            since the epoch.
        way: ``patch`` or ``whole``, if the filter was updated.
        message: the fault and its fix, for a sysadmin; also set if only a tier could not be
            fetched.
        fault: the kind of network fault, if the category's files cannot be fetched now.
    """

    category: str
    state: Literal["updated", "current", "refused", "unreachable"]
    version: str | None = None
    digests: int | None = None
    verified: float | None = None
    way: Literal["patch", "whole"] | None = None
    message: str = ""
    fault: Fault | None = None

    @property
    def trouble(self) -> str:
        """The reason, in a few words, why the category is neither updated nor current."""
        if self.fault == Fault.CREDENTIALS:  # a later sync would fail for the same reason
            return f"the repository {self.fault.words}"
        return self.state


@dataclass(frozen=True, slots=True)
class SyncReport:
    """The results of a sync with one repository.

    Attributes:
        source: URL of the repository.
        categories: the result for each category, in the order of the configuration.
        fetched: number of bytes fetched from the repository.
        retry_after: seconds that the server asked to wait before the next request.
    """

    source: str
    categories: tuple[CategoryReport, ...]
    fetched: int
    retry_after: float | None = None

    @property
    def exit_code(self) -> ExitCode:
        """The exit code of the sync command."""
        states = {one.state for one in self.categories}
        if "refused" in states:
            return ExitCode.FILTER
        return ExitCode.SERVICE if "unreachable" in states else ExitCode.NOTHING_FOUND


def sync(
    source: RepositorySource,
    cache_directory: str,
    *,
    on_notice: Callable[[str], None] | None = None,
) -> SyncReport:
    """Update the filters of ``source``; keep a filter that cannot be updated, and report it.

    Args:
        source: the repository, and the settings for reaching it.
        cache_directory: ``STATE/filters``.
        on_notice: called with sentences for the user, e.g. that a patch did not fit its base.

    Raises:
        FilterError: the file of the pinned root cannot be read.
        LockedError: another process syncs the same repository into the same state directory.
        StateError: the disk is full or not writable; the filters in use are kept.
    """
    place = KeptPlace(source, cache_directory)
    try:
        for name in ("trust", "partial", "filters"):
            make_directories(os.path.join(place.directory, name))
        with Lock(os.path.join(place.directory, "lock")):
            return _Sync(source, place, on_notice or (lambda _message: None)).run()
    except OSError as error:
        raise _disk(place, error) from error
    except DiskError as error:
        raise _disk(place, error.error) from error


def _disk(place: KeptPlace, error: OSError) -> StateError:
    return StateError(
        f"{shown(error.filename or place.directory)}: the filters cannot be synced: "
        f"{error.strerror}; those in use stay. Make room or mend the permissions there, then run "
        "the command again"
    )


class _Sync:
    def __init__(
        self, source: RepositorySource, place: KeptPlace, notice: Callable[[str], None]
    ) -> None:
        self._source = source
        self._place = place
        self._notice = notice
        self._fetcher = Fetcher(source, os.path.join(place.directory, "partial"))
        self._pointer = place.read()
        self._left_out: dict[str, list[str]] = {}

    def run(self) -> SyncReport:
        self._clean()
        retry_after = None
        reports: list[CategoryReport] = []
        try:
            updater, self._pointer = refresh(
                self._source, self._place, self._fetcher, self._pointer
            )
        except (RepositoryRefusedError, RepositoryUnreachableError) as error:
            retry_after = getattr(error, "retry_after", None)
            reports = [self._failed(category, error) for category in self._source.categories]
        else:
            self._fetcher.forget(keep=wanted(self._place))
            for category in self._source.categories:
                try:
                    reports.append(self._category(updater, category))
                except (FilterError, RepositoryUnreachableError) as error:
                    # The sync may still update another category.
                    retry_after = getattr(error, "retry_after", None) or retry_after
                    reports.append(self._failed(category, error))
            if all(one.state in {"updated", "current"} and not one.message for one in reports):
                self._fetcher.forget()
        return SyncReport(self._source.url, tuple(reports), self._fetcher.fetched, retry_after)

    def _failed(self, category: str, error: HashscanError) -> CategoryReport:
        kept, entry = self._kept(category), self._pointer.categories.get(category)
        fault = error.fault if isinstance(error, RepositoryUnreachableError) else None
        return CategoryReport(
            category,
            "refused" if fault is None else "unreachable",
            version=kept.version if kept else None,
            digests=kept.metadata.digests if kept else None,
            verified=entry.verified if kept and entry else None,
            message=str(error),
            fault=fault,
        )

    def _clean(self) -> None:
        """Remove files left by killed syncs; the caller holds the repository's lock."""
        for name in names_in(self._place.directory):
            path = os.path.join(self._place.directory, name)
            if name.startswith(_UNFINISHED):
                shutil.rmtree(path)  # noqa: TID251 - our own
            elif name.endswith(".tmp"):
                os.unlink(path)
        for category, entry in self._pointer.categories.items():
            self._prune(category, entry)
        trust = trust_of(self._place)
        for name in names_in(trust):
            if name.startswith("tmp"):  # python-tuf's own
                os.unlink(os.path.join(trust, name))

    # Filters

    def _kept(self, category: str) -> BloomFile | None:
        entry = self._pointer.categories.get(category)
        if entry is None:
            return None
        try:
            return load_entry(self._place, category, entry)
        except FilterError as error:
            self._notice(str(error))
            return None

    def _category(self, updater: Updater, category: str) -> CategoryReport:
        wanted = self._wanted(updater, category)
        tiers = self._wanted_tiers(updater, category, wanted)
        kept = self._kept(category)
        if kept is not None and _description(kept) == _descriptions(wanted, *tiers.values()):
            return self._still(category, kept)
        maker = Maker(updater, self._fetcher, self._source.url, self._notice)
        made = self._new()
        try:
            path = os.path.join(made, FILTER)
            base = Kept(kept.path, kept.metadata) if kept else None
            way = maker.make(category, "filter", wanted, base, path)
            for name, tier in tiers.items():
                self._make_tier(maker, category, tier, kept, tier_path(path, name))
            one = load(path)
            for why in one.tiers_unused:
                self._notice(why)
            if kept is not None and _description(kept) == _description(one):
                return self._still(category, kept)  # a tier of the new version cannot be fetched
            one = self._take_over(category, made, one)
        finally:
            self._remove(made)
        return self._report(category, "updated", one, way)

    def _still(self, category: str, kept: BloomFile) -> CategoryReport:
        """Record that the version in use of ``category`` is still the newest."""
        entry = self._pointer.categories[category]
        self._point(category, entry.model_copy(update={"verified": time.time()}))
        return self._report(category, "current", kept)

    def _wanted(self, updater: Updater, category: str) -> WantedPart:
        """The repository's newest version of a category's filter.

        Raises:
            FilterError: the repository has no filter of the category, or an invalid filter.
            RepositoryUnreachableError: the metadata of the category's targets cannot be fetched.
        """
        with translated(self._source.url, f"category {category}"):
            target = updater.get_targetinfo(whole_target(category, "filter"))
        if target is None:
            raise FilterError(
                f"{shown(self._source.url)}: has no category {shown(category)}, only "
                f"{', '.join(map(shown, categories_in(self._place))) or 'none yet'}; correct "
                "filter.categories, or ask the publisher"
            )
        found = read_custom(target)
        assert isinstance(found, FilterTarget)  # ``read_custom`` ensures this type
        return WantedPart(target, found)

    def _wanted_tiers(
        self, updater: Updater, category: str, wanted: WantedPart
    ) -> dict[TierName, WantedPart]:
        """The tiers of a filter in the repository; report an invalid tier, and leave it out."""
        found: dict[TierName, WantedPart] = {}
        for name in TIER_NAMES:
            with translated(self._source.url, f"category {category}"):
                target = updater.get_targetinfo(whole_target(category, name))
            if target is None:
                continue
            try:
                custom = read_custom(target)
                assert isinstance(custom, TierTarget)
                if custom.metadata.filter != wanted.custom.metadata.sha256:
                    raise FilterError(
                        f"the repository's {shown(target.path)} is of another filter; tell the "
                        "publisher"
                    )
                found[name] = WantedPart(target, custom)
            except FilterError as error:
                self._leave_out(category, error)
        return found

    def _make_tier(
        self,
        maker: Maker,
        category: str,
        wanted: WantedPart,
        kept: BloomFile | None,
        path: str,
    ) -> None:
        """Make a tier's file; if this fails, report it: scans use the filter without the tier.

        Raises:
            RepositoryUnreachableError: the tier cannot be fetched now, and the version in use stays
                until a later sync fetches the tier.
        """
        metadata = wanted.custom.metadata
        assert isinstance(metadata, TierMetadata)
        old = None if kept is None else getattr(kept.tiers, metadata.tier)
        base = Kept(old.path, old.metadata) if isinstance(old, TierFile) else None
        try:
            maker.make(category, metadata.tier, wanted, base, path)
        except (FilterError, RepositoryUnreachableError) as error:
            for name in (path, metadata_path(path)):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(name)
            if isinstance(error, RepositoryUnreachableError) and self._waits(category, old):
                raise RepositoryUnreachableError(
                    f"{error}; it is a tier that the version in use has, so that one stays, with "
                    f"its tiers, until it can be had, or for {_PATIENCE / 3600:.0f} hours",
                    retry_after=error.retry_after,
                    fault=error.fault,
                ) from error
            self._leave_out(category, error)

    def _leave_out(self, category: str, error: Exception) -> None:
        """Report that scans do not use a tier, as a notice and in the category's report."""
        message = (
            f"a tier of category {shown(category)} is not used, so more files are read than need "
            f"be: {error}"
        )
        self._notice(message)
        self._left_out.setdefault(category, []).append(message)

    def _waits(self, category: str, old: Tier | None) -> bool:
        """Whether to keep the version in use, because the newer version lacks a tier for now.

        If agents switched to the new filter without the tier, a short fault of a server would make
        every agent read many more files.
        """
        entry = self._pointer.categories.get(category)
        return old is not None and entry is not None and time.time() - entry.verified < _PATIENCE

    def _report(
        self,
        category: str,
        state: Literal["updated", "current"],
        one: BloomFile,
        way: Literal["patch", "whole"] | None = None,
    ) -> CategoryReport:
        verified = self._pointer.categories[category].verified
        message = "; ".join(self._left_out.get(category, ()))
        return CategoryReport(
            category, state, one.version, one.metadata.digests, verified, way, message
        )

    def _take_over(self, category: str, made: str, one: BloomFile) -> BloomFile:
        """Switch to the filter in the directory ``made``, which was loaded with all checks."""
        metadata = one.metadata
        parent = self._place.category(category)
        directory = _directory_of(one)
        before = self._pointer.categories.get(category)
        if before is not None and before.directory == directory:
            # The filter or a tier of this version was damaged. The damaged version's directory
            # remains until the pointer changes.
            directory = secrets.token_hex(10)
        make_directories(parent)
        final = os.path.join(parent, directory)
        self._remove(final)  # this version is damaged or unused, or differs
        sync_directory(made)
        os.replace(made, final)
        sync_directory(parent)
        sync_directory(os.path.dirname(parent))
        entry = KeptVersion(
            sha256=metadata.sha256,
            version=metadata.version,
            directory=directory,
            previous=before.directory if before else "",
            verified=time.time(),
        )
        self._point(category, entry)
        self._prune(category, entry)
        return load_entry(self._place, category, entry)

    def _prune(self, category: str, entry: KeptVersion) -> None:
        """Remove all versions of a category except the version in use and the version before it."""
        parent = self._place.category(category)
        for name in names_in(parent):
            if name not in {entry.directory, entry.previous}:
                self._remove(os.path.join(parent, name))

    def _point(self, category: str, entry: KeptVersion) -> None:
        categories = {**self._pointer.categories, category: entry}
        self._pointer = Pointer(categories=categories, seen=self._pointer.seen)
        self._place.write(self._pointer)

    # Directories

    def _new(self) -> str:
        made = os.path.join(self._place.directory, _UNFINISHED + _token())
        os.mkdir(made, 0o700)
        return made

    def _remove(self, directory: str) -> None:
        """Remove a version's directory; after a kill, a later sync removes the rest."""
        if not os.path.lexists(directory):
            return
        away = os.path.join(self._place.directory, _UNFINISHED + _token())
        os.replace(directory, away)
        shutil.rmtree(away)  # noqa: TID251 - our own directory, which nobody else may enter


def _description(one: BloomFile) -> list[bytes]:
    """The metadata of a filter and its tiers, which differ from those of any other filter."""
    tiers = [tier.metadata for tier in one.tiers if isinstance(tier, TierFile)]
    return [dump(one.metadata), *map(dump, tiers)]


def _descriptions(*parts: WantedPart) -> list[bytes]:
    """The metadata of a repository's filter and its tiers, in the form of ``_description``."""
    return [dump(one.custom.metadata) for one in parts]


def _directory_of(one: BloomFile) -> str:
    """The name of a version's directory, which depends on the filter and on its tiers."""
    shas = [one.metadata.sha256]
    shas += [tier.metadata.sha256 for tier in one.tiers if isinstance(tier, TierFile)]
    return hashlib.sha256(" ".join(shas).encode()).hexdigest()[:20]


def _token() -> str:
    return secrets.token_hex(8)
