"""Rows and candidates of a catalog, as tests write them."""

from hashscan.catalog.rows import FileRow, FoundCandidate, signed
from hashscan.model import Digest, FileDigests, FilterHit, Identity, Stamp


def row(name, **changes):
    """A row of a file that was hashed, but for ``changes``."""
    values = {"device": 0, "inode": 5, "size": 10, "mtime_ns": 20, "ctime_ns": 30}
    values |= {"md5": None, "sha1": b"s" * 20, "sha256": None}
    values |= {"linked": False, "hit": False, "racy": False, "judged": 1, "scan": 1}
    return FileRow(name, **{**values, **changes})


def row_of(name, status, **changes):
    """The row of a file with this status and one name, but for ``changes``."""
    values = {"inode": signed(status.st_ino), "size": status.st_size}
    values |= {"mtime_ns": status.st_mtime_ns, "ctime_ns": status.st_ctime_ns}
    return row(name, **{**values, **changes})


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
