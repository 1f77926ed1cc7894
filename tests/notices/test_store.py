"""The notices' file: every step is on record, no notice is lost, and none is counted twice."""

import os
import sqlite3
import subprocess
import sys
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stored_notices import add, notice

from hashscan.errors import StateError, UsageError
from hashscan.model import Digest
from hashscan.notices.notice import (
    SETTLED,
    Channel,
    EventKind,
    ItemFile,
    ItemKind,
    ItemState,
    Mail,
    ParsedItem,
    ParsedNotice,
    Role,
    may_become,
)
from hashscan.notices.store import NoticeStore

HOUR = 3600.0


def test_what_is_stored_is_read_back(store):
    digest = Digest("sha1", "ab" * 20)
    item = ParsedItem(
        ItemKind.URL, "https://x.example/1", (digest,), "https://x.example/", "192.0.2.1",
        1.0, 2.0, "A1", "remark \udcff".encode("utf-8", "replace").decode(),
    )  # fmt: skip
    parsed = ParsedNotice(
        "scart-csv", (item,), "Hotline", "a@b.example", "R-1", 500.0, "Authority", "law", 5000.0,
        "secret", 3, ("line 4 holds no item",),
    )  # fmt: skip
    added = store.add(
        parsed, channel=Channel.MAILDIR, key=b"k", content=b"text" * 1000, received=1000.0
    )
    assert added.new
    found = store.notice(added.id)
    for name in ("format", "sender", "contact", "reference", "sent", "authority", "legal_basis",
                 "deadline", "password", "dropped", "remarks"):  # fmt: skip
        assert getattr(found, name) == getattr(parsed, name), name
    assert (found.channel, found.received, found.closed, found.repeat_of) == (
        Channel.MAILDIR, 1000.0, None, None
    )  # fmt: skip
    assert found.states == {ItemState.RECEIVED: 1}
    assert store.input(added.id) == b"text" * 1000
    (stored,) = store.items(added.id)
    assert stored.parsed == item
    file = ItemFile(
        stored.number, Role.NAMED, b"/srv", b"a\xff\n", (digest,), "baseline", "quarantined", "q1",
        7.0, "moved",
    )  # fmt: skip
    assert store.put_file(file, now=8.0)
    assert not store.put_file(file, now=9.0)
    assert store.files(stored.number) == [file]
    assert [one.kind for one in store.history(added.id)] == [EventKind.RECEIVED, EventKind.FILE]


def test_a_path_that_is_not_utf_8(store):
    item = ParsedItem(ItemKind.PATH, os.fsdecode(b"/srv/www/\xff\xe9.jpg"))
    first, second = (
        store.add(ParsedNotice("list", (item,)), channel=Channel.COMMAND, key=key).id
        for key in (b"1", b"2")
    )
    assert [one.parsed for one in store.items(first)] == [item]
    assert store.notice(second).repeat_of == first


@pytest.mark.parametrize(
    ("sent", "ordered", "asked", "deadline"),
    [
        (None, None, None, 1000 + 24 * HOUR),
        (400.0, None, None, 400 + 24 * HOUR),
        (9000.0, None, None, 1000 + 24 * HOUR),  # the sender's clock is ahead
        (400.0, 4000.0, None, 4000.0),
        (400.0, 4000.0, 2000.0, 2000.0),
    ],
)
def test_the_deadline_of_a_notice(store, sent, ordered, asked, deadline):
    one = add(store, "http://x.example/", sent=sent, deadline=asked)
    two = store.add(
        notice("http://x.example/", sent=sent, deadline=ordered),
        channel=Channel.COMMAND, key=b"2", received=1000.0, deadline=asked,
    ).id  # fmt: skip
    assert store.notice(two).deadline == deadline
    if ordered is None:
        assert store.notice(one).deadline == deadline


def test_the_same_input_is_one_notice(store):
    first = store.add(notice("http://x.example/1"), channel=Channel.HTTP, key=b"same")
    again = store.add(notice("http://x.example/1"), channel=Channel.HTTP, key=b"same")
    assert (first.new, again.new) == (True, False)
    assert first.id == again.id
    assert len(list(store.notices())) == 1
    assert len(store.history(first.id)) == 1


