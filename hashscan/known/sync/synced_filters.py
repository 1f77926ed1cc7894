"""The synced filters on disk: complete versions of filters; scans use one for each category.

Below ``STATE/filters`` each repository has a directory ``repository-KEY``; KEY is a digest of its
URL and its pinned root, so a filter that was verified with another pinned root is never used. The
directory holds:

- ``CATEGORY/VERSION/filter.bloom`` and ``filter.bloom.json``; VERSION is the start of the filter's
  SHA-256;
- ``current.json``: the version in use of each category, the version before it, and the time when
  the repository last named the version as the newest. Sync replaces ``current.json`` atomically, so
  a kill never damages the file.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hashscan.durable import replace_file
from hashscan.errors import FilterError, FilterExpiredError
from hashscan.known.filters.filter_file import BloomFile, load
from hashscan.text import human_age, rfc3339, shown

if TYPE_CHECKING:
    from hashscan.known.sync.repository_settings import RepositorySource

FILTER = "filter.bloom"
_POINTER = "current.json"
#: Size in bytes of the largest pointer file.
_LONGEST = 1 << 20
#: Size in bytes of the largest root file, as in python-tuf.
_ROOT_LIMIT = 512_000
_DAY = 86400.0


class KeptVersion(BaseModel):
    """The version of a category that is in use.

    Attributes:
        sha256, version: SHA-256 and version of the category's filter file.
        directory: name of the version's directory.
        previous: name of the directory of the version used before; empty if there is no such
            version.
        verified: time when the repository last named this version as the newest, in seconds since
            the epoch.
    """

    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, allow_inf_nan=False, defer_build=True
    )

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    version: Annotated[str, Field(max_length=64)]
    directory: Annotated[str, Field(pattern=r"^[0-9a-f]{20}$")]
    previous: Annotated[str, Field(pattern=r"^([0-9a-f]{20})?$")] = ""
    verified: float


class Pointer(BaseModel):
    """The content of ``current.json``: the versions of filters that scans use.

    Attributes:
        categories: the version in use of each category.
        seen: the highest verified version of each role's metadata. An older version is a rollback,
            even if TUF's own record of the versions was lost.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, defer_build=True)

    format: Annotated[int, Field(ge=1, le=1)] = 1
    categories: dict[str, KeptVersion] = {}
    seen: dict[str, int] = {}


@dataclass(frozen=True, slots=True)
class KeptFilter:
    """A synced filter that scans use now, already loaded.

    Attributes:
        category: the category's name in the configuration.
        loaded: the filter, which passed all its checks.
        verified: time of the last verification in seconds since the epoch, see ``KeptVersion``.
    """

    category: str
    loaded: BloomFile
    verified: float


class KeptPlace:
    """One repository's directory below ``STATE/filters``.

    Attributes:
        directory: path of the repository's directory, which may be missing.
    """

    def __init__(self, source: RepositorySource, cache_directory: str) -> None:
        """Compute the path of the directory for the repository ``source``.

        Raises:
            FilterError: the pinned root cannot be read.
        """
        self.root = read_root(source.root)
        key = hashlib.sha256(source.url.rstrip("/").encode() + b"\0" + self.root).hexdigest()[:12]
        self.directory = os.path.join(cache_directory, f"repository-{key}")

    def read(self) -> Pointer:
        """Read ``current.json``; the pointer has no categories if the file is missing or damaged.

        A damaged pointer file counts as missing: the next sync fetches all filters again.
        """
        try:
            with open(os.path.join(self.directory, _POINTER), "rb") as file:
                return Pointer.model_validate_json(file.read(_LONGEST))
        except (OSError, ValidationError):
            return Pointer()

    def write(self, pointer: Pointer) -> None:
        """Replace ``current.json`` by ``pointer``, atomically and durably.

        Raises:
            OSError: the pointer cannot be written; the previous pointer remains valid.
        """
        content = pointer.model_dump_json(indent=2).encode() + b"\n"
        replace_file(os.path.join(self.directory, _POINTER), content)

    def category(self, category: str) -> str:
        """The path of the directory that holds a category's versions."""
        return os.path.join(self.directory, "filters", category)

    def filter(self, category: str, directory: str) -> str:
        """The path of the filter file of a category's version."""
        return os.path.join(self.category(category), directory, FILTER)


def read_root(path: str) -> bytes:
    """Read the bytes of the pinned root.

    Raises:
        FilterError: the pinned root cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        with open(descriptor, "rb") as file:
            return file.read(_ROOT_LIMIT)
    except OSError as error:
        raise FilterError(
            f"{shown(path)}: the pinned root cannot be read: {error.strerror}; see filter.root"
        ) from error


def open_kept(
    source: RepositorySource, cache_directory: str, *, max_age: float | None
) -> list[KeptFilter]:
    """Open the filters in use of all categories of ``source``.

    Args:
        source: the repository from which the filters were fetched.
        cache_directory: ``STATE/filters``.
        max_age: seconds for which a filter may be used after the repository last named it as the
            newest.

    Raises:
        FilterError: a category's filter is missing, damaged, or was not verified for longer than
            ``max_age``.
    """
    place = KeptPlace(source, cache_directory)
    pointer = place.read()
    found = []
    for category in source.categories:
        entry = pointer.categories.get(category)
        if entry is None:
            raise FilterError(
                f"the filter of category {shown(category)} was never fetched from "
                f"{shown(source.url)}; run 'hashscan sync'"
            )
        _check_age(category, source, entry, max_age)
        found.append(KeptFilter(category, load_entry(place, category, entry), entry.verified))
    return found


def load_entry(place: KeptPlace, category: str, entry: KeptVersion) -> BloomFile:
    """Load the version of a filter that ``entry`` of the pointer names.

    Raises:
        FilterError: the version's files are damaged, or belong to another version.
    """
    path = place.filter(category, entry.directory)
    try:
        one = load(path)
    except FilterError as error:
        raise FilterError(f"{error}: 'hashscan sync' fetches it again") from error
    if one.metadata.sha256 != entry.sha256 or one.category != category:
        raise FilterError(
            f"{shown(path)}: is another filter than was synced; it is not used: 'hashscan sync' "
            "fetches it again"
        )
    one.tiers_unused = tuple(f"{why}: 'hashscan sync' fetches it again" for why in one.tiers_unused)
    return one


def _check_age(
    category: str, source: RepositorySource, entry: KeptVersion, max_age: float | None
) -> None:
    age = time.time() - entry.verified
    if age < -_DAY:
        raise FilterError(
            f"the filter of category {shown(category)} was verified at {rfc3339(entry.verified)}, "
            "which is in the future; check this machine's clock (timedatectl), then run "
            "'hashscan sync'"
        )
    if max_age is not None and age > max_age:
        raise FilterExpiredError(
            f"the filter of category {shown(category)} was last verified {human_age(age)} ago, and "
            f"{human_age(max_age)} are allowed (filter.max_age); run 'hashscan sync', and see why "
            f"{shown(source.url)} could not be synced since"
        )


def names_in(directory: str) -> list[str]:
    """The names of the files in a directory; empty if the directory is missing."""
    with contextlib.suppress(FileNotFoundError):
        return os.listdir(directory)
    return []
