"""Reports as SCART's add-on sends them: each one is a notice, on the disk before the answer."""

import json
import os
import threading
import time

import pytest
import requests

from hashscan.notices.notice import Channel, ItemState
from hashscan.notices.reader import NoticeReader
from hashscan.notices.store import NoticeStore
from hashscan.service.intake import form
from hashscan.service.intake.box import Box

ONE = {"ip": "192.0.2.7", "urls": "https://img.example/a/1.jpg\nhttps://img.example/a/2.jpg"}


def test_a_report_is_a_notice(intake, scart_reads):
    answer = intake.post(ONE)
    assert answer.headers["Content-Type"] == "application/json"
    identifier = scart_reads(answer)
    with intake.notices() as reader:
        notice = reader.notice(identifier)
        assert (notice.channel, notice.format) == (Channel.HTTP, "scart-api")
        assert (notice.sender, notice.reference) == ("hotline", None)
        assert time.time() - 120 < notice.received <= time.time()
        assert notice.deadline == notice.received + 24 * 3600
        assert notice.states == {ItemState.RECEIVED: 2}
        found = [(one.parsed.value, one.parsed.ip) for one in reader.items(identifier)]
        assert found == [(url, "192.0.2.7") for url in ONE["urls"].split("\n")]
        assert b"img.example" in reader.input(identifier)


def test_it_is_on_the_disk_before_the_answer(intake, scart_reads, monkeypatch):
    order = []
    add = NoticeStore.add

    def noted(self, *args, **options):
        found = add(self, *args, **options)
        (level,) = self._connection.execute("PRAGMA synchronous").fetchone()
        order.append((found.id, level))
        return found

    monkeypatch.setattr(NoticeStore, "add", noted)
    assert order == [(scart_reads(intake.post(ONE)), 2)]  # FULL


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
        first = one.post(ONE).json()["data"]["id"]
        other = one.post({**ONE, "ip": "192.0.2.8"}).json()["data"]["id"]
    with run_in(tmp_path) as again:
        assert again.post(ONE).json()["data"]["id"] == first
        assert again.stored() == {first, other}
        # Now it is answered, so the same report means that the URLs are still online.
        assert again.post(ONE).json()["data"]["repeat_of"] == other


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


async def no_answer(self, key):
    """No answer arrives."""


FORMS = {
    "other-order": b"urls=http%3A%2F%2Fa.example%2F1&ip=192.0.2.7",
    "no-ip": b"urls=http%3A%2F%2Fa.example%2F1",
    "blank-ip": b"ip=&urls=http%3A%2F%2Fa.example%2F1",
    "carriage-returns": b"ip=192.0.2.7&urls=http%3A%2F%2Fa.example%2F1%0D%0A%0D%0A",
    "defanged": b"urls=hxxp%3A%2F%2Fa%5B.%5Dexample%2F1",
    "blanks": b"urls=%20http%3A%2F%2Fa.example%2F1%20%0A%20",
    "php-array": b"urls%5B%5D=http%3A%2F%2Fa.example%2F1",
    "not-encoded": b"ip=192.0.2.7&urls=http://a.example/1\n",
    "unknown-field": b"x=y&urls=http%3A%2F%2Fa.example%2F1&z=",
    "twice": b"urls=http%3A%2F%2Fa.example%2F1%0Ahttp%3A%2F%2Fa.example%2F1",
}


@pytest.mark.parametrize("body", FORMS.values(), ids=list(FORMS))
def test_forms(body, intake, scart_reads):
    (item,) = intake.items(scart_reads(intake.post(body)))
    assert item.parsed.value == "http://a.example/1"


@pytest.mark.parametrize(
    ("kind", "encoded"),
    [
        ("", "%C3%A9"),
        ("; charset=UTF-8", "%C3%A9"),
        ("; charset=iso-8859-1", "%E9"),
        ("", "%E9"),
        ('; charset="no-such"', "%C3%A9"),
        ("; charset=utf-8", "\u00e9"),
    ],
)
def test_charsets(kind, encoded, intake, scart_reads):
    body = f"urls=http%3A%2F%2Fa.example%2F{encoded}".encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded" + kind}
    (item,) = intake.items(scart_reads(intake.post(body, headers=headers)))
    assert item.parsed.value == "http://a.example/\u00e9"


