"""Adds the next version of a category's filter and tiers, from the lists of its known set."""

from __future__ import annotations

import contextlib
import math
import os
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING

from hashscan.errors import FilterError, UsageError
from hashscan.fs.beneath import closing
from hashscan.known.filters.build import TiersMade, write_filter, write_tiers
from hashscan.known.filters.filter_file import load
from hashscan.known.filters.metadata import FilterMetadata, TierMetadata, is_category
from hashscan.known.filters.tiers import tier_path
from hashscan.known.filters.writer import CANARIES, DEFAULT_ERROR_RATE
from hashscan.known.lists.staging import staging
from hashscan.known.sync.layout import patch_target, whole_target
from hashscan.leftovers import hold, remove_leftovers
from hashscan.model import TIER_NAMES, TierName
from hashscan.publisher.clock import check_clock
from hashscan.publisher.keys import load_keys
from hashscan.publisher.publish import (
    Published,
    Signing,
    note_published,
    open_newest,
    published,
)
from hashscan.publisher.repository import KEEP, explained, locked
from hashscan.publisher.targets import Version, damaged, patches_of, replace, unpacked
from hashscan.text import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from datetime import timedelta

    from hashscan.known.filters.filter_file import BloomFile
    from hashscan.known.lists.reader import ListReport
    from hashscan.known.lists.staging import BuildProgress, ListStaging
    from hashscan.model import Algorithm
    from hashscan.publisher.repository import Repository

#: Default room in a filter for future digests, as a share of the present digests.
HEAD_ROOM = 0.25
#: Default number of earlier versions from which an agent can fetch a patch.
PATCHES = 14
#: Share of its digests that a known set may lose or gain; a person must allow a larger change.
SHRINK, GROW = 0.1, 1.0
#: Number of new digests looked up in the previous filter, to estimate the share of kept digests.
SAMPLE = 200_000
#: Digests in the smallest known set whose changes are checked: in a smaller known set, every change
#: is a large share.
SMALL = 1000


_WORKPLACE = "hashscan-publish-"
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


@contextlib.contextmanager
def _workplace() -> Iterator[str]:
    """Yield a new directory for unpublished files; remove the directories of killed publishers.

    The directory is in Python's directory for temporary files, e.g. ``TMPDIR``.
    """
    with closing(os.open(tempfile.gettempdir(), _DIRECTORY)) as above:
        remove_leftovers(above, lambda name: name.startswith(_WORKPLACE))
    with (
        tempfile.TemporaryDirectory(prefix=_WORKPLACE) as work,
        closing(os.open(work, _DIRECTORY)) as fd,
    ):
        hold(fd)
        yield work


@dataclass(frozen=True, slots=True)
class Patch:
    """A published patch: the SHA-256 of its base, and its packed length in bytes."""

    base: str
    length: int


@dataclass(frozen=True, slots=True)
class AddedVersion:
    """The result of ``add``, which publishes a version of a category's filter.

    Attributes:
        published: version and expiry of the metadata of the repository's roles.
        metadata: metadata of the category's new filter.
        before: number of digests in the filter's previous version; ``None`` for the first version.
        changed: false if the new filter's file is the same as the file of the version before.
        anew: true if the filter got a new capacity or error rate, so that every agent fetches the
            whole filter.
        digests: number of the new filter's distinct digests, by algorithm.
        length: length in bytes of the packed whole filter.
        patches: patches that agents may fetch instead of the whole filter; the patch with the
            newest base comes first.
        lists: for each digest list, the counts of used and left-out entries.
        tiers: the tiers published beside the filter, and the reasons why other tiers were not
            published.
        tiers_changed: tiers with a newly published version.
        tiers_gone: tiers that the previous version has and the new version lacks.
        tiers_length: length in bytes of each tier's packed whole file.
    """

    published: Published
    metadata: FilterMetadata
    before: int | None
    changed: bool
    anew: bool
    digests: dict[Algorithm, int]
    length: int
    patches: tuple[Patch, ...]
    lists: list[ListReport]
    tiers: TiersMade
    tiers_changed: tuple[TierName, ...]
    tiers_gone: tuple[TierName, ...]
    tiers_length: dict[TierName, int]


