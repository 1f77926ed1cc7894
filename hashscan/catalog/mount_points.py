"""Saves which volumes were mount points: an unmounted volume must not count as empty.

The path of each volume is saved twice: if a bit of one copy flips, the other copy is still right.
"""

from __future__ import annotations

from hashscan.catalog.schema import translated
from hashscan.catalog.writer import CatalogWriter


class MountedVolumes(CatalogWriter):
    """Saves which volumes had a file system mounted at their root when they were scanned last."""

    def was_mounted(self, volume: bytes) -> bool:
        """Whether the root of a volume was a mount point when the volume was scanned last."""
        with translated(self.path):
            row = self._connection.execute(
                "SELECT 1 FROM mounted WHERE ? IN (volume, again)", (volume,)
            ).fetchone()
        return row is not None

    def set_mounted(self, volume: bytes) -> None:
        """Save that the root of a volume is a mount point."""
        self._write()
        with translated(self.path):
            self._connection.execute("INSERT OR REPLACE INTO mounted VALUES (?1, ?1)", (volume,))

    def forget_mounted(self, volume: bytes) -> None:
        """Forget that a volume was a mount point, on the administrator's request."""
        self._write()
        with translated(self.path):
            self._connection.execute("DELETE FROM mounted WHERE ? IN (volume, again)", (volume,))
