"""A match as an event, for tests of how often it is reported."""

from hashscan.model import (
    Acted,
    Candidate,
    Confirmed,
    Digest,
    FileDigests,
    FilterHit,
    Identity,
    MatchEvent,
    Stamp,
)

STAMP = Stamp(1, 2, 3)
HELD = Acted("held", message="it was restored")


def event(name=b"a", acted=HELD, stamp=STAMP):
    hit = FilterHit(Digest("sha1", "a" * 40), "baseline", "1")
    digests = FileDigests(sha1=b"a" * 20)
    candidate = Candidate(b"/v", name, Identity(1, 2), stamp, digests, 1, 0, (hit,))
    return MatchEvent(Confirmed(candidate, hit, "baseline", "s", "2026-01-01T00:00:00Z"), acted)