def test_a_repeat_reopens_what_was_removed(store):
    first = add(store, "http://X.example:80/a%20b", "http://x.example/other")
    one, other = store.items(first)
    assert store.advance(one.number, ItemState.REMOVED, now=2000.0)
    assert store.advance(other.number, ItemState.NOT_HERE, reason="no such site", now=2000.0)
    assert store.notice(first).closed == 2000.0
    second = add(store, "https://x.example/a b", "http://x.example/other", received=3000.0)
    assert store.notice(second).repeat_of == first
    assert [one.repeat_of for one in store.items(second)] == [first, first]
    one, other = store.items(first)
    assert (one.state, one.removed, one.reason) == (
        ItemState.RECEIVED, 2000.0, f"named again by {second}"
    )  # fmt: skip
    assert other.state is ItemState.NOT_HERE
    assert store.notice(first).closed is None
    kinds = Counter(event.kind for event in store.history(first))
    assert kinds == {
        EventKind.RECEIVED: 1, EventKind.STATE: 3, EventKind.CLOSED: 1, EventKind.REPEATED: 2,
        EventKind.REOPENED: 1,
    }  # fmt: skip
    third = add(store, "http://x.example/a%20b", received=4000.0)
    assert store.notice(third).repeat_of == second


def test_a_repeat_reopens_what_an_administrator_closed(store):
    first = add(store, "http://x.example/1")
    store.close_notice(first, "a mistake of the hotline", now=2000.0)
    add(store, "http://x.example/1", received=3000.0)
    assert store.items(first)[0].state is ItemState.RECEIVED
    assert store.notice(first).closed is None


def test_a_repeat_has_its_own_deadline_and_so_has_what_it_reopens(store):
    first = add(store, "http://x.example/1", "http://x.example/2")
    one, two = store.items(first)
    store.advance(one.number, ItemState.REMOVED, now=2000.0)
    at = 1000.0 + 10 * 24 * HOUR
    second = add(store, "http://x.example/1", received=at, sent=at - HOUR)
    assert store.notice(second).deadline == at + 23 * HOUR
    assert [item.deadline for item in store.items(first)] == [at + 23 * HOUR, two.deadline]
    assert store.notice(first).deadline == 1000.0 + 24 * HOUR, "the other item is overdue"
    store.advance(two.number, ItemState.REMOVED, now=at)
    assert store.notice(first).deadline == at + 23 * HOUR
    assert [item.late for item in store.items(first)] == [False, True]
    store.advance(one.number, ItemState.REMOVED, now=at + HOUR)
    order = add(store, "http://x.example/2", received=at + 2 * HOUR, deadline=at + 3 * HOUR)
    assert store.notice(order).deadline == at + 3 * HOUR
    assert (store.items(first)[1].deadline, store.notice(first).deadline) == (at + 3 * HOUR,) * 2
    received, *_, last = (event for event in store.history(first) if "deadline" in event.detail)
    assert received.detail["deadline"] == 1000.0 + 24 * HOUR, "the history keeps the first one"
    assert last.detail == {
        "from": "removed", "to": "received", "reason": f"named again by {order}",
        "deadline": at + 3 * HOUR,
    }  # fmt: skip


def test_a_repeat_of_an_open_item_leaves_its_deadline(store):
    first = add(store, "http://x.example/1")
    add(store, "http://x.example/1", received=5000.0)
    assert store.items(first)[0].deadline == store.notice(first).deadline == 1000.0 + 24 * HOUR


@pytest.mark.parametrize(
    ("sent", "deadline", "within"),
    [
        (None, None, 24), (400.0, None, 24), (None, 1000.0 + HOUR, 1), (400.0, 400 + 12 * HOUR, 12),
        (None, 1000.0 + 90 * HOUR, 24), (None, 500.0, 24),
    ],
)  # fmt: skip
def test_what_comes_back_is_due_as_soon_as_its_notice_asked_for(store, sent, deadline, within):
    identifier = add(store, "http://x.example/1", sent=sent, deadline=deadline)
    number = store.items(identifier)[0].number
    assert not store.came_back(number, "back", now=1500.0), "it is open"
    store.advance(number, ItemState.REMOVED, now=2000.0)
    late = store.items(identifier)[0].late
    assert late == (deadline == 500.0)
    assert store.came_back(number, "back", now=9e6)
    assert store.notice(identifier).deadline == store.item(number).deadline == 9e6 + within * HOUR
    store.advance(number, ItemState.REMOVED, now=9e6 + within * HOUR)
    assert store.item(number).late == late, "the last second is in time"
    store.reopen_notice(identifier, "by hand", now=9e7)
    assert store.notice(identifier).deadline == 9e6 + within * HOUR
    store.advance(number, ItemState.REMOVED, now=9e7)
    assert store.item(number).late
    with pytest.raises(UsageError, match="there is no item 99"):
        store.came_back(99, "back")


