"""The HTTP side of the intake: tokens, rates, paths, and requests that have no clear end."""

import json
import socket
import threading
import time

import pytest
import requests
from raw_http import ask_raw
from sent_reports import REPORT

from hashscan.notices.notice import Channel, ItemState
from hashscan.service.intake import form


def test_a_report_is_a_notice(intake, scart_reads):
    answer = intake.post(REPORT)
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
        assert found == [(url, "192.0.2.7") for url in REPORT["urls"].split("\n")]
        assert b"img.example" in reader.input(identifier)


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


def test_reading_a_large_report_delays_no_other_client(intake, monkeypatch):
    may_go_on, begun = threading.Event(), threading.Event()

    def slow(*args):
        begun.set()
        assert may_go_on.wait(60)
        return form.read(*args)

    monkeypatch.setattr("hashscan.service.intake.app.read", slow)
    answers = []
    thread = threading.Thread(target=lambda: answers.append(intake.post(REPORT).status_code))
    thread.start()
    assert begun.wait(60)
    try:
        assert requests.get(f"{intake.url}/healthz", timeout=60).text == "ok"
    finally:
        may_go_on.set()
        thread.join()
    assert answers == [201]


def test_without_the_right_token_nothing_is_taken(tmp_path, run_in, scart_reads):
    with run_in(tmp_path) as one:
        for header in (
            "", "Bearer", "Bearer ", "Bearer x", "Basic dTpw", "Bearer {0} {0}", "Bearer {0}x", "{0}"
        ):  # fmt: skip
            answer = one.post(REPORT, headers={"Authorization": header.format(one.token)})
            assert answer.status_code == 401
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")
            assert scart_reads(answer) is None
        assert one.stored() == set()


def test_the_scheme_may_be_in_any_case(intake, scart_reads):
    assert scart_reads(intake.post(REPORT, headers={"Authorization": f"bearer  {intake.token}"}))


def test_the_rate_of_a_token(tmp_path, run_in, scart_reads):
    with run_in(tmp_path, rate=0.2) as one:  # a burst of two
        answers = [one.post(REPORT) for _ in range(3)]
        assert [one.status_code for one in answers] == [201, 201, 429]
        assert scart_reads(answers[2]) is None
        assert 1 <= int(answers[2].headers["Retry-After"]) <= 5
        assert len(one.stored()) == 2


def test_simultaneous_reports_of_a_token(tmp_path, run_in, monkeypatch):
    monkeypatch.setattr("hashscan.service.intake.app._PLACES", 1)
    with run_in(tmp_path) as one, socket.create_connection(("127.0.0.1", one.port)) as slow:
        slow.sendall(
            b"POST /api/v1/reports HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "
            + one.token.encode()
            + b"\r\nExpect: 100-continue\r\nContent-Length: 13\r\n\r\n"
        )
        assert slow.recv(100).startswith(b"HTTP/1.1 100")  # so it has its place
        assert one.post(REPORT).status_code == 429
        slow.sendall(b"urls=http://a")
        assert slow.recv(100).startswith(b"HTTP/1.1 201")
        assert one.post(REPORT).status_code == 201


@pytest.fixture(scope="module")
def hasty(tmp_path_factory, run_in):
    """One with time limits of half a second."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("door.HEAD", "protocol.HEAD", "protocol.BODY"):
            patch.setattr(f"hashscan.service.{name}", 0.3)
        with run_in(tmp_path_factory.mktemp("hasty")) as one:
            yield one


def half(one, body, *headers):
    """What comes back for a request that never ends."""
    head = b"POST /api/v1/reports HTTP/1.1\r\nHost: x\r\n"
    if headers:
        head += b"Authorization: Bearer " + one.token.encode() + b"\r\n"
        head += "".join(f"{line}\r\n" for line in headers).encode() + b"\r\n"
    return ask_raw(one.port, head + body)


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"", ()),
        (b"urls=http://a/", ("Content-Length: 90",)),
        (b"5\r\nurls=\r\n", ("Transfer-Encoding: chunked",)),
        (b"5\r\nurls=\r\n8\r\nhttp://a\r\n", ("Transfer-Encoding: chunked",)),
    ],
    ids=["head", "body", "chunk", "no-last-chunk"],
)
def test_half_a_report_is_no_report(body, headers, hasty, scart_reads):
    answer = half(hasty, body, *headers)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"application/json" in answer
    assert scart_reads(json.loads(answer.rpartition(b"\r\n\r\n")[2])) is None
    assert hasty.stored() == set()


TWO_ENDS = {
    "both": ("Content-Length: 13", "Transfer-Encoding: chunked"),
    "two-lengths": ("Content-Length: 13", "Content-Length: 14"),
    "folded": ("X: y\r\n Transfer-Encoding: chunked", "Content-Length: 13"),
    "bare-lf": ("X: y\nTransfer-Encoding: chunked", "Content-Length: 13"),
    "gzip": ("Transfer-Encoding: gzip, chunked",),
    "long-head": (f"X: {'y' * 20_000}", "Content-Length: 13"),
}


@pytest.mark.parametrize("headers", TWO_ENDS.values(), ids=list(TWO_ENDS))
def test_a_report_that_ends_in_two_places_is_refused(headers, hasty, scart_reads):
    answer = hasty.raw(b"urls=http://a" + b"POST / HTTP/1.1\r\n\r\n", *headers)
    assert answer[:12] in {b"HTTP/1.1 400", b"HTTP/1.1 501"}
    assert answer.count(b"HTTP/1.1") == 1
    assert scart_reads(json.loads(answer.rpartition(b"\r\n\r\n")[2])) is None
    assert hasty.stored() == set()


def test_a_connection_lost_within_the_body_leaves_nothing(hasty):
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", hasty.port)) as sock:
            sock.sendall(
                b"POST /api/v1/reports HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "
                + hasty.token.encode()
                + b"\r\nContent-Length: 90\r\n\r\nurls=http://a"
            )
    assert requests.get(f"{hasty.url}/healthz", timeout=60).text == "ok"
    assert hasty.stored() == set()
