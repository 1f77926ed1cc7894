"""Makes the new file of a filter or tier: from a patch, or from the repository's whole file.

A patch is applied to a copy of the file that scans use now.

Each fetched patch or file may not be longer than its signed length, and must have its signed
digest.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from typing import TYPE_CHECKING, Literal, NamedTuple

from tuf.api.exceptions import LengthOrHashMismatchError

from hashscan.durable import new_file
from hashscan.errors import FilterError, RepositoryUnreachableError
from hashscan.known.filters import packing, patch
from hashscan.known.filters.bit_file import metadata_path
from hashscan.known.filters.metadata import dump
from hashscan.known.sync.layout import (
    PatchTarget,
    TierPatchTarget,
    patch_target,
    read_custom,
)
from hashscan.known.sync.trust import refused, translated
from hashscan.known.sync.web_answers import FetchError
from hashscan.text import shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from tuf.api.metadata import TargetFile
    from tuf.ngclient import Updater

    from hashscan.known.filters.metadata import FilterMetadata, TierMetadata
    from hashscan.known.sync.fetcher import Fetcher
    from hashscan.known.sync.layout import PartName, Whole


class WantedPart(NamedTuple):
    """The repository's newest version of a part (filter or tier)."""

    target: TargetFile
    custom: Whole


class Kept(NamedTuple):
    """A part (filter or tier) that scans use now: path and metadata of its file."""

    path: str
    metadata: FilterMetadata | TierMetadata


class Maker:
    """Makes the files of one repository's filters and tiers."""

    def __init__(
        self, updater: Updater, fetcher: Fetcher, url: str, notice: Callable[[str], None]
    ) -> None:
        """Keep the repository ``source``; ``notice`` is called with each fault of a file."""
        self._updater = updater
        self._fetcher = fetcher
        self._url = url
        self._notice = notice

    def make(
        self,
        category: str,
        part: PartName,
        wanted: WantedPart,
        base: Kept | None,
        path: str,
    ) -> Literal["patch", "whole"] | None:
        """Make the file and metadata of a filter or tier, by patch or from a whole file.

        Returns:
            ``patch`` or ``whole``: the way in which the file was made; ``None``: the file in use is
            already the wanted file.

        Raises:
            FilterError, RepositoryUnreachableError: the file of the filter, or of one of its tiers,
                cannot be fetched; or the fetched file is not the file that the metadata sign.
        """
        metadata = wanted.custom.metadata
        way: Literal["patch", "whole"] | None = None
        if base is not None and base.metadata.sha256 == metadata.sha256:
            try:
                os.link(base.path, path)
            except OSError:  # this file system may have no hard links
                with open(base.path, "rb") as source, new_file(path) as copy:
                    shutil.copyfileobj(source, copy)
        elif base is not None and self._by_patch(category, part, wanted, base, path):
            way = "patch"
        else:
            way = "whole"
            self._whole(wanted, path)
        with new_file(metadata_path(path)) as file:
            file.write(dump(metadata))
        return way

    def _by_patch(
        self,
        category: str,
        part: PartName,
        wanted: WantedPart,
        base: Kept,
        path: str,
    ) -> bool:
        """Make the file of a filter or tier by patch; return whether a usable patch exists."""
        with translated(self._url, f"category {category}"):
            target = self._updater.get_targetinfo(
                patch_target(category, part, base.metadata.sha256)
            )
        if target is None or target.length >= wanted.target.length:
            return False
        packed = f"{path}.packed"
        try:
            found = read_custom(target)
            assert isinstance(found, PatchTarget | TierPatchTarget)
            if dump(found.metadata) != dump(wanted.custom.metadata):
                raise FilterError(f"{shown(target.path)} leads to another file")
            self._fetch(target, packed)
            with open(packed, "rb") as file:
                content = packing.unpack_bytes(file.read(), found.length)
            patch.apply(base.path, content, found.metadata, path)
        except (FilterError, RepositoryUnreachableError, MemoryError) as error:
            self._notice(
                f"the patch of category {shown(category)} is not used, but the whole file: {error}"
            )
            return False
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(packed)
        return True

    def _whole(self, wanted: WantedPart, path: str) -> None:
        """Fetch the whole file of a filter or tier.

        Raises:
            FilterError, RepositoryUnreachableError: the file cannot be fetched, or is not the
                signed file.
        """
        target = wanted.target
        packed = f"{path}.packed"
        try:
            self._fetch(target, packed)
            packing.unpack(packed, path, wanted.custom.metadata.length)
        except FilterError as error:
            raise refused(self._url, f"its {shown(target.path)} {error}") from error
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(packed)

    def _fetch(self, target: TargetFile, path: str) -> None:
        with translated(self._url, target.path):
            try:
                self._updater.download_target(target, path)
            except (LengthOrHashMismatchError, FetchError):
                if not self._fetcher.resumed:
                    raise
                # Bytes that an earlier run of sync fetched may be wrong: fetch the file again from
                # its start.
                self._fetcher.forget()
                self._updater.download_target(target, path)
