"""Adds the next version of a category's filter: the whole file, and patches from earlier ones.

The base of every patch is known by its SHA-256 alone: the patch from an older version is that to
the version before, joined with the step from there. So old filters need not be kept.
"""

from __future__ import annotations

import contextlib
import math
import os
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING

from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import TargetFile

from hashscan.durable import new_file, replace_file, sync_directory
from hashscan.errors import FilterError, UsageError
from hashscan.known.filters import packing, patch
from hashscan.known.filters.bloom import load, metadata_path
from hashscan.known.filters.build import write_filter
from hashscan.known.filters.metadata import Metadata, dump, is_category
from hashscan.known.filters.writer import CANARIES, DEFAULT_ERROR_RATE
from hashscan.known.lists.staging import staging
from hashscan.known.repository.keys import load_keys
from hashscan.known.repository.layout import (
    FilterTarget,
    PatchTarget,
    custom_of,
    filter_target,
    patch_target,
    read_custom,
)
from hashscan.known.repository.publish import (
    Published,
    Signing,
    note_published,
    open_newest,
    published,
)
from hashscan.known.repository.store import Repository, explained, locked
from hashscan.text import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from datetime import timedelta

    from hashscan.known.filters.bloom import BloomFile
    from hashscan.known.lists.reader import ListReport
    from hashscan.known.lists.staging import BuildProgress, Staging
    from hashscan.model import Algorithm

#: Room for digests to come, as a share of those that are there.
HEAD_ROOM = 0.25
#: Earlier versions that an agent may have and still be served a patch.
PATCHES = 14
#: A list may lose or win this share of its digests; more needs somebody's word that it is meant.
SHRINK, GROW = 0.1, 1.0
#: Digests that are looked up in the version before, to see how many stayed.
SAMPLE = 200_000
#: Below that many digests every change is a large one, and none is refused for it.
SMALL = 1000


@dataclass(frozen=True, slots=True)
class Patch:
    """A published patch: the SHA-256 of its base, and its bytes as they are fetched."""

    base: str
    length: int


