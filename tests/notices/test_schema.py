"""hashscan.notices.schema: the history is only added to; a file of another version is refused."""

import sqlite3

import pytest
from stored_notices import add

from hashscan.errors import StateError
from hashscan.notices.reader import open_existing
from hashscan.notices.store import NoticeStore


@pytest.fixture
def path(tmp_path):
    path = str(tmp_path / "notices")
    with NoticeStore(path) as store:
        add(store, "http://x.example/a", received=1000.0, deadline=5000.0)
    return path


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE event SET kind = 'closed'",
        "DELETE FROM event",
        "REPLACE INTO event SELECT * FROM event",
    ],
)
def test_an_event_is_neither_changed_nor_removed(path, statement):
    file = sqlite3.connect(path)
    file.execute("PRAGMA recursive_triggers = ON")  # REPLACE removes a row in silence otherwise
    before = file.execute("SELECT * FROM event").fetchall()
    assert before
    with pytest.raises(sqlite3.IntegrityError, match="the history is only added to"):
        file.execute(statement)
    assert file.execute("SELECT * FROM event").fetchall() == before
    file.close()


@pytest.mark.parametrize("opens", [NoticeStore, open_existing])
def test_a_file_of_a_newer_version_is_refused_and_kept(path, opens):
    file = sqlite3.connect(path)
    file.execute("PRAGMA user_version = 2")
    file.close()
    with open(path, "rb") as opened:
        before = opened.read()
    with pytest.raises(StateError, match="newer hashscan"):
        opens(path)
    with open(path, "rb") as opened:
        assert opened.read() == before
