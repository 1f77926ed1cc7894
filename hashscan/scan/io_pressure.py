"""Measures how long other processes wait for the disks, from pressure stall information.

/proc/pressure/io also counts the scan's own reads: a scan that is alone on a slow disk would pause
for itself for ever. Therefore, on cgroup v2, the pressure of other groups is read: at each level
from the root to hashscan's own group, the groups beside it. If there are no other groups (a
container whose root is hashscan's own group, or no cgroup v2), the pressure of the whole machine or
container is read. Source: the kernel's Documentation/accounting/psi.rst.
"""

from __future__ import annotations

import os
import re
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

WHOLE_MACHINE = "/proc/pressure/io"
_SOME = re.compile(rb"some avg10=([0-9]{1,3}(?:\.[0-9]{1,4})?)(?:\s|$)")
#: Largest number of cgroups whose pressure is read, and seconds after which cgroups are listed
#: again.
_MOST = 400
_LIST_AFTER = 30.0


def parse(text: bytes) -> float | None:
    """Return the share of the last ten seconds in which processes waited for I/O, from 0 to 1.

    The result is ``None`` if the kernel's text contains no share.
    """
    found = _SOME.match(text)
    return None if found is None else min(1.0, float(found.group(1)) / 100)


def mount_of_cgroup2(mountinfo: str = "/proc/self/mountinfo") -> str | None:
    """Return the mount point of cgroup v2.

    The result is ``None`` if cgroup v2 is not mounted.
    """
    try:
        with open(mountinfo, encoding="utf-8", errors="surrogateescape") as file:
            for line in file:
                before, _, after = line.partition(" - ")
                if after.startswith("cgroup2 "):
                    return before.split(" ")[4]
    except (OSError, IndexError):
        return None
    return None


def own_group(cgroup: str = "/proc/self/cgroup") -> str:
    """Return this process's cgroup v2 path, from the root that it sees.

    The result is ``/`` if the process's cgroup is unknown.
    """
    try:
        with open(cgroup, encoding="utf-8", errors="surrogateescape") as file:
            for line in file:
                if line.startswith("0::"):
                    return line[3:].rstrip("\n")
    except OSError:
        pass
    return "/"


class Pressure:
    """Reads the I/O pressure of other processes' cgroups."""

    def __init__(
        self,
        mount: str | None = None,
        group: str | None = None,
        *,
        whole: str = WHOLE_MACHINE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare to read the I/O pressure of other cgroups.

        By default the ``mount`` of cgroup v2 and the process's own ``group`` are read from /proc.
        """
        self._mount = mount_of_cgroup2() if mount is None else mount
        self._group = own_group() if group is None else group
        self._whole = whole
        self._clock = clock
        self._files: list[str] = []
        self._listed: float | None = None

    def others(self) -> float:
        """Return the largest share of the last ten seconds that another cgroup waited for I/O."""
        now = self._clock()
        if self._listed is None or now - self._listed >= _LIST_AFTER:
            self._files, self._listed = self._find(), now
        return max((share for share in map(_read, self._files) if share is not None), default=0.0)

    def describe(self) -> str:
        """Return a description of the kernel's files that show the pressure, for messages."""
        files = self._find()
        if files == [self._whole]:
            return f"{self._whole}, which counts hashscan's own waiting too"
        if len(files) == 1:
            return files[0]
        return f"{len(files)} other cgroups below {self._mount}"

    def _find(self) -> list[str]:
        if self._mount is None:
            return [self._whole]
        found: list[str] = []
        here = self._mount
        for name in [part for part in self._group.split("/") if part]:
            found += self._beside(here, name)
            here = os.path.join(here, name)
        if found:
            return found[:_MOST]
        root = os.path.join(self._mount, "io.pressure")
        return [root] if _read(root) is not None else [self._whole]

    @staticmethod
    def _beside(directory: str, own: str) -> list[str]:
        try:
            with os.scandir(directory) as entries:
                names = [one.name for one in entries if one.is_dir(follow_symlinks=False)]
        except OSError:
            return []
        files = [os.path.join(directory, name, "io.pressure") for name in names if name != own]
        return [file for file in files if _read(file) is not None]


def _read(path: str) -> float | None:
    try:
        with open(path, "rb") as file:
            return parse(file.read(200))
    except OSError:
        return None