def test_a_sender_who_passes_notices_on(intake, scart_reads):
    form = {
        **ONE,
        "sender": "Hotline\nX",
        "reference": "A0001",
        "received": "2026-11-20T09:00:00Z",
    }
    with intake.notices() as reader:
        notice = reader.notice(scart_reads(intake.post(form)))
    assert (notice.sender, notice.reference) == ("Hotline X", "A0001")
    assert notice.received == 1795165200.0
    assert notice.deadline == notice.received + 24 * 3600


def test_a_senders_clock_that_is_ahead_does_not_move_the_deadline(intake, scart_reads):
    ahead = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 200))
    with intake.notices() as reader:
        notice = reader.notice(scart_reads(intake.post({**ONE, "received": ahead})))
    assert notice.received <= time.time()


def test_a_line_that_is_no_url_stays_open_for_a_person(intake, scart_reads):
    answer = intake.post({"ip": "x", "urls": "http://a.example/1\nhttp://[bad/\x07\u202e2"})
    identifier = scart_reads(answer)
    _, second = intake.items(identifier)
    assert second.parsed.value == "http://[bad/ \u202e2"
    assert second.state is ItemState.RECEIVED
    with intake.notices() as reader:
        remarks = reader.notice(identifier).remarks
    assert remarks[0].startswith("1 line is no URL, first line 2: http://[bad/ \\u202e2")
    assert remarks[1] == "the field ip is no address: x"
    assert answer.json()["data"]["remarks"] == list(remarks)


REFUSED = {
    "nothing": (b"", 422, "no URL"),
    "no-urls": (b"ip=192.0.2.7", 422, "no URL"),
    "blank-urls": (b"urls=%0A%20%0A", 422, "no URL"),
    "no-url-in-it": (b"urls=hello%0Aworld", 422, "no URL"),
    "long-url": (b"urls=http://a/" + b"x" * 9000, 422, "8,192"),
    "many-urls": (b"urls=" + b"http://a/%0A" * 10_001, 422, "10,000"),
    "many-fields": (b"a=b&" * 60, 422, "fields"),
    "two-ips": (b"ip=1.1.1.1&ip=2.2.2.2&urls=http://a/", 422, "more than once"),
    "no-time": (b"received=soon&urls=http://a/", 422, "no time"),
    "future": (b"received=2090-01-01&urls=http://a/", 422, "future"),
    "large": (b"urls=" + b"x" * (3 << 20), 413, "MiB"),
}


@pytest.mark.parametrize(("body", "status", "words"), REFUSED.values(), ids=list(REFUSED))
def test_what_is_refused_is_json_with_a_message(body, status, words, intake, scart_reads):
    before = intake.stored()
    answer = intake.post(body)
    assert answer.status_code == status
    assert words in answer.json()["message"]
    assert scart_reads(answer) is None
    assert intake.stored() == before


def test_a_report_without_a_url_is_kept(tmp_path, run_in):
    with run_in(tmp_path) as one:
        one.post({"urls": "some words\nof a person"})
        (name,) = os.listdir(f"{one.state.directory}/notices-unread")
        with open(f"{one.state.directory}/notices-unread/{name}") as file:
            assert file.read() == "some words\nof a person"


@pytest.mark.parametrize(
    "kind", ["multipart/form-data; boundary=x", "application/json", "text/plain", "x;;=\x80"]
)
def test_another_type(kind, intake, scart_reads):
    answer = intake.post(b"urls=http://a/", headers={"Content-Type": kind})
    assert (answer.status_code, scart_reads(answer)) == (415, None)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/v1/reports", 405),
        ("POST", "/api/v1/reports/", 404),
        ("POST", "/", 404),
        ("PUT", "/api/v1/reports", 405),
    ],
)
def test_other_paths(method, path, status, intake, scart_reads):
    import requests

    answer = requests.request(method, intake.url + path, timeout=60, allow_redirects=False)
    assert (answer.status_code, scart_reads(answer)) == (status, None)


