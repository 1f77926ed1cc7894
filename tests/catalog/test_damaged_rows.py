"""hashscan.catalog: rows of directories and indexes that are damaged, and verdicts that are forgotten."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from hashscan.catalog.rows import FoundCandidate
from hashscan.catalog.store import Catalog
from hashscan.errors import StateError
from hashscan.model import Answer, Digest, FileDigests, FilterHit, Identity, Stamp

SHA1 = Digest("sha1", "ab" * 20)
NAME = b"a name that is nowhere else"
FOUND = FoundCandidate(
    b"a", Identity(3, 5), Stamp(10, 20, 30), FileDigests(sha1=bytes.fromhex(SHA1.hex)), 1, 1000,
    (FilterHit(SHA1, "baseline", "v1"),),
)  # fmt: skip


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "c.sqlite3")


@pytest.fixture
def catalog(path):
    one = Catalog(path)
    one.service = ("s", True)
    yield one
    one.close()


def queue(catalog, scan=7, name=b"d", inode=5):
    (root,) = catalog.queue_directories(scan, 0, b"", [(b"/srv", 0)]) or [None]
    parent = root.number if root else 1
    return catalog.queue_directories(scan, parent, b"", [(name, inode)])


def test_a_directory_whose_row_is_damaged_is_listed_again(catalog):
    (first,) = queue(catalog)
    assert queue(catalog) == [], "this scan has listed it"
    catalog._connection.execute("UPDATE dir SET born = 5, inode = 99 WHERE id = ?", (first.number,))
    (again,) = queue(catalog)
    assert (again.number, again.path, again.fresh) == (first.number, b"d", False)
    assert catalog.damaged == 1
    assert queue(catalog) == [], "its row is mended"
    assert catalog.damaged == 1


def changed(path, number):
    """Change one of the places at which the file has ``NAME``; False: there is no such place."""
    with open(path, "r+b") as file:
        content = file.read()
        at = -1
        for _ in range(number + 1):
            at = content.find(NAME, at + 1)
            if at < 0:
                return False
        file.seek(at)
        file.write(NAME.upper())
    return True


@pytest.mark.parametrize("number", [0, 1])
def test_a_row_that_its_index_names_otherwise_is_no_directory_of_another_place(path, number):
    catalog = Catalog(path)
    (first,) = queue(catalog, name=NAME)
    catalog.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert changed(path, number)
    catalog = Catalog(path)
    told = ""
    try:
        (found,) = queue(catalog, scan=8, name=NAME)
    except StateError as error:
        told = str(error)
    else:
        assert (found.number != first.number, found.fresh) == (True, True)
    assert not told or "a directory has the place of another directory" in told
    catalog.abandon()


def test_an_index_that_lacks_a_row_is_made_anew(path):
    catalog = Catalog(path)
    number = catalog.filterset(os.fsdecode(NAME))
    catalog.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    # The index comes before or after its table in the file: one of both changes is that of a row.
    before = Path(path).read_bytes()
    counts = set()
    for place in (0, 1):
        Path(path).write_bytes(before)
        assert changed(path, place)
        catalog = Catalog(path)
        counts.add(catalog.damaged)
        if catalog.damaged == 1:
            assert catalog.filterset(os.fsdecode(NAME)) == number
        else:
            assert catalog.filterset(os.fsdecode(NAME)) != number
        catalog.close()
    assert counts == {1, 2}, "a damaged row counts, too"


@pytest.mark.parametrize(
    ("state", "is_kept"),
    [("match", False), ("unmoved", False), ("acting", True), ("done", True), ("held", True)],
)
def test_a_forgotten_verdict_is_asked_for_again_unless_somebody_acts_on_it(catalog, state, is_kept):
    (directory,) = queue(catalog)
    assert catalog.put_candidate(7, b"/srv", directory, FOUND)
    catalog.put_verdict("s", SHA1, Answer(known=True), 1)
    execute = catalog._connection.execute
    execute("UPDATE candidate SET state = ?, known = 'x', error = 'e', asked = 3", (state,))
    other = Digest("sha1", "cd" * 20)
    catalog.forget_verdicts([other])
    assert catalog.verdict("s", SHA1, 1) is not None
    catalog.forget_verdicts([other, SHA1])
    assert catalog.verdict("s", SHA1, 1) is None
    (row,) = execute("SELECT state, known, error, asked FROM candidate").fetchall()
    assert row == ((state, "x", "e", 3) if is_kept else ("waiting", None, None, 0))
