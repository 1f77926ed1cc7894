"""A report is on the disk before its answer, and is stored once."""

import os
import sqlite3
import threading
import time

import pytest
from sent_reports import REPORT

from hashscan.notices.notice import ItemState
from hashscan.notices.store import NoticeStore
from hashscan.service.intake.box import Box


async def no_answer(self, key):
    """No answer arrives."""


def test_it_is_on_the_disk_before_the_answer(intake, scart_reads, monkeypatch):
    order = []
    add = NoticeStore.add

    def noted(self, *args, **options):
        found = add(self, *args, **options)
        (level,) = self._connection.execute("PRAGMA synchronous").fetchone()
        order.append((found.id, level))
        return found

    monkeypatch.setattr(NoticeStore, "add", noted)
    assert order == [(scart_reads(intake.post(REPORT)), 2)]  # FULL


def test_the_same_report_again_is_a_repeat(intake, scart_reads):
    first = scart_reads(intake.post({"ip": "", "urls": "http://again.example/x"}))
    with NoticeStore(intake.state.notices) as store:  # another process meanwhile
        (item,) = store.items(first)
        store.advance(item.number, ItemState.REMOVED)
    second = intake.post({"ip": "", "urls": "https://AGAIN.example/x#y"})
    assert scart_reads(second) != first
    assert second.json()["data"]["repeat_of"] == first
    (item,) = intake.items(first)
    assert item.state is ItemState.RECEIVED


def test_the_same_bytes_again_after_an_answer_are_a_repeat(intake, scart_reads):
    form = {"ip": "", "urls": "http://bytes.example/x"}
    notices = [scart_reads(intake.post(form)) for _ in range(3)]
    assert len(set(notices)) == 3
    with intake.notices() as reader:
        assert [reader.notice(one).repeat_of for one in notices] == [None, *notices[:2]]


def test_a_report_without_an_answer_is_not_counted_twice(run_in, tmp_path, monkeypatch):
    """Stored, and the process killed before its answer: the sender sends it once more."""
    with monkeypatch.context() as patch, run_in(tmp_path) as one:
        patch.setattr(Box, "answered", no_answer)
        first = one.post(REPORT).json()["data"]["id"]
        other = one.post({**REPORT, "ip": "192.0.2.8"}).json()["data"]["id"]
    with run_in(tmp_path) as again:
        assert again.post(REPORT).json()["data"]["id"] == first
        assert again.stored() == {first, other}
        # Now it is answered, so the same report means that the URLs are still online.
        assert again.post(REPORT).json()["data"]["repeat_of"] == other


def test_a_report_that_was_too_slow_is_not_counted_twice(intake, scart_reads, monkeypatch):
    form = {"ip": "", "urls": "http://slow.example/x"}
    add = NoticeStore.add

    def slow(*args, **options):
        time.sleep(0.3)
        return add(*args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(NoticeStore, "add", slow)
        patch.setattr("hashscan.service.intake.box._PATIENCE", 0.1)
        assert intake.post(form).status_code == 503
    again = scart_reads(intake.post(form))
    repeat = intake.post(form).json()["data"]
    assert repeat["id"] != again
    assert repeat["repeat_of"] == again
    with intake.notices() as reader:
        assert reader.notice(again).repeat_of is None, "the first one, which was stored later"


def test_a_report_without_a_url_is_kept(tmp_path, run_in):
    with run_in(tmp_path) as one:
        one.post({"urls": "some words\nof a person"})
        (name,) = os.listdir(f"{one.state.directory}/notices-unread")
        with open(f"{one.state.directory}/notices-unread/{name}") as file:
            assert file.read() == "some words\nof a person"


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), RuntimeError("a bug")], ids=["full", "bug"]
)
def test_what_cannot_be_stored_is_not_acknowledged(error, intake, scart_reads, monkeypatch):
    from hashscan.errors import StateError

    def failing(*_, **__):
        raise StateError("/secret/path: full") if isinstance(error, OSError) else error

    monkeypatch.setattr(NoticeStore, "add", failing)
    answer = intake.post(REPORT)
    assert scart_reads(answer) is None
    assert answer.status_code in {503, 500}
    assert "/secret" not in answer.text
    if answer.status_code == 503:
        assert answer.headers["Retry-After"] == "60"
        assert "a report was not stored: /secret/path: full" in intake.said


def test_a_slow_disk_does_not_hold_the_sender(intake, scart_reads, monkeypatch):
    go = threading.Event()
    add = NoticeStore.add

    def slow(*args, **options):
        go.wait(20)
        return add(*args, **options)

    monkeypatch.setattr(NoticeStore, "add", slow)
    monkeypatch.setattr("hashscan.service.intake.box._PATIENCE", 0.1)
    # A report without an answer is recognised when it is sent again: no other test may send it.
    answer = intake.post({"ip": "", "urls": "http://slow-disk.example/x"})
    go.set()
    assert (answer.status_code, scart_reads(answer)) == (503, None)
    assert "send it again" in answer.json()["message"]


def test_reports_that_wait_for_the_disk_are_bounded(intake, monkeypatch):
    began, go = threading.Event(), threading.Event()
    add = NoticeStore.add

    def slow(*args, **options):
        began.set()
        go.wait(20)
        return add(*args, **options)

    monkeypatch.setattr(NoticeStore, "add", slow)
    monkeypatch.setattr("hashscan.service.intake.box._WAITING", 1)
    first = []
    thread = threading.Thread(target=lambda: first.append(intake.post(REPORT).status_code))
    thread.start()
    assert began.wait(60)
    answer = intake.post(REPORT)
    go.set()
    thread.join()
    assert (answer.status_code, answer.headers["Retry-After"], first) == (503, "10", [201])


def test_it_stores_while_another_process_writes(intake, scart_reads, wait_for):
    """The daemon holds the file's lock for a moment at a time."""
    other = sqlite3.connect(intake.state.notices, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    timer = threading.Timer(0.2, lambda: other.execute("COMMIT"))
    timer.start()
    assert scart_reads(intake.post({"ip": "", "urls": "http://writes.example/x"}))
    timer.join()
    other.close()
