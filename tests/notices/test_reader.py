"""Questions to the file of notices, which change nothing."""

import os

import pytest
from stored_notices import add

from hashscan.errors import UsageError
from hashscan.notices.notice import (
    Channel,
    ItemState,
)
from hashscan.notices.reader import open_existing
from hashscan.notices.store import NoticeStore

HOUR = 3600.0


def test_open_and_overdue_notices_are_counted(store):
    for deadline in (100.0, 500.0, 1000.0):
        add(store, "http://x.example/1", "http://x.example/2", deadline=deadline)
    closed = add(store, "http://y.example/", deadline=1.0)
    store.close_notice(closed, "x")
    assert store.counts(now=200.0, soon=300.0) == (3, 6, 1, 1, 100.0)
    assert store.counts(now=2000.0, soon=300.0) == (3, 6, 0, 3, 100.0)
    assert [one.deadline for one in store.notices(only_open=True)] == [100.0, 500.0, 1000.0]


def test_an_id_may_be_abbreviated(store, monkeypatch):
    with pytest.raises(UsageError, match="there is no notice x; 'hashscan notice list --all'"):
        store.resolve("x")
    ids = iter(["20261127-aaaa0001", "20261127-bbbb0001"])
    monkeypatch.setattr(NoticeStore, "_new_id", lambda _store, _received: next(ids))
    one, two = add(store, "http://x.example/1"), add(store, "http://x.example/2")
    for part, found in ((one, one), ("20261127-a", one), ("bbbb0001", two), ("bbb", two)):
        assert store.resolve(part) == found
    for part in ("2026", "0001", ""):
        with pytest.raises(UsageError, match="fits several notices"):
            store.resolve(part)
    for part in ("0", "-", "aab", "%", "20261127-aaaa00011"):
        with pytest.raises(UsageError, match="there is no notice"):
            store.resolve(part)


def test_a_reader_makes_and_changes_nothing(tmp_path):
    path = str(tmp_path / "notices.sqlite3")
    assert open_existing(path) is None
    assert os.listdir(tmp_path) == []
    with NoticeStore(path) as store:
        one = add(store, "http://x.example/1")
    with open_existing(path) as reader:
        assert [notice.id for notice in reader.notices()] == [one]
        assert reader.counts(1000.0, HOUR).open == 1


def test_outcomes_of_a_period_are_those_of_its_notices(store):
    add(store, "http://x.example/0", received=999.0)
    first = add(store, "http://x.example/1", "http://x.example/2", received=1000.0, sent=900.0,
                sender="Hotline", reference="R", deadline=5000.0)  # fmt: skip
    numbers = [one.number for one in store.items(first)]
    store.advance(numbers[0], ItemState.LOCATED, now=1100.0)
    store.advance(numbers[0], ItemState.REMOVED, now=1200.0)
    store.advance(numbers[1], ItemState.NOT_HERE, reason="no-site: x.example", now=1200.0)
    store.advance(numbers[0], ItemState.RECEIVED, reason="it is back", now=1300.0)
    store.advance(numbers[0], ItemState.REMOVED, now=1400.0)
    second = add(store, "http://x.example/1", received=1500.0)
    add(store, "http://x.example/3", received=2000.0)
    found = list(store.outcomes(1000.0, 2000.0))
    assert [one.notice for one in found] == [first, first, second]
    assert found[0] == (
        first, Channel.COMMAND, "Hotline", "R", 900.0, 1000.0, 1500.0 + 24 * HOUR, True,
        "http://x.example/1", ItemState.RECEIVED, f"named again by {second}", 1400.0, False, 2, False,
    )  # fmt: skip
    assert found[0].begin == 900.0
    assert (found[1].state, found[1].reason) == (ItemState.NOT_HERE, "no-site: x.example")
    assert (found[2].is_repeat, found[2].reopened, found[2].removed) == (True, 0, None)
    assert found[2].begin == 1500.0
    assert store.open_before(1000.0, 999.0) == (1, 0)
    assert store.open_before(1500.0, 1000.0 + 24 * HOUR) == (2, 1)
    assert store.open_before(1500.0, 1500.0 + 24 * HOUR) == (2, 1)
    assert store.open_before(1500.0, 1501.0 + 24 * HOUR) == (2, 2)
    assert store.open_before(999.0, 1e12) == (0, 0)


def test_a_snapshot_does_not_show_what_others_change_meanwhile(store):
    one = add(store, "http://x.example/1")
    with NoticeStore(store.path) as other, other.snapshot():
        assert len(list(other.outcomes(0, 2000))) == 1
        add(store, "http://x.example/2")
        store.close_notice(one, "why")
        (same,) = other.outcomes(0, 2000)
        assert same.state is ItemState.RECEIVED
    with NoticeStore(store.path) as other:
        assert len(list(other.outcomes(0, 2000))) == 2


def test_the_latest_removal_of_the_same_item_is_found(store):
    first = add(store, "https://x.example/1")
    (item,) = store.items(first)
    assert store.removed_before(item.number) is None
    store.advance(item.number, ItemState.REMOVED, now=7.0)
    second = add(store, "http://X.example/1")
    (again,) = store.items(second)
    found = store.removed_before(again.number)
    assert (found.number, found.removed) == (item.number, 7.0)
    (other,) = store.items(add(store, "https://x.example/2"))
    assert store.removed_before(other.number) is None