@dataclass(frozen=True, slots=True)
class Added:
    """What ``add`` published.

    Attributes:
        published: the repository's roles.
        metadata: of the category's filter as it is now.
        before: digests of the version before; ``None`` where it is the first.
        changed: false where the list is the same as before.
        anew: whether the filter got a new capacity, so that every agent fetches it whole.
        digests: distinct digests by algorithm.
        length: bytes of the whole file as it is fetched.
        patches: those that agents may fetch instead, from the newest base on.
        lists: what was taken from each list.
    """

    published: Published
    metadata: Metadata
    before: int | None
    changed: bool
    anew: bool
    digests: dict[Algorithm, int]
    length: int
    patches: tuple[Patch, ...]
    lists: list[ListReport]


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
    jobs: int | None = None,
    terms: Mapping[str, timedelta] | None = None,
    ask: Callable[[str], str] | None = None,
    on_progress: Callable[[BuildProgress], None] | None = None,
    now: datetime | None = None,
) -> Added:
    """Publish the next version of a category's filter.

    Args:
        directory: the repository.
        keys: directories with the keys of targets, snapshot and timestamp.
        category: name of the category.
        inputs: digest lists: the whole known set as it now is. What it lacks is withdrawn.
        error_rate: see ``build``; another one than before makes the filter anew.
        head_room: share of the digests to leave room for where the filter is made anew.
        patches: earlier versions to serve a patch from.
        allow_large_change: publish even if many digests come or go.
        skip_invalid: see ``build``.
        only_categories: see ``build``.
        jobs: see ``build``.
        terms: see ``publish.init``.
        ask: see ``keys.load_keys``.
        on_progress: see ``build``.
        now: when the new terms begin; default now.

    Raises:
        UsageError: keys are missing, an option cannot be used, or the change is large.
        DigestListError: a list cannot be used.
        RepositoryRefusedError: the repository is not what its keys signed.
        StateError: it cannot be written; agents see what they saw.
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
    with locked(directory), tempfile.TemporaryDirectory(prefix="hashscan-publish-") as work:
        repository = open_newest(directory, keys)
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
            if changed:
                _replace(repository, category, current, metadata, path, work, patches)
            else:
                assert current is not None
                metadata = current.metadata
        signing.renew(repository, "targets", "snapshot", "timestamp")
        repository.write()
        note_published(repository, keys)
        repository.tidy()
        targets = repository.targets.signed.targets
        return Added(
            published=published(repository, signing, {"targets", "snapshot", "timestamp"}),
            metadata=metadata,
            before=current.metadata.digests if current else None,
            changed=changed,
            anew=current is not None
            and (metadata.capacity, metadata.error_rate)
            != (current.metadata.capacity, current.metadata.error_rate),
            digests=counts,
            length=targets[filter_target(category)].length,
            patches=tuple(
                Patch(found.base, targets[patch_target(category, found.base)].length)
                for found in _patches(repository, category)
            ),
            lists=staged.reports,
        )


@dataclass(frozen=True, slots=True)
class _Current:
    """The version that is published now, unpacked and checked."""

    metadata: Metadata
    path: str
    loaded: BloomFile

    @classmethod
    def open(cls, repository: Repository, category: str, work: str) -> _Current | None:
        target = repository.targets.signed.targets.get(filter_target(category))
        if target is None:
            return None
        found = read_custom(target)
        packed = repository.target_path(target.path, target.hashes["sha256"])
        path = os.path.join(work, "current")
        try:
            with open(packed, "rb") as file:
                target.verify_length_and_hashes(file)
        except (OSError, RepositoryError) as error:
            raise _damaged(packed, error) from error
        try:
            with explained(work):
                packing.unpack(packed, path, found.metadata.length)
                with new_file(metadata_path(path)) as described:
                    described.write(dump(found.metadata))
            loaded = load(path)
        except FilterError as error:
            raise _damaged(packed, error) from error
        return cls(found.metadata, path, loaded)


def _damaged(path: str, error: Exception) -> FilterError:
    return FilterError(
        f"{shown(path)}: is not the file that was published ({error}); nothing was published now. "
        "Copy the repository's directory from where it is whole, and run the command again"
    )


def _check_change(current: _Current | None, area: Staging, digests: int, allowed: bool) -> None:
    """A list of another category, or half a list, must not reach every agent by one command."""
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
    area: Staging,
    work: str,
    category: str,
    current: _Current | None,
    digests: int,
    error_rate: float,
    head_room: float,
    jobs: int | None,
    on_progress: Callable[[BuildProgress], None] | None,
) -> tuple[Metadata, dict[Algorithm, int], str]:
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


def _patches(repository: Repository, category: str) -> list[PatchTarget]:
    """The patches of a category that are published, newest base first."""
    found = [
        read
        for path, target in repository.targets.signed.targets.items()
        if path.startswith(f"{category}/patch-from-")
        and isinstance(read := read_custom(target), PatchTarget)
    ]
    return sorted(found, key=lambda one: (one.base_created, one.base), reverse=True)


def _replace(
    repository: Repository,
    category: str,
    current: _Current | None,
    metadata: Metadata,
    path: str,
    work: str,
    patches: int,
) -> None:
    """Put the new version's files into the repository, and their targets in place of the old."""
    targets = repository.targets.signed.targets
    made = _make_patches(repository, category, current, metadata, path, patches)
    packed = os.path.join(work, "packed")
    packing.pack(path, packed)
    with open(packed, "rb") as file:
        whole = file.read()
    for name in [name for name in targets if name.startswith(f"{category}/")]:
        gone = targets.pop(name)
        with explained(repository.directory), contextlib.suppress(FileNotFoundError):
            # Agents may be half-way through a sync of it: it stays for ``store.KEEP`` from now on.
            os.utime(repository.target_path(name, gone.hashes["sha256"]))
    _put(repository, filter_target(category), whole, FilterTarget(metadata=metadata))
    for target, content in made:
        frame = packing.pack_bytes(content)
        if len(frame) < len(whole):
            _put(repository, patch_target(category, target.base), frame, target)


def _make_patches(
    repository: Repository,
    category: str,
    current: _Current | None,
    metadata: Metadata,
    path: str,
    number: int,
) -> list[tuple[PatchTarget, bytes]]:
    if current is None or number < 1:
        return []
    before = current.metadata
    if (before.capacity, before.error_rate) != (metadata.capacity, metadata.error_rate):
        return []
    step = patch.diff(current.path, path)
    if step is None:
        return []
    made = [(_target(before.sha256, before.created, step, metadata), step)]
    for old in _patches(repository, category):
        # The same set as some versions ago: there is nothing to patch it from.
        if len(made) == number or old.base == metadata.sha256:
            continue
        target = repository.targets.signed.targets[patch_target(category, old.base)]
        packed = repository.target_path(target.path, target.hashes["sha256"])
        try:
            with open(packed, "rb") as file:
                frame = file.read(target.length + 1)
            target.verify_length_and_hashes(frame)
            joined = patch.compose(packing.unpack_bytes(frame, old.length), step)
        except (OSError, FilterError, RepositoryError) as error:
            raise _damaged(packed, error) from error
        made.append((_target(old.base, old.base_created, joined, metadata), joined))
    return made


def _target(base: str, created: str, content: bytes, metadata: Metadata) -> PatchTarget:
    return PatchTarget(base=base, base_created=created, length=len(content), metadata=metadata)


def _put(
    repository: Repository, path: str, content: bytes, custom: FilterTarget | PatchTarget
) -> None:
    target = TargetFile.from_data(path, content, ["sha256"])
    target.unrecognized_fields["custom"] = custom_of(custom)
    where = repository.target_path(path, target.hashes["sha256"])
    with explained(repository.directory):
        directory = os.path.dirname(where)
        if not os.path.isdir(directory):
            os.mkdir(directory)
            os.chmod(directory, 0o755)  # noqa: S103 - for a web server
            sync_directory(os.path.dirname(directory))
        replace_file(where, content, 0o644)
    repository.targets.signed.targets[path] = target