def test_another_query_or_path_is_no_repeat(store):
    add(store, "http://x.example/?id=1", "http://x.example/a/b")
    other = add(store, "http://x.example/?id=2", "http://x.example/a/c")
    assert store.notice(other).repeat_of is None


def test_closed_and_reopened_by_hand(store):
    one = add(store, "http://x.example/1", "http://x.example/2")
    first, _ = store.items(one)
    store.advance(first.number, ItemState.REMOVED, now=2.0)
    assert store.close_notice(one, "a mistake of the sender", now=3.0) == 1
    assert store.close_notice(one, "again", now=4.0) == 0
    found = store.notice(one)
    assert (found.closed, found.reason) == (3.0, "a mistake of the sender")
    assert found.states == {ItemState.REMOVED: 1, ItemState.REFUSED: 1}
    assert store.reopen_notice(one, "a look again", now=5.0) == 2
    found = store.notice(one)
    assert (found.closed, found.reason, found.states) == (None, "", {ItemState.RECEIVED: 2})
    for what in (store.close_notice, store.reopen_notice):
        with pytest.raises(UsageError, match="there is no notice 20000101-0; 'hashscan notice"):
            what("20000101-0", "x")


def test_the_history_is_only_added_to(store, tmp_path):
    add(store, "http://x.example/1")
    connection = sqlite3.connect(tmp_path / "notices.sqlite3")
    for change in ("UPDATE event SET time = 0", "DELETE FROM event"):
        with pytest.raises(sqlite3.IntegrityError, match="only added to"):
            connection.execute(change)
    connection.close()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_random_steps_keep_notice_items_and_history_consistent(tmp_path_factory, data):
    """The present is what the history says, and a notice is open while an item is."""
    with NoticeStore(str(tmp_path_factory.mktemp("s") / "n")) as store:
        ids = []
        for moment in range(data.draw(st.integers(1, 25))):
            now = 1000.0 + moment
            step = data.draw(st.sampled_from(["add", "advance", "close", "reopen"]))
            if step == "add" or not ids:
                some = data.draw(st.lists(st.sampled_from("abc"), min_size=1, max_size=3))
                ids.append(add(store, *(f"http://x.example/{one}" for one in some), received=now))
            elif step == "advance":
                items = [item for one in ids for item in store.items(one)]
                item, state = (
                    data.draw(st.sampled_from(items)),
                    data.draw(st.sampled_from(ItemState)),
                )
                assert store.advance(item.number, state, now=now) == may_become(item.state, state)
            elif step == "close":
                store.close_notice(data.draw(st.sampled_from(ids)), "why", now=now)
            else:
                store.reopen_notice(data.draw(st.sampled_from(ids)), "why", now=now)
        for one in ids:
            states = {item.number: ItemState.RECEIVED for item in store.items(one)}
            is_open = True
            for event in store.history(one):
                if event.kind is EventKind.STATE:
                    assert states[event.item] == event.detail["from"]
                    states[event.item] = ItemState(event.detail["to"])
                elif event.kind in {EventKind.CLOSED, EventKind.REOPENED}:
                    assert is_open == (event.kind is EventKind.CLOSED)
                    is_open = not is_open
            found = store.notice(one)
            assert states == {item.number: item.state for item in store.items(one)}
            assert found.states == Counter(states.values())
            assert (found.closed is None) == is_open == (not SETTLED.issuperset(states.values()))


