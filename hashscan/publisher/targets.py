"""Puts a category's filter and its tiers into the repository, as whole files and as patches.

The base of a patch (the file that the patch changes) is known by its SHA-256 alone. The patch from
an older version is composed of two patches: its published patch to the previous version, and the
patch from the previous version to the new version. So old filters need not be kept.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import TargetFile

from hashscan.durable import make_public_directory, new_file, replace_file, touch
from hashscan.errors import FilterError
from hashscan.known.filters import packing, patch
from hashscan.known.filters.bit_file import metadata_path
from hashscan.known.filters.metadata import TierMetadata, dump
from hashscan.known.sync.layout import (
    FilterTarget,
    PatchTarget,
    TierPatchTarget,
    TierTarget,
    custom_of,
    patch_prefix,
    patch_target,
    read_custom,
    whole_target,
)
from hashscan.publisher.repository import Repository, explained
from hashscan.text import shown

if TYPE_CHECKING:
    from hashscan.known.filters.metadata import FilterMetadata
    from hashscan.known.sync.layout import AnyPatch, PartName, Whole


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a part (filter or tier): its metadata, the paths of its file and its target."""

    metadata: FilterMetadata | TierMetadata
    path: str
    packed: str = ""


def unpacked(repository: Repository, category: str, part: PartName, path: str) -> Version | None:
    """Unpack the published version to ``path``, or ``None`` if no version is published.

    Raises:
        FilterError: the unpacked file differs from the file that the repository published.
    """
    target = repository.targets.signed.targets.get(whole_target(category, part))
    if target is None:
        return None
    found = read_custom(target)
    packed = repository.target_path(target.path, target.hashes["sha256"])
    try:
        with open(packed, "rb") as file:
            target.verify_length_and_hashes(file)
    except (OSError, RepositoryError) as error:
        raise damaged(packed, error) from error
    try:
        with explained(os.path.dirname(path)):
            packing.unpack(packed, path, found.metadata.length)
            with new_file(metadata_path(path)) as described:
                described.write(dump(found.metadata))
    except FilterError as error:
        raise damaged(packed, error) from error
    return Version(found.metadata, path, packed)


def damaged(path: str, error: Exception) -> FilterError:
    """The error for a published file whose content has changed since its publication."""
    return FilterError(
        f"{shown(path)}: is not the file that was published ({error}); nothing was published now. "
        "Copy the repository's directory from where it is whole, and run the command again"
    )


def patches_of(repository: Repository, category: str, part: PartName) -> list[AnyPatch]:
    """The published patches of a filter or tier; the patch with the newest base comes first."""
    prefix = patch_prefix(category, part)
    found = [
        read
        for path, target in repository.targets.signed.targets.items()
        if path.startswith(prefix)
        and isinstance(read := read_custom(target), PatchTarget | TierPatchTarget)
    ]
    return sorted(found, key=lambda one: (one.base_created, one.base), reverse=True)


def replace(
    repository: Repository,
    category: str,
    part: PartName,
    before: Version | None,
    now: Version | None,
    patches: int,
) -> None:
    """Put a new version's files into the repository, in place of the old version's targets.

    Args:
        repository: the repository to change.
        category: name of the category.
        part: name of the part of the category: the filter or a tier.
        before: the published version of the part.
        now: the new version of the part; ``None``: the part is removed.
        patches: number of earlier versions of the part from which a patch is published.

    Raises:
        FilterError: a patch was changed after its publication.
        StateError: a file of the repository cannot be written.
    """
    targets = repository.targets.signed.targets
    made = [] if now is None else _make_patches(repository, category, part, before, now, patches)
    whole = b""
    if now is not None:
        packed = f"{now.path}.packed"
        with explained(os.path.dirname(packed)):
            packing.pack(now.path, packed)
            with open(packed, "rb") as file:
                whole = file.read()
    of_part = (whole_target(category, part), patch_prefix(category, part))
    for name in [name for name in targets if name.startswith(of_part)]:
        gone = targets.pop(name)
        with explained(repository.directory), contextlib.suppress(FileNotFoundError):
            # A running sync of an agent may still need the file: the file is kept for another
            # ``repository.KEEP`` seconds.
            touch(repository.target_path(name, gone.hashes["sha256"]))
    if now is None:
        return
    metadata = now.metadata
    _put(
        repository,
        whole_target(category, part),
        whole,
        TierTarget(metadata=metadata)
        if isinstance(metadata, TierMetadata)
        else FilterTarget(metadata=metadata),
    )
    for target, content in made:
        frame = packing.pack_bytes(content)
        if len(frame) < len(whole):
            _put(repository, patch_target(category, part, target.base), frame, target)


def _make_patches(
    repository: Repository,
    category: str,
    part: PartName,
    before: Version | None,
    now: Version,
    number: int,
) -> list[tuple[AnyPatch, bytes]]:
    if before is None or number < 1:
        return []
    old, new = before.metadata, now.metadata
    if (old.capacity, old.error_rate) != (new.capacity, new.error_rate):
        return []
    step = patch.diff(before.path, now.path)
    if step is None:
        return []
    made = []
    if old.sha256 != new.sha256:  # a tier of another filter may be a file with the same bits
        made.append((_target(old.sha256, old.created, step, new), step))
    for earlier in patches_of(repository, category, part):
        # The known set equals the known set of an earlier version, so this file cannot be the base
        # of a patch.
        if len(made) == number or earlier.base in {new.sha256, old.sha256}:
            continue
        target = repository.targets.signed.targets[patch_target(category, part, earlier.base)]
        packed = repository.target_path(target.path, target.hashes["sha256"])
        try:
            with open(packed, "rb") as file:
                frame = file.read(target.length + 1)
            target.verify_length_and_hashes(frame)
            joined = patch.compose(packing.unpack_bytes(frame, earlier.length), step)
        except (OSError, FilterError, RepositoryError) as error:
            raise damaged(packed, error) from error
        made.append((_target(earlier.base, earlier.base_created, joined, new), joined))
    return made


def _target(
    base: str, created: str, content: bytes, metadata: FilterMetadata | TierMetadata
) -> AnyPatch:
    length = len(content)
    if isinstance(metadata, TierMetadata):
        return TierPatchTarget(base=base, base_created=created, length=length, metadata=metadata)
    return PatchTarget(base=base, base_created=created, length=length, metadata=metadata)


def _put(repository: Repository, path: str, content: bytes, custom: Whole | AnyPatch) -> None:
    target = TargetFile.from_data(path, content, ["sha256"])
    target.unrecognized_fields["custom"] = custom_of(custom)
    where = repository.target_path(path, target.hashes["sha256"])
    with explained(repository.directory):
        directory = os.path.dirname(where)
        if not os.path.isdir(directory):
            make_public_directory(directory)
        replace_file(where, content, 0o644)
    repository.targets.signed.targets[path] = target
