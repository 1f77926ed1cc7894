"""The making, migrating and refusing of SQLite files, of several processes at the same time too."""

import contextlib
import os
import shutil
import sqlite3
import stat
import subprocess
import sys

import pytest

from hashscan.catalog.reader import CatalogReader
from hashscan.database import Format
from hashscan.errors import StateError

FIRST = Format("the shelf", 0x11223344, 1, "CREATE TABLE book (title TEXT)", {}, "buy another")
SECOND = Format(
    "the shelf", 0x11223344, 3,
    "CREATE TABLE book (title TEXT, pages INTEGER, read INTEGER);"
    "CREATE TRIGGER burnt BEFORE DELETE ON book BEGIN SELECT raise(ABORT, 'kept'); END",
    {
        1: "ALTER TABLE book ADD COLUMN pages INTEGER",
        2: "ALTER TABLE book ADD COLUMN read INTEGER;"
        " CREATE TRIGGER burnt BEFORE DELETE ON book BEGIN SELECT raise(ABORT, 'kept'); END",
    },
    "buy another",
)  # fmt: skip


def test_an_old_file_becomes_what_a_new_one_is(tmp_path):
    old, new = str(tmp_path / "old"), str(tmp_path / "new")
    connection = FIRST.connect(old)
    connection.execute("INSERT INTO book VALUES ('one')")
    connection.close()
    for path in (old, new):
        connection = SECOND.connect(path)
        assert [row[1] for row in connection.execute("PRAGMA table_info(book)")] == [
            "title", "pages", "read"
        ]  # fmt: skip
        assert connection.execute("PRAGMA user_version").fetchone() == (3,)
        connection.execute("INSERT INTO book VALUES ('two', 1, 0)")
        with pytest.raises(sqlite3.IntegrityError, match="kept"):
            connection.execute("DELETE FROM book")
        connection.close()
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o600
    connection = SECOND.connect(old)
    assert connection.execute("SELECT title FROM book").fetchall() == [("one",), ("two",)]
    connection.close()


def test_newer_foreign_and_damaged_files_are_refused(tmp_path):
    newer, foreign, damaged = (str(tmp_path / name) for name in ("newer", "foreign", "damaged"))
    SECOND.connect(newer).close()
    other = sqlite3.connect(foreign)
    other.execute("CREATE TABLE x (y)")
    other.close()
    (tmp_path / "damaged").write_bytes(b"no database" * 1000)
    for path, words in (
        (newer, "was made by a newer hashscan .its version 3, this program's 1."),
        (foreign, "another program's database"),
        (damaged, "the shelf .* cannot be used: file is not a database; buy another"),
    ):
        before = (tmp_path / path).read_bytes()
        with pytest.raises(StateError, match=words):
            FIRST.connect(path)
        assert (tmp_path / path).read_bytes() == before


def test_only_a_file_is_opened(tmp_path):
    """SQLite would wait for the FIFO, and reading would follow the link, but writing would not."""
    FIRST.connect(str(tmp_path / "real")).close()
    (tmp_path / "directory").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "dangling").symlink_to(tmp_path / "nothing")
    os.mkfifo(tmp_path / "fifo")
    for name, kind in (
        ("directory", "a directory"), ("link", "a link"), ("dangling", "a link"),
        ("fifo", "a special file"),
    ):  # fmt: skip
        path = str(tmp_path / name)
        for opening in (FIRST.connect, FIRST.connect_to_read):
            with pytest.raises(StateError) as raised:
                opening(path)
            assert str(raised.value) == (
                f"the shelf {path} is {kind}, not a file; move the file itself there, or give"
                " another --state"
            )
    assert not (tmp_path / "nothing").exists()


def test_a_file_is_read_without_a_change(tmp_path):
    path = tmp_path / "shelf#1?"
    assert FIRST.connect_to_read(str(path)) is None
    assert not path.exists()
    path.touch()  # a writer that was killed before its first transaction
    assert FIRST.connect_to_read(str(path)) is None
    path.unlink()
    writer = FIRST.connect(str(path))
    writer.execute("INSERT INTO book VALUES ('one')")
    reader = FIRST.connect_to_read(str(path))
    assert reader.execute("SELECT title FROM book").fetchall() == [("one",)]
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader.execute("DELETE FROM book")
    writer.execute("INSERT INTO book VALUES ('two')")
    assert reader.execute("SELECT count(*) FROM book").fetchone() == (2,)
    reader.close()
    writer.close()
    with pytest.raises(StateError, match=r"an older hashscan \(its version 1, this program's 3\)"):
        SECOND.connect_to_read(str(path))


@pytest.mark.parametrize("reads", [FIRST.connect_to_read, CatalogReader])
def test_a_writer_that_was_killed_while_it_made_the_file_keeps_nobody_from_reading(tmp_path, reads):
    made, killed = tmp_path / "made", tmp_path / "killed"
    for place in (made, killed):
        place.mkdir()
    with contextlib.closing(FIRST.connect(str(made / "shelf"))) as writer:
        writer.execute("PRAGMA journal_mode = DELETE")
        writer.execute("INSERT INTO book VALUES ('one')")
        writer.execute("PRAGMA cache_size = 2")
        writer.execute("BEGIN")
        writer.executemany("INSERT INTO book VALUES (?)", [("x" * 1000,)] * 100)
        for name in ("shelf", "shelf-journal"):  # as a kill leaves them now
            shutil.copy(made / name, killed / name)
    path = str(killed / "shelf")
    reads(path).close()
    assert os.listdir(killed) == ["shelf"]
    reader = FIRST.connect_to_read(path)
    assert reader.execute("SELECT title FROM book").fetchall() == [("one",)]
    reader.close()


def test_a_file_that_another_process_makes_during_the_check_is_not_foreign(tmp_path):
    path = str(tmp_path / "shelf")
    made = []

    def make_it(statement):
        if "sqlite_master" in statement and not made:
            made.append(path)
            SECOND.connect(path).close()

    SECOND.connect(path, lambda one: one.set_trace_callback(make_it)).close()
    assert made


def test_many_processes_make_and_migrate_it_at_the_same_time(tmp_path):
    path = str(tmp_path / "shelf")
    FIRST.connect(path).close()
    code = (
        "import sys; sys.path.insert(0, sys.argv[2]); from test_database import SECOND;"
        " sys.stdin.read(); SECOND.connect(sys.argv[1]).close()"
    )
    for file in (path, str(tmp_path / "made")):
        started = [
            subprocess.Popen(
                [sys.executable, "-c", code, file, __file__.rpartition("/")[0]],
                stdin=subprocess.PIPE, stderr=subprocess.PIPE,
            )
            for _ in range(4)
        ]  # fmt: skip
        ended = [one.communicate(timeout=60) for one in started]
        assert [one.returncode for one in started] == [0] * 4, ended
        connection = SECOND.connect(file)
        connection.execute("INSERT INTO book VALUES ('one', 1, 0)")
        connection.close()
