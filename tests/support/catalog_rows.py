"""Rows and candidates of a catalog, as tests write them."""

from hashscan.catalog.rows import FileRow, FoundCandidate
from hashscan.model import Digest, FileDigests, FilterHit, Identity, Stamp


def row(name, **changes):
    base = FileRow(
        name,
        0,
        5,
        10,
        20,
        30,
        None,
        b"s" * 20,
        None,
        linked=False,
        hit=False,
        racy=False,
        judged=1,
        scan=1,
    )
    return base._replace(**changes)


def report(catalog, scan, root, name, inode=5):
    catalog.put_files(root.number, [row(name, hit=True)])
    assert catalog.put_candidate(scan, b"/srv", root, found(name, inode))
    for queued in catalog.candidates_to_ask(scan, "s", 10, met=False):
        catalog.mark_known(queued.number, "baseline", 0)
        catalog.drop_candidate(queued.number, file_too=False, reported=True)


HIT = FilterHit(Digest("sha1", "ab" * 20), "baseline", "v1")


def found(name, inode=5):
    return FoundCandidate(
        name, Identity(1, inode), Stamp(10, 20, 30), FileDigests(sha1=b"s" * 20), 1, 1000, (HIT,)
    )