def test_processes_that_add_the_same_at_the_same_time(tmp_path):
    path = str(tmp_path / "notices.sqlite3")
    code = (
        "import sys; sys.path[:0] = [sys.argv[2], sys.argv[2] + '/../support']\n"
        "from test_store import *; sys.stdin.read();\n"
        "with NoticeStore(sys.argv[1]) as store:\n"
        "    for key in range(10):\n"
        "        add(store, f'http://x.example/{key}', key=b'%d' % key)"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code, path, os.path.dirname(__file__)],
            stdin=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for _ in range(3)
    ]  # fmt: skip
    ended = [one.communicate(timeout=100) for one in started]
    assert [one.returncode for one in started] == [0] * 3, ended
    with NoticeStore(path) as store:
        assert len(list(store.notices())) == 10
        assert all(len(store.items(one.id)) == 1 for one in store.notices())


def test_killed_at_any_instant(tmp_path):
    """A notice whose id was printed is whole; of one that was under way there is all or nothing."""
    path = str(tmp_path / "notices.sqlite3")
    code = (
        "import sys; sys.path[:0] = [sys.argv[2], sys.argv[2] + '/../support']\n"
        "from test_store import *\n"
        "with NoticeStore(sys.argv[1]) as store:\n"
        "    number = 0\n"
        "    while number := number + 1:\n"
        "        urls = [f'http://x.example/{one}' for one in range(5)]\n"
        "        print(add(store, *urls), flush=True)"
    )
    printed = []
    for least in (1, 4, 7):
        process = subprocess.Popen(
            [sys.executable, "-c", code, path, os.path.dirname(__file__)], stdout=subprocess.PIPE
        )
        printed += [process.stdout.readline() for _ in range(least)]
        process.kill()
        printed += process.communicate()[0].splitlines(keepends=True)
    whole = {line.decode().strip() for line in printed if line.endswith(b"\n")}
    assert len(whole) >= 12
    with NoticeStore(path) as store:
        stored = {one.id: one for one in store.notices()}
        assert whole <= set(stored)
        assert len(stored) <= len(whole) + 3
        for one in stored:
            assert len(store.items(one)) == 5
            assert store.history(one)[0].detail == {"items": 5, "deadline": 1000.0 + 24 * HOUR}
            assert store.input(one) == b""


def test_a_full_disk_stores_nothing_in_part(store):
    one = add(store, "http://x.example/1")
    store._connection.execute("PRAGMA max_page_count = 40")
    with pytest.raises(StateError, match="free some space there"):
        add(store, *(f"http://x.example/{number}/{'x' * 200}" for number in range(2000)))
    assert [found.id for found in store.notices()] == [one]
    assert len(store.open_items()) == 1
    assert len(store.history(one)) == 1


def test_mails_are_remembered_until_they_leave_the_maildir(store):
    assert store.mails() == {}
    one = Mail((1 << 63) - 1, refused="no", tries=1, key=b"k", version="1")
    two = Mail(2, "20261127-aaaa0001", tries=1)
    store.put_mail(b"1.\xff", one)
    store.put_mail(b"2.b", Mail(2))
    store.put_mail(b"2.b", two)
    assert store.mails() == {b"1.\xff": one, b"2.b": two}
    store.forget_mails([b"1.\xff", b"none"])
    assert store.mails() == {b"2.b": two}


def test_the_reason_why_an_open_item_waits_is_noted_once(store):
    identifier = add(store, "https://x.example/1")
    (item,) = store.items(identifier)
    assert store.note_item(item.number, "nobody can tell", now=5.0)
    assert not store.note_item(item.number, "nobody can tell", now=6.0)
    assert store.item(item.number).reason == "nobody can tell"
    last = store.history(identifier)[-1]
    assert (last.kind, last.time, last.detail) == (
        EventKind.NOTE, 5.0, {"reason": "nobody can tell"},
    )  # fmt: skip
    store.advance(item.number, ItemState.GONE, reason="away")
    assert not store.note_item(item.number, "late")
    assert store.item(item.number).reason == "away"
    with pytest.raises(UsageError):
        store.note_item(99, "")


def test_a_new_anchor_alone_is_no_event(store):
    identifier = add(store, "https://x.example/1")
    (item,) = store.items(identifier)
    file = ItemFile(item.number, Role.NAMED, b"/srv", b"a", anchor="1 2")
    assert store.put_file(file)
    number = len(store.history(identifier))
    assert not store.put_file(replace(file, anchor="3 4"))
    assert store.files(item.number)[0].anchor == "3 4"
    assert len(store.history(identifier)) == number
