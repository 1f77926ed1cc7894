"""Matches for tests of the brakes, and clocks that a test moves."""

import hashlib
import os

from hashscan.authority import Authority
from hashscan.errors import StateError
from hashscan.model import (
    Acted,
    Candidate,
    Confirmed,
    FileDigests,
    FilterHit,
    Identity,
    Stamp,
)
from hashscan.timeline import Instant


class Clock:
    """Clocks of a machine that a test moves."""

    def __init__(self):
        self.boottime, self.wall, self.boot = 1000.0, 1.7e9, "a"

    def __call__(self):
        return Instant(self.boottime, self.wall, self.boot)

    def passes(self, seconds):
        self.boottime += seconds
        self.wall += seconds


def digests_of(content, algorithms=("md5", "sha1", "sha256")):
    return FileDigests(
        *(
            hashlib.new(name, content, usedforsecurity=False).digest()
            if name in algorithms
            else None
            for name in ("md5", "sha1", "sha256")
        )
    )


def match(
    name,
    uid=1000,
    content=b"known",
    *,
    volume=b"/srv",
    inode=None,
    algorithms=("md5", "sha1", "sha256"),
    named=False,
    version="1",
):
    digests = digests_of(content, algorithms)
    candidate = Candidate(
        volume=volume,
        path=os.fsencode(name),
        identity=Identity(1, hash(name) & 0xFFFF_FFFF_FFFF_FFFF if inode is None else inode),
        stamp=Stamp(len(content), 1, 1),
        digests=digests,
        links=1,
        uid=uid,
        hits=(),
    )
    hit = FilterHit(digests.each()[0], "baseline", version)
    authority = Authority("notice", "N1") if named else None
    return Confirmed(
        candidate, hit, "baseline", "test", "2026-01-01T00:00:00Z", authority, named=named
    )


def moves(holds, limits, one, files=None):
    """Let a match move as an actor does; whether it moved."""
    if holds.admit(one, limits, lambda: files) is not None:
        return False
    holds.moved(one.candidate)
    return True


def moved_of(holds, limits, matches, files=None):
    return sum(moves(holds, limits, one, files) for one in matches)


class Moving:
    """A quarantine that moves everything, or fails, or holds what was restored."""

    def __init__(self):
        self.moved, self.restored, self.problem = [], set(), None

    def held(self, candidate):
        return Acted("held", "r1") if candidate.path in self.restored else None

    def act(self, one):
        if self.problem:
            return Acted("reported", problem=self.problem)
        self.moved.append(one.candidate.path)
        return Acted("quarantined", f"r{len(self.moved)}")

    def digests_of(self, _record_id):
        return None


class Events:
    """An audit log in memory that can fail, or lose its process after a line."""

    def __init__(self):
        self.lines, self.fault = [], None

    def newest(self):
        return len(self.lines)

    def has_line(self, hold, after):
        return hold.id in self.lines[after:]

    def write_line(self, hold, digests):
        self.digests = list(digests)
        if self.fault == "before":
            raise StateError("no space")
        self.lines.append(hold.id)
        if self.fault == "after":
            raise KeyboardInterrupt