def add(
    directory: str,
    keys: Sequence[str],
    category: str,
    inputs: Sequence[str],
    *,
    error_rate: float = DEFAULT_ERROR_RATE,
    head_room: float = HEAD_ROOM,
    patches: int = PATCHES,
    allow_large_change: bool = False,
    skip_invalid: bool = False,
    only_categories: Collection[str] | None = None,
    tiers: bool = True,
    jobs: int | None = None,
    terms: Mapping[str, timedelta] | None = None,
    ask: Callable[[str], str] | None = None,
    on_progress: Callable[[BuildProgress], None] | None = None,
    clock_is_right: bool = False,
    now: datetime | None = None,
) -> AddedVersion:
    """Publish the next version of a category's filter.

    Args:
        directory: path of the repository.
        keys: directories with the keys of targets, snapshot and timestamp.
        category: name of the category.
        inputs: paths of digest lists with the whole present known set. Digests that the lists lack
            are withdrawn from the known set.
        error_rate: error rate of the filter, see ``build``; a changed rate results in a new
            geometry.
        head_room: room for further digests in a filter with a new geometry, as a share of the
            digests.
        patches: number of earlier versions of the filter from which a patch is published.
        allow_large_change: publish the version even if many digests are added or withdrawn.
        skip_invalid: count invalid lines instead of raising an error for them.
        only_categories: leave out the lists' entries of other categories, see ``build``.
        tiers: publish each tier of the filter for which the lists name a key for every digest.
        jobs: number of worker processes that fill the filter, see ``build``.
        terms: duration for which the metadata is valid, by role, see ``publish.init``.
        ask: called to ask a person for a key's passphrase, see ``keys.load_keys``.
        on_progress: called with the stage of the build, see ``build``.
        clock_is_right: true if a person has checked the clock, see ``check_clock``.
        now: time from which on the new metadata is valid; default: the present time.

    Raises:
        UsageError: keys are missing, an option cannot be used, or too many digests are added or
            withdrawn.
        DigestListError: a digest list cannot be used.
        RepositoryRefusedError: the repository differs from the state that its keys signed.
        StateError: a file cannot be written; agents still see the repository's previous state.
    """
    if not is_category(category):
        raise UsageError(
            f"--category {category!r} is no category: use up to 64 letters, digits, '.', '_', '-'"
        )
    if not 1e-12 <= error_rate <= 0.1:
        raise UsageError(f"--error-rate {error_rate} is not between 1e-12 and 0.1")
    if not 0 <= head_room <= 10:
        raise UsageError(f"--head-room {head_room} is not between 0 and 10")
    for path in inputs:
        if os.path.realpath(path).startswith(os.path.realpath(directory) + "/"):
            raise UsageError(
                f"{shown(path)}: lies in the repository, so the list itself would be published; "
                "move it away, and look whether it was copied to the web server"
            )
    signing = Signing(load_keys(keys, ask), now or datetime.now(UTC), terms)
    with locked(directory), _workplace() as work:
        repository = open_newest(directory, keys)
        check_clock(repository, keys, is_right=clock_is_right)
        signing.require(repository.root, "targets", "snapshot", "timestamp")
        current = _Current.open(repository, category, work)
        with staging(f"{shown(directory)}: the filter") as area, explained(work):
            staged = area.fill(
                inputs,
                skip_invalid=skip_invalid,
                only_categories=only_categories,
                on_progress=on_progress,
            )
            digests = sum(area.counts().values())
            _check_change(current, area, digests, allow_large_change)
            metadata, counts, path = _build(
                area, work, category, current, digests, error_rate, head_room, jobs, on_progress
            )
            changed = current is None or metadata.sha256 != current.metadata.sha256
            before = Version(current.metadata, current.path) if current else None
            if changed:
                replace(repository, category, "filter", before, Version(metadata, path), patches)
            else:
                assert current is not None
                metadata = current.metadata
            old = _current_tiers(repository, category, work)
            made = write_tiers(
                area,
                path,
                metadata,
                wanted=tiers,
                capacities=_tier_capacities(area, old, head_room) if tiers else None,
                previous={
                    name: one.metadata
                    for name, one in old.items()
                    if isinstance(one.metadata, TierMetadata)
                },
                jobs=jobs,
            )
            tier_versions = {
                name: Version(one, tier_path(path, name)) for name, one in made.made.items()
            }
            replaced = [
                name
                for name in TIER_NAMES
                if _replace_tier(
                    repository, category, name, old.get(name), tier_versions.get(name), patches
                )
            ]
        signing.renew(repository, "targets", "snapshot", "timestamp")
        repository.write()
        repository.tidy(note_published(repository, keys).certainly_before(KEEP))
        targets = repository.targets.signed.targets
        return AddedVersion(
            published=published(repository, signing, {"targets", "snapshot", "timestamp"}),
            metadata=metadata,
            before=current.metadata.digests if current else None,
            changed=changed,
            anew=current is not None
            and (metadata.capacity, metadata.error_rate)
            != (current.metadata.capacity, current.metadata.error_rate),
            digests=counts,
            length=targets[whole_target(category, "filter")].length,
            patches=tuple(
                Patch(found.base, targets[patch_target(category, "filter", found.base)].length)
                for found in patches_of(repository, category, "filter")
            ),
            lists=staged.reports,
            tiers=made,
            tiers_changed=tuple(name for name in made.made if name in replaced),
            tiers_gone=tuple(name for name in old if name not in made.made),
            tiers_length={name: targets[whole_target(category, name)].length for name in made.made},
        )


