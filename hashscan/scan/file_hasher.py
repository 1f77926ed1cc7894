"""Hashes a worker's files at the scan's pace: in a fast loop, singly, or once for all links."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hashscan.fs.reading import identity_in, stamp_of
from hashscan.scan.fast_path import EACH, FastPath
from hashscan.scan.hashing import Hashed, Hasher, Linked, NotHashed, has_all

if TYPE_CHECKING:
    import os

    from hashscan.catalog.reader import CatalogReader
    from hashscan.fs.reading import CacheNeutralReader
    from hashscan.scan.copies import CopyTable
    from hashscan.scan.hard_links import LinkTable
    from hashscan.scan.messages import WorkerSettings
    from hashscan.scan.outbox import FindingsOutbox
    from hashscan.scan.screening import Screen
    from hashscan.scan.throttle import Pace


class FileHasher:
    """Hashes files at one pace: the pace of a scan, or of changed files.

    Attributes:
        fast: hashes many ordinary files in one loop.
        listed: pauses if the disks are busy; called once for some entries of a listed directory.
    """

    def __init__(
        self,
        settings: WorkerSettings,
        catalog: CatalogReader,
        links: LinkTable,
        copies: CopyTable | None,
        *,
        screen: Screen,
        reader: CacheNeutralReader,
        pace: Pace,
        outbox: FindingsOutbox,
    ) -> None:
        """Prepare to hash files that ``reader`` reads into its buffer.

        ``outbox`` sends signs of life between reads.
        """
        self._options = settings.options
        self._catalog = catalog
        self._links = links
        self._pace = pace
        self._show_life = outbox.show_life
        self._hasher = Hasher(
            settings.options.algorithms,
            max_file_size=settings.options.max_file_size,
            on_bytes=self._on_bytes,
            reader=reader,
            screen=screen,
        )
        self.fast = FastPath(
            self._hasher,
            judged=settings.judged,
            scan=settings.scan,
            copies=copies,
            on_bytes=self._on_ordinary if pace.bounds else outbox.show_life,
            each=1 if pace.bounds else EACH,
        )
        self.listed = self._listed if pace.bounds else outbox.show_life

    def _on_bytes(self, count: int) -> None:
        if self._pace.bounds:
            self._pace(count)
        self._show_life(count)

    def _on_ordinary(self, count: int) -> None:
        self._pace.file()
        self._on_bytes(count)

    def _listed(self) -> None:
        self._pace.listed()
        self._show_life()

    def hash(self, directory: int, name: bytes) -> Hashed | NotHashed:
        """Hash a file, whatever number of names its inode has."""
        if self._pace.bounds:
            self._pace.file()
        return self._hasher.hash(directory, name)

    def hash_single(self, directory: int, name: bytes) -> Hashed | NotHashed | Linked:
        """Hash a file, unless its inode has other names."""
        if self._pace.bounds:
            self._pace.file()
        return self._hasher.hash_single(directory, name)

    def hash_link(
        self, directory: int, name: bytes, status: os.stat_result, device: int
    ) -> Hashed | NotHashed:
        """Hash a file whose inode has other names, unless the inode was hashed by another name."""
        stamp = stamp_of(status)
        try:
            with self._links.claim(identity_in(status), self._show_life) as place:
                found = place.get(stamp)
                if found is None and not self._options.full:
                    row = self._catalog.linked(device, status.st_ino, stamp)
                    found = (row.digests, False) if row else None
                if found is not None and has_all(found[0], self._options.algorithms):
                    return Hashed(status, found[0], 0, racy=found[1])
                result = self.hash(directory, name)
                if isinstance(result, Hashed) and result.head is None:
                    place.put(stamp_of(result.status), result.digests, racy=result.racy)
                return result
        except TimeoutError:
            return self.hash(directory, name)
