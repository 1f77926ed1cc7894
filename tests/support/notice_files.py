"""Files that notices name, below ``/v``: kept in memory, for tests that locate them."""

from types import SimpleNamespace

from hashscan.jobs.notices.hash_files import (
    NamedFilePresence,
    NamedSpot,
    Peeked,
)

IN = NamedSpot(b"/v", b"www/a")


def item(kind, value, digests=()):
    parsed = SimpleNamespace(kind=kind, value=value, digests=digests)
    return SimpleNamespace(number=5, notice="N1", parsed=parsed, removed=None)


class Files:
    """Files below ``/v``; ``there``: regular files, ``directories``: with their content."""

    def __init__(self):
        self.there, self.directories, self.silent, self.volumes = set(), {}, "", (b"/v", b"/w")

    def spot(self, full, root=None):
        volume = b"/v" if full.startswith(b"/v/") else root
        if volume is None or not full.startswith(volume + b"/"):
            return None
        return NamedSpot(volume, full[len(volume) + 1 :])

    def unreachable(self, _volume):
        return self.silent

    def peek(self, spot, _anchor="", *, directory=False):
        if self.silent:
            return Peeked(NamedFilePresence.UNKNOWN, why=self.silent)
        is_there = spot in self.there or (directory and spot in self.directories)
        return Peeked(NamedFilePresence.THERE if is_there else NamedFilePresence.AWAY)

    def files_in(self, spot):
        return self.directories[spot]
