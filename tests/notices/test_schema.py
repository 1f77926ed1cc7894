"""hashscan.notices.schema: a notices' file of an older version."""

import sqlite3

import pytest
from stored_notices import add

from hashscan.errors import StateError
from hashscan.notices.notice import (
    EventKind,
    ItemState,
)
from hashscan.notices.reader import open_existing
from hashscan.notices.store import NoticeStore


def _layout(path):
    with sqlite3.connect(path) as file:
        return {
            name: sorted(row[1:4] for row in file.execute(f"PRAGMA table_info({name})"))
            for (name,) in file.execute(
                "SELECT name FROM sqlite_master WHERE type IN ('table', 'index')"
            )
        }


def test_a_file_of_the_first_version_is_brought_up_to_date(tmp_path):
    old, new = str(tmp_path / "old"), str(tmp_path / "new")
    NoticeStore(new).close()
    with NoticeStore(old) as store:
        late, due = (
            add(store, f"http://x.example/{n}", received=1000.0, deadline=5000.0) for n in "ab"
        )
        store.advance(store.items(late)[0].number, ItemState.REMOVED, now=6000.0)
        given = store.time_given(due)
    file = sqlite3.connect(old)
    for statement in (
        "DROP INDEX item_due",
        "ALTER TABLE item DROP COLUMN late",
        "ALTER TABLE item DROP COLUMN deadline",
        "ALTER TABLE notice DROP COLUMN unproven",
        "DROP TRIGGER event_is_not_changed",
        "UPDATE event SET detail = '{}' WHERE kind = 'received'",
        "CREATE TRIGGER event_is_not_changed BEFORE UPDATE ON event BEGIN SELECT 1; END",
        "PRAGMA user_version = 1",
    ):
        file.execute(statement)
    file.commit()
    file.close()
    with pytest.raises(StateError, match="older hashscan"):
        open_existing(old)
    with NoticeStore(old) as store:
        found = {one.value[-1]: (one.deadline, one.late) for one in store.outcomes(0, 1e12)}
        assert found == {"a": (5000.0, True), "b": (5000.0, False)}
        assert store.time_given(due) == given
        assert [one.kind for one in store.history(due)] == [EventKind.RECEIVED]
        add(store, "http://x.example/a", received=9000.0, deadline=9999.0)
        assert store.items(late)[0].state is ItemState.RECEIVED
    assert _layout(old) == _layout(new)
