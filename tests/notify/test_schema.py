"""hashscan.notify.schema: rows that a fault must not make, and files that are not used."""

import contextlib
import sqlite3

import pytest

from hashscan.errors import StateError
from hashscan.notify.schema import FORMAT


@pytest.fixture
def path(tmp_path):
    path = str(tmp_path / "outbox")
    FORMAT.connect(path).close()
    return path


def test_what_was_sent_is_on_the_disk(path):
    with contextlib.closing(FORMAT.connect(path)) as file:
        assert file.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL


def test_there_is_one_place_in_the_audit_log(path):
    with contextlib.closing(sqlite3.connect(path)) as file:
        file.execute("INSERT INTO position VALUES (1, 7)")
        for one in (1, 2):
            with pytest.raises(sqlite3.IntegrityError):
                file.execute("INSERT INTO position VALUES (?, 8)", (one,))


@pytest.mark.parametrize("table", ["sample", "message"])
def test_a_number_is_never_used_again(path, table):
    values = {
        "sample": "(receiver, recipient, event) VALUES ('a', '', '')",
        "message": "(receiver, recipient, made, content, events, next)"
        " VALUES ('a', '', 0, '', 1, 0)",
    }
    with contextlib.closing(sqlite3.connect(path)) as file:
        numbers = []
        for _ in range(2):
            numbers.append(file.execute(f"INSERT INTO {table} {values[table]}").lastrowid)
            file.execute(f"DELETE FROM {table}")
    assert numbers == [1, 2]


def test_a_file_of_a_newer_version_is_refused_and_kept(path):
    with contextlib.closing(sqlite3.connect(path)) as file:
        file.execute(f"PRAGMA user_version = {FORMAT.version + 1}")
    with open(path, "rb") as opened:
        before = opened.read()
    with pytest.raises(StateError, match=r"the outbox of notifications.*newer hashscan"):
        FORMAT.connect(path)
    with open(path, "rb") as opened:
        assert opened.read() == before


def test_a_damaged_file_says_where_its_events_are(path):
    with open(path, "wb") as file:
        file.write(b"no database" * 1000)
    with pytest.raises(StateError, match=r"move it away; .*'hashscan history' has their events"):
        FORMAT.connect(path)
