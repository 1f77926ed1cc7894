"""hashscan.catalog.rows: the columns of a file's row, in every form that a row has."""

import os
import sqlite3

import pytest
from catalog_rows import row

from hashscan.catalog import checksums
from hashscan.catalog.rows import (
    SELECT,
    TABLE,
    UPSERT,
    FileRow,
    checked,
    checked_by_name,
    directory_of,
    found_row,
    name_of,
    signed,
    stored_row,
    unsigned,
    values_of,
)
from hashscan.model import FileDigests

LARGE = (1 << 64) - 5


@pytest.mark.parametrize(
    ("inode", "kept"),
    [(0, 0), (1, 1), ((1 << 63) - 1, (1 << 63) - 1), (1 << 63, -(1 << 63)), (LARGE, -5)],
)
def test_an_inode_number_comes_back_as_it_was(inode, kept):
    assert (signed(inode), unsigned(kept)) == (kept, inode)


@pytest.fixture
def table():
    connection = sqlite3.connect(":memory:")
    checksums.add_function(connection)
    connection.execute("CREATE TABLE scan (id INTEGER PRIMARY KEY, started REAL)")
    connection.execute(TABLE)
    yield connection
    connection.close()


def test_the_table_has_a_column_for_each_field(table):
    found = {one[1]: (one[2], bool(one[3])) for one in table.execute("PRAGMA table_info(file)")}
    assert set(found) == {"dir", *FileRow._fields, "checksum"}
    optional = {"md5", "sha1", "sha256", "head"}
    assert {name for name, (_, required) in found.items() if not required} == optional
    assert {name for name, (kind, _) in found.items() if kind == "BLOB"} == {"name", *optional}


#: Each value is different from the others of its row.
ALL = row(
    b"\xff\n", device=-3, inode=-5, size=10, mtime_ns=-20, ctime_ns=30, md5=b"m", sha1=b"s",
    sha256=b"t", linked=True, hit=False, racy=True, judged=7, scan=8, head=b"h",
)  # fmt: skip


def test_a_row_comes_back_with_each_value_under_its_name(table):
    table.execute(UPSERT, (*stored_row(tuple(ALL), 4), 0))
    (stored,) = table.execute(SELECT)
    assert checked(stored) == ALL
    assert (directory_of(stored), name_of(stored)) == (4, b"\xff\n")
    assert checked_by_name([stored]) == {b"\xff\n": ALL}
    (by_name,) = table.execute("SELECT racy, head, ctime_ns, sha256 FROM file").fetchall()
    assert by_name == (1, b"h", 30, b"t")


def test_a_damaged_row_is_none_and_hides_no_other(table):
    for name in (b"a", b"b"):
        table.execute(UPSERT, (*stored_row(tuple(row(name)), 4), 0))
    table.execute("UPDATE file SET racy = 1 WHERE name = ?", (b"b",))
    stored = table.execute(SELECT).fetchall()
    assert checked_by_name(stored) == {b"a": row(b"a"), b"b": None}


def test_values_are_taken_by_their_names():
    assert values_of("size")(ALL) == 10
    assert values_of("head", "device")(tuple(ALL)) == (b"h", -3)
    assert values_of("dir", "name", "added")((*stored_row(ALL, 4), 2)) == (4, b"\xff\n", 2)
    with pytest.raises(KeyError):
        values_of("color")


def test_the_row_of_a_file_that_was_found(tmp_path):
    (tmp_path / "a").write_bytes(b"content")
    os.link(tmp_path / "a", tmp_path / "b")
    status = (tmp_path / "a").stat()
    digests = FileDigests(b"m", b"s", b"t")
    more = {"hit": True, "racy": True, "judged": 7, "scan": 8, "head": b"h"}
    assert FileRow._make(found_row(b"a", -3, status, digests, **more)) == FileRow(
        name=b"a", device=-3, inode=signed(status.st_ino), size=7, mtime_ns=status.st_mtime_ns,
        ctime_ns=status.st_ctime_ns, md5=b"m", sha1=b"s", sha256=b"t", linked=True, **more,
    )  # fmt: skip
    # An inode and a time as only some file systems have them.
    (tmp_path / "b").unlink()
    values = list((tmp_path / "a").stat().__reduce__()[1][0])
    values[1] = LARGE
    odd = os.stat_result(values, {"st_mtime_ns": 1 << 70, "st_ctime_ns": -(1 << 70)})
    found = FileRow._make(found_row(b"a", 3, odd, FileDigests(), judged=1, scan=1))
    assert (found.inode, found.mtime_ns, found.ctime_ns) == (-5, (1 << 63) - 1, 1 - (1 << 63))
    assert (found.linked, found.hit, found.racy, found.head) == (False, False, False, None)
