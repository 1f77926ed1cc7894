"""Which volumes were mount points: one that is not mounted now must not count as empty.

Each path is written twice: if a bit of one flips, the other is still right.
"""

from __future__ import annotations

from hashscan.catalog.schema import translated
from hashscan.catalog.writer import CatalogWriter


class MountedVolumes(CatalogWriter):
    """Volumes on which a file system was mounted when they were scanned last."""

    def was_mounted(self, volume: bytes) -> bool:
        """Whether the root of this volume was a mount point."""
        with translated(self.path):
            row = self._connection.execute(
                "SELECT 1 FROM mounted WHERE ? IN (volume, again)", (volume,)
            ).fetchone()
        return row is not None

    def set_mounted(self, volume: bytes) -> None:
        """Note that the root of this volume is a mount point."""
        self._write()
        with translated(self.path):
            self._connection.execute("INSERT OR REPLACE INTO mounted VALUES (?1, ?1)", (volume,))

    def forget_mounted(self, volume: bytes) -> None:
        """Take the word of whoever says that this volume is to be scanned as it is."""
        self._write()
        with translated(self.path):
            self._connection.execute("DELETE FROM mounted WHERE ? IN (volume, again)", (volume,))