@dataclass(frozen=True, slots=True)
class _Current:
    """The published version of a category's filter, unpacked and checked."""

    metadata: FilterMetadata
    path: str
    loaded: BloomFile

    @classmethod
    def open(cls, repository: Repository, category: str, work: str) -> _Current | None:
        path = os.path.join(work, "current")
        found = unpacked(repository, category, "filter", path)
        if found is None:
            return None
        try:
            loaded = load(path)
        except FilterError as error:
            raise damaged(found.packed, error) from error
        return cls(loaded.metadata, path, loaded)


def _current_tiers(repository: Repository, category: str, work: str) -> dict[TierName, Version]:
    """Unpack the published tiers of a category's filter."""
    found = {
        name: unpacked(repository, category, name, os.path.join(work, f"current.{name}"))
        for name in TIER_NAMES
    }
    return {name: one for name, one in found.items() if one is not None}


def _tier_capacities(
    area: ListStaging, old: Mapping[TierName, Version], head_room: float
) -> dict[TierName, int]:
    """The number of keys that each tier can hold: the previous number if all keys fit."""
    found = {}
    for name in TIER_NAMES:
        count = area.tier_count(name) or 0
        before = old[name].metadata.capacity if name in old else 0
        fits = count + CANARIES <= before
        found[name] = before if fits else math.ceil(count * (1 + head_room)) + CANARIES
    return found


def _replace_tier(
    repository: Repository,
    category: str,
    name: TierName,
    old: Version | None,
    made: Version | None,
    patches: int,
) -> bool:
    """Publish a tier's new version, or remove the tier; return whether the repository changed."""
    if old is None and made is None:
        return False
    if old is not None and made is not None and _is_same(old.metadata, made.metadata):
        return False
    replace(repository, category, name, old, made, patches)
    return True


def _is_same(one: FilterMetadata | TierMetadata, other: FilterMetadata | TierMetadata) -> bool:
    """Whether two tiers have the same bits and belong to the same filter."""
    assert isinstance(one, TierMetadata)  # the path of the target ensures the type
    assert isinstance(other, TierMetadata)
    return (one.sha256, one.filter) == (other.sha256, other.filter)


def _check_change(current: _Current | None, area: ListStaging, digests: int, allowed: bool) -> None:
    """Raise if many digests change: the lists may be of another category, or cut off."""
    if current is None or allowed or max(digests, current.metadata.digests) < SMALL:
        return
    before = current.metadata.digests
    step = max(1, digests // SAMPLE)
    asked = islice(area.raw_digests(digests, None), 0, None, step)
    hits = [raw.hex() in current.loaded for raw in asked]
    stayed = round(digests * sum(hits) / len(hits))
    gone, came = max(0, before - stayed), digests - stayed
    if gone > SHRINK * before or came > GROW * before:
        raise UsageError(
            f"the lists hold {digests:,} digests, and the version before {before:,}; about "
            f"{gone:,} of those would go and {came:,} come: is this the whole list of category "
            f"{shown(current.metadata.category)}, and nothing else? If it is, publish it with "
            "--allow-large-change"
        )


def _build(
    area: ListStaging,
    work: str,
    category: str,
    current: _Current | None,
    digests: int,
    error_rate: float,
    head_room: float,
    jobs: int | None,
    on_progress: Callable[[BuildProgress], None] | None,
) -> tuple[FilterMetadata, dict[Algorithm, int], str]:
    before = current.metadata if current else None
    capacity = math.ceil(digests * (1 + head_room)) + CANARIES
    if (
        before is not None
        and before.error_rate == error_rate
        and digests + len(before.canaries_present) <= before.capacity
    ):
        capacity = before.capacity
    path = os.path.join(work, "filter")
    metadata, counts = write_filter(
        area,
        path,
        category=category,
        error_rate=error_rate,
        capacity=capacity,
        previous=before,
        jobs=jobs,
        on_progress=on_progress,
    )
    return metadata, counts, path
