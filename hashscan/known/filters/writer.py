"""Writes a filter or a tier with its metadata: either both files whole, or no file.

The same digests, geometry and canaries always result in the same bytes. The number of processes
that fill the filter does not matter.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from operator import add
from typing import TYPE_CHECKING, Any, TypeVar

from bitarray.util import zeros
from pybloom_live.pybloom import make_hashfuncs

from hashscan.durable import new_file, remove, rename, sync_directory, temporary_name
from hashscan.errors import StateError
from hashscan.known.filters.bit_file import file_length, geometry, header_of, metadata_path
from hashscan.known.filters.fill import fill, set_bits
from hashscan.known.filters.metadata import (
    FILTER_LIMIT,
    FORMAT,
    FileMetadata,
    FilterMetadata,
    TierMetadata,
    dump,
    in_order,
)
from hashscan.known.filters.tiers import tier_path
from hashscan.model import HEX_LENGTH, Algorithm, TierName
from hashscan.text import human_size, rfc3339, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

F = TypeVar("F", bound=FileMetadata)

DEFAULT_ERROR_RATE = 1e-6
CANARIES = 16
#: Length in bytes of a tier's key, see model.size_key.
_TIER_KEY = 16


class FilterWriter:
    """Fills a new filter or tier in memory, and writes its file and its metadata."""

    def __init__(self, *, capacity: int, error_rate: float = DEFAULT_ERROR_RATE) -> None:
        """Make an empty filter in memory, with room for ``capacity`` keys, canaries included.

        Raises:
            StateError: the filter would be larger than ``load`` accepts.
        """
        length = file_length(capacity, error_rate)
        if length > FILTER_LIMIT:
            raise StateError(
                f"a filter for {capacity} digests would have {human_size(length)}, more than the "
                f"{human_size(FILTER_LIMIT)} that are accepted; make one for each part of the list"
            )
        self._capacity = capacity
        self._error_rate = error_rate
        slices, bits_per_slice = geometry(capacity, error_rate)
        self._bits = zeros(slices * bits_per_slice, endian="little")
        self._digests = 0

    def add(self, hex_digests: Iterable[str]) -> int:
        """Add distinct lower-case digests; return the number of digests."""
        count = set_bits(self._bits, self._capacity, self._error_rate, hex_digests)
        self._digests += count
        return count

    def add_raw(self, digests: Iterable[bytes], *, jobs: int) -> int:
        """Add distinct raw digests with ``jobs`` processes; return the number of digests.

        Raises:
            StateError: a worker process died; the filter must not be used.
        """
        count = fill(self._bits, self._capacity, self._error_rate, digests, jobs=jobs)
        self._digests += count
        return count

    def write(
        self,
        path: str,
        *,
        category: str,
        algorithms: Iterable[Algorithm],
        previous: FilterMetadata | None = None,
    ) -> FilterMetadata:
        """Write the filter file ``path`` and its metadata; see ``_write``.

        ``previous`` is the metadata of the filter's previous version.

        Raises:
            StateError: a file cannot be written; no file was changed unless the message says so.
        """
        names = in_order(algorithms)
        lengths = [HEX_LENGTH[name] // 2 for name in names]

        def described(fields: dict[str, Any]) -> FilterMetadata:
            return FilterMetadata(category=category, algorithms=names, **fields)

        return self._write(path, lengths, previous, described)

    def write_tier(
        self,
        path: str,
        *,
        tier: TierName,
        sha256: str,
        previous: TierMetadata | None = None,
    ) -> TierMetadata:
        """Write the tier named ``tier`` of the filter file ``path``, whose SHA-256 is ``sha256``.

        ``previous`` is the metadata of the previous version of this tier.

        Raises:
            StateError: the tier's file or metadata cannot be written.
        """

        def described(fields: dict[str, Any]) -> TierMetadata:
            return TierMetadata(tier=tier, filter=sha256, **fields)

        return self._write(tier_path(path, tier), [_TIER_KEY], previous, described)

    def _write(
        self,
        path: str,
        lengths: list[int],
        previous: FileMetadata | None,
        described: Callable[[dict[str, Any]], F],
    ) -> F:
        """Add the canaries; write filter and metadata (mode 0600), each whole or not at all.

        The filter is renamed to its final name first, then the metadata. A kill between the two
        renames leaves a filter and metadata that do not fit each other. ``load`` raises for that
        pair until the filter is built again; processes that loaded the old filter keep using the
        old filter.

        ``previous`` is the metadata of the file's previous version. If the geometry is the same,
        the canaries of the previous version are used again, so that the two versions differ by
        little more than their digests.

        Raises:
            StateError: a file cannot be written; no file was changed unless the message says so.
        """
        present, absent = self._canaries(lengths, previous)
        created = rfc3339()
        header = header_of(
            FilterMetadata.model_construct(
                digests=self._digests,
                capacity=self._capacity,
                error_rate=self._error_rate,
                canaries_present=present,
            )
        )
        body, beside = temporary_name(path), temporary_name(metadata_path(path))
        try:
            with new_file(body) as file:
                file.write(header)
                self._bits.tofile(file)
            with open(body, "rb") as written:
                sha256 = hashlib.file_digest(written, "sha256").hexdigest()
                length = written.tell()
            metadata = described(
                {
                    "format": FORMAT,
                    "version": f"{created}+{sha256[:12]}",
                    "digests": self._digests,
                    "capacity": self._capacity,
                    "error_rate": self._error_rate,
                    "created": created,
                    "length": length,
                    "sha256": sha256,
                    "canaries_present": present,
                    "canaries_absent": absent,
                }
            )
            with new_file(beside) as file:
                file.write(dump(metadata))
            rename(body, path)
            rename(beside, metadata_path(path))
            sync_directory(os.path.dirname(path) or ".")
        except OSError as error:
            raise StateError(
                f"{shown(path)}: the filter cannot be written: {error.strerror}; make room or "
                "mend the permissions there, then run the command again"
            ) from error
        finally:
            for name in (body, beside):
                with contextlib.suppress(OSError):
                    remove(name)
        return metadata

    def _canaries(
        self, lengths: list[int], previous: FileMetadata | None
    ) -> tuple[list[str], list[str]]:
        """Add canaries that must hit, and find canaries that must not hit; return both lists."""
        old_present: list[str] = []
        old_absent: list[str] = []
        if previous is not None and (previous.capacity, previous.error_rate) == (
            self._capacity,
            self._error_rate,
        ):
            old_present, old_absent = previous.canaries_present, previous.canaries_absent
        present = old_present or [_random_key(lengths, index) for index in range(CANARIES)]
        set_bits(self._bits, self._capacity, self._error_rate, present)
        hits = self._asker()
        absent = [digest for digest in old_absent if not hits(digest)]
        while len(absent) < CANARIES:  # in a filter with a high error rate, some random keys hit
            digest = _random_key(lengths, len(absent))
            if not hits(digest):
                absent.append(digest)
        return list(present), absent

    def _asker(self) -> Callable[[str], bool]:
        """Return a function that says whether a digest hits in the filter's current state."""
        slices, bits_per_slice = geometry(self._capacity, self._error_rate)
        hashes, _ = make_hashfuncs(slices, bits_per_slice)
        bits = self._bits
        offsets = range(0, slices * bits_per_slice, bits_per_slice)

        def hits(digest: str) -> bool:
            return all(bits[place] for place in map(add, offsets, hashes(digest)))

        return hits


def _random_key(lengths: list[int], index: int) -> str:
    return secrets.token_hex(lengths[index % len(lengths)])
