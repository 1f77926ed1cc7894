"""The layout that publisher and agent share: the targets' names and signed metadata.

The repository follows the TUF specification (https://theupdateframework.github.io/specification/)
with consistent snapshots. The directory ``metadata/`` holds ``N.root.json``, ``N.targets.json``,
``N.snapshot.json`` and ``timestamp.json``; the directory ``targets/`` holds each file as
``CATEGORY/SHA256.NAME``. A category has these targets:

- ``CATEGORY/filter.zst``: the current filter file, as one zstd frame;
- ``CATEGORY/patch-from-SHA256.zst``: the patch that turns the earlier filter file with that SHA-256
into the current file (see ``filters.patch``), as one zstd frame;
- ``CATEGORY/TIER.zst`` and ``CATEGORY/TIER-patch-from-SHA256.zst``: the current file and a patch of
  a tier of the filter (``sizes``, ``heads``; see ``filters.tiers``), if every digest of the known
  set has a key for the tier. An agent without support for tiers does not request these targets.

The ``custom`` field of each target has one object under ``hashscan``: ``FilterTarget``,
``PatchTarget``, ``TierTarget`` or ``TierPatchTarget``. The object has the whole metadata of the
filter, or tier, so that an agent writes ``FILE.json`` from signed data. The filter's error rate is
a string in the object, because canonical JSON, which is signed, has no fractions.
"""
# No "from __future__ import annotations": pydantic needs the types at run time.

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, get_args

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from hashscan.errors import FilterError
from hashscan.known.filters.metadata import FILTER_LIMIT, FilterMetadata, TierMetadata
from hashscan.model import TierName

if TYPE_CHECKING:
    from tuf.api.metadata import TargetFile

METADATA_DIRECTORY = "metadata"
TARGETS_DIRECTORY = "targets"
#: Name of the file in ``METADATA_DIRECTORY`` that an agent pins.
FIRST_ROOT = "1.root.json"
TIMESTAMP = "timestamp.json"
CUSTOM = "hashscan"

_Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Target(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, defer_build=True)


class FilterTarget(_Target):
    """The signed object of a whole filter; ``metadata`` describes the unpacked filter."""

    kind: Literal["filter"] = "filter"
    metadata: FilterMetadata


class PatchTarget(_Target):
    """The signed object of a patch that turns a filter file into a newer filter file.

    Attributes:
        base: SHA-256 of the filter file that the patch changes.
        base_created: time when the changed filter file was made, as in that file's metadata.
        length: length in bytes of the unpacked patch.
        metadata: metadata of the resulting filter.
    """

    kind: Literal["patch"] = "patch"
    base: _Sha256
    base_created: Annotated[str, Field(max_length=32)]
    length: Annotated[int, Field(ge=1, le=FILTER_LIMIT)]
    metadata: FilterMetadata


class TierTarget(_Target):
    """The signed object of a whole tier, with the same fields as ``FilterTarget``."""

    kind: Literal["tier"] = "tier"
    metadata: TierMetadata


class TierPatchTarget(_Target):
    """The signed object of a patch of a tier, with the same fields as ``PatchTarget``."""

    kind: Literal["tier-patch"] = "tier-patch"
    base: _Sha256
    base_created: Annotated[str, Field(max_length=32)]
    length: Annotated[int, Field(ge=1, le=FILTER_LIMIT)]
    metadata: TierMetadata


Whole: TypeAlias = FilterTarget | TierTarget
AnyPatch: TypeAlias = PatchTarget | TierPatchTarget
AnyTarget = Annotated[Whole | AnyPatch, Field(discriminator="kind")]
_adapter: TypeAdapter[Whole | AnyPatch] = TypeAdapter(AnyTarget)
#: The parts of a category: its filter, and the filter's tiers.
PartName: TypeAlias = Literal["filter"] | TierName


_PARTS = "|".join(("filter", *get_args(TierName)))
_TARGET_FILE = re.compile(
    rf"[0-9a-f]{{64}}\.(?:(?:{_PARTS})|(?:(?:{_PARTS})-)?patch-from-[0-9a-f]{{64}})\.zst"
)
_NUMBERED = re.compile(r"([1-9][0-9]{0,8})\.(root|targets|snapshot)\.json")


def target_file(path: str, sha256: str) -> str:
    """The path of a target's file below ``TARGETS_DIRECTORY`` (consistent snapshots)."""
    directory, _, name = path.rpartition("/")
    return f"{directory}/{sha256}.{name}" if directory else f"{sha256}.{name}"


def whole_target(category: str, part: PartName) -> str:
    """The target path of a category's current filter, or of a tier of this filter."""
    return f"{category}/{part}.zst"


def patch_prefix(category: str, part: PartName) -> str:
    """The start of the target path of a filter's or tier's patch, before the base's SHA-256."""
    return f"{category}/{'' if part == 'filter' else f'{part}-'}patch-from-"


def patch_target(category: str, part: PartName, base: str) -> str:
    """The target path of the patch for the filter file, or tier, whose SHA-256 is ``base``."""
    return f"{patch_prefix(category, part)}{base}.zst"


def metadata_file(role: str, version: int) -> str:
    """The file name of a role's metadata (``TIMESTAMP`` for the role ``timestamp``)."""
    return f"{version}.{role}.json"


def version_of(name: str) -> tuple[str, int] | None:
    """The role and version in a metadata file's ``name``; ``None`` if it is no metadata file."""
    found = _NUMBERED.fullmatch(name)
    return (found[2], int(found[1])) if found else None


def is_target_file(name: str) -> bool:
    """Whether ``name``, in a category's directory, is the name of a published target."""
    return _TARGET_FILE.fullmatch(name) is not None


def custom_of(target: Whole | AnyPatch) -> dict[str, Any]:
    """The ``custom`` object of a TUF target."""
    content = target.model_dump(mode="json", exclude={"metadata": {"checksum"}})
    content["metadata"]["error_rate"] = repr(target.metadata.error_rate)
    return {CUSTOM: content}


def read_custom(found: "TargetFile") -> Whole | AnyPatch:
    """Return the ``custom`` object of a TUF target, after a check that it fits the target's path.

    Raises:
        FilterError: the target's object is missing or invalid; no field of the object is used.
    """
    custom = found.custom
    content: Any = custom.get(CUSTOM) if isinstance(custom, dict) else None
    try:
        content = {**content, "metadata": dict(content["metadata"])}
        content["metadata"]["error_rate"] = float(content["metadata"]["error_rate"])
        target = _adapter.validate_python(content)
    except (ValidationError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise FilterError(
            f"the repository's {found.path[:200]!r} has no sane metadata; tell the publisher"
        ) from error
    metadata = target.metadata
    part: PartName = "filter"
    if isinstance(metadata, TierMetadata):
        category, part = found.path.partition("/")[0], metadata.tier
    else:
        category = metadata.category
    if isinstance(target, PatchTarget | TierPatchTarget):
        expected = patch_target(category, part, target.base)
    else:
        expected = whole_target(category, part)
    if found.path != expected:
        raise FilterError(
            f"the repository's {found.path[:200]!r} says that it is another target; tell the "
            "publisher"
        )
    return target