def test_curl_waits_for_100_continue(intake, scart_reads):
    """libcurl sends it with bodies above 1 MiB, older ones above 1 KiB."""
    body = b"urls=http%3A%2F%2Fa.example%2F1"
    answer = intake.raw(
        body,
        "Content-Type: application/x-www-form-urlencoded",
        f"Content-Length: {len(body)}",
        "Expect: 100-continue",
    )
    assert answer.startswith(b"HTTP/1.1 100 ")
    assert b"HTTP/1.1 201 " in answer
    assert scart_reads(json.loads(answer.rpartition(b"\r\n\r\n")[2]))


@pytest.mark.parametrize("host", ["[", "a b", "", "x" * 300, "a@b:99999"])
def test_any_host(host, intake, scart_reads):
    body = b"urls=http%3A%2F%2Fa.example%2F1"
    length = f"Content-Length: {len(body)}"
    before = intake.stored()
    answer = intake.raw(body, length, host=host)
    taken = scart_reads(json.loads(answer.rpartition(b"\r\n\r\n")[2]))
    assert intake.stored() - before == {taken}


def test_chunks(intake, scart_reads):
    answer = intake.raw(
        b"5\r\nurls=\r\nb\r\nhttp://a/bc\r\n0\r\n\r\n", "Transfer-Encoding: chunked"
    )
    assert scart_reads(json.loads(answer.rpartition(b"\r\n\r\n")[2]))


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), RuntimeError("a bug")], ids=["full", "bug"]
)
def test_what_cannot_be_stored_is_not_acknowledged(error, intake, scart_reads, monkeypatch):
    from hashscan.errors import StateError

    def failing(*_, **__):
        raise StateError("/secret/path: full") if isinstance(error, OSError) else error

    monkeypatch.setattr(NoticeStore, "add", failing)
    answer = intake.post(ONE)
    assert scart_reads(answer) is None
    assert answer.status_code in {503, 500}
    assert "/secret" not in answer.text
    if answer.status_code == 503:
        assert answer.headers["Retry-After"] == "60"
        assert "a report was not stored: /secret/path: full" in intake.said


def test_a_slow_disk_does_not_hold_the_sender(intake, scart_reads, monkeypatch):
    import threading

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


def test_reading_a_large_report_delays_no_other_client(intake, monkeypatch):
    may_go_on, begun = threading.Event(), threading.Event()

    def slow(*args):
        begun.set()
        assert may_go_on.wait(60)
        return form.read(*args)

    monkeypatch.setattr("hashscan.service.intake.app.read", slow)
    answers = []
    thread = threading.Thread(target=lambda: answers.append(intake.post(ONE).status_code))
    thread.start()
    assert begun.wait(60)
    try:
        assert requests.get(f"{intake.url}/healthz", timeout=60).text == "ok"
    finally:
        may_go_on.set()
        thread.join()
    assert answers == [201]


def test_reports_that_wait_for_the_disk_are_bounded(intake, monkeypatch):
    import threading

    began, go = threading.Event(), threading.Event()
    add = NoticeStore.add

    def slow(*args, **options):
        began.set()
        go.wait(20)
        return add(*args, **options)

    monkeypatch.setattr(NoticeStore, "add", slow)
    monkeypatch.setattr("hashscan.service.intake.box._WAITING", 1)
    first = []
    thread = threading.Thread(target=lambda: first.append(intake.post(ONE).status_code))
    thread.start()
    assert began.wait(60)
    answer = intake.post(ONE)
    go.set()
    thread.join()
    assert (answer.status_code, answer.headers["Retry-After"], first) == (503, "10", [201])


def test_it_stores_while_another_process_writes(intake, scart_reads, wait_for):
    """The daemon holds the file's lock for a moment at a time."""
    import sqlite3
    import threading

    other = sqlite3.connect(intake.state.notices, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    timer = threading.Timer(0.2, lambda: other.execute("COMMIT"))
    timer.start()
    assert scart_reads(intake.post({"ip": "", "urls": "http://writes.example/x"}))
    timer.join()
    other.close()


def test_the_state_directory_is_still_the_agents_own(intake):
    from hashscan.state import State

    State(intake.state.directory)
    with NoticeReader(intake.state.notices) as reader:
        assert reader.counts(time.time(), 3600.0).open
