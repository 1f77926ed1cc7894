"""Answers within bounds: where each one ends, how long it may take, and who may see a request."""

import io
import os
import time

import pytest
import requests
from fault_server import KnownServer, raw

from hashscan.errors import Fault
from hashscan.net.bounded_requests import BoundedSession, Bounds, BrokenAnswerError, _Tap
from hashscan.net.connect import Deadline
from hashscan.net.explain import FOREIGN_ERRORS, fault_in

OK = b"HTTP/1.1 200 OK\r\n"


@pytest.fixture(autouse=True)
def no_proxy_of_this_machine(monkeypatch):
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="module")
def server():
    with KnownServer() as one:
        yield one


@pytest.fixture
def ask(server):
    """A function that returns what a new session makes of these bytes of a server."""

    def bodies(data, bounds=Bounds(), times=1):  # noqa: B008
        server.always(raw(data))
        with BoundedSession(bounds=bounds) as session:
            found = [
                session.ask("POST", server.url, 60, data=b"x").raw.read() for _ in range(times)
            ]
        return found[-1]

    return bodies


@pytest.mark.parametrize(
    "answer",
    [
        OK + b"Content-Length: 4\r\n\r\ntrue",
        OK + b"Content-Length: \t4 \r\nContent-Length: 4\r\n\r\ntrue",
        OK + b"Connection: close\r\n\r\ntrue",
        OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\ntr\r\n2  ;x=y\r\nue\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked \r\n\r\n4\r\ntrue\r\n0\r\nX-Sum: 1\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 4\r\n\r\ntrue",
        b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n" + OK + b"Content-Length: 4\r\n\r\ntrue",
        b"HTTP/1.0 200\nContent-Length: 4\n\ntrue",
    ],
    ids=["length", "length-twice", "close", "chunks", "trailer", "continue", "early", "old"],
)
def test_an_answer_with_one_end_is_read(answer, ask):
    assert ask(answer) == b"true"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1\xa0200 OK\r\nContent-Length: 4\r\n\r\ntrue",
        b"HTTP/1.1 2_00 OK\r\nContent-Length: 4\r\n\r\ntrue",
        OK + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\ntrue",
        OK + b"Content-Length: 4, 4\r\n\r\ntrue",
        OK + b"Content-Length: +4\r\n\r\ntrue",
        OK + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ntrue\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n4\r\ntrue\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n0x4\r\ntrue\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n4\r\ntrue\r\n0\r\nno trailer\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n4\r\ntrue\r\n0\r\n",
        OK + b"no header\r\nContent-Length: 4\r\n\r\ntrue",
        OK + b"Content-Length: 4\r\n\r\ntrue" + OK,
    ],
    ids=["blank", "digits", "two-lengths", "list", "sign", "both", "codings", "size", "trailer",
         "no-end", "header", "more"],
)  # fmt: skip
def test_an_answer_with_no_clear_end_is_an_error_of_the_server(answer, ask):
    with pytest.raises(FOREIGN_ERRORS) as error:
        ask(answer)
    assert fault_in(error.value) is Fault.ANSWER


def test_every_byte_of_an_answer_is_counted(ask):
    answer = OK + b"X: " + b"y" * 100 + b"\r\nContent-Length: 4\r\n\r\ntrue"
    assert ask(answer, Bounds(answer=len(answer))) == b"true"
    with pytest.raises(FOREIGN_ERRORS) as error:
        ask(answer, Bounds(answer=len(answer) - 1))
    assert fault_in(error.value) is Fault.ANSWER


def test_a_redirect_is_an_answer_and_a_cookie_is_not_kept(ask, server):
    answer = (
        b"HTTP/1.1 302 Found\r\nLocation: /x\r\nSet-Cookie: a=b\r\nConnection: close\r\n"
        b"Content-Length: 2\r\n\r\nno"
    )
    before = len(server.requests)
    assert ask(answer, times=2) == b"no"
    sent = server.requests[before:]
    assert len(sent) == 2
    assert not any("cookie" in one.headers for one in sent)


class Socket:
    """A socket that notes its time-outs."""

    def __init__(self):
        self.timeouts = []

    def settimeout(self, seconds):
        self.timeouts.append(seconds)


def tap(content, bounds, seconds=60.0):
    deadline = Deadline()
    deadline.begin(seconds)
    sock = Socket()
    return _Tap(io.BytesIO(content), sock, deadline, bounds), deadline, sock


def test_a_download_must_keep_its_rate():
    one, deadline, sock = tap(b"x" * 100, Bounds(slowest=10.0))
    at = deadline.at
    assert one.read(40) == b"x" * 40
    assert deadline.at == pytest.approx(at + 4.0)
    assert one.read(100) == b"x" * 60
    assert deadline.at == pytest.approx(at + 10.0)
    assert max(sock.timeouts) <= 60.0, "a pause between two bytes is bounded, too"


def test_the_deadline_of_an_answer_does_not_move():
    one, deadline, _ = tap(b"x" * 100, Bounds())
    at = deadline.at
    one.read(50)
    one.body_begins()
    assert deadline.at == at
    deadline.at = time.monotonic() - 1
    with pytest.raises(TimeoutError):
        one.read(50)


def test_one_byte_more_than_the_bound():
    one, *_ = tap(b"x" * 11, Bounds(answer=10))
    assert one.read(10) == b"x" * 10
    with pytest.raises(BrokenAnswerError, match="more than 10 bytes"):
        one.read(1)


PROXY = "http://proxy.example:3128"


@pytest.mark.parametrize(
    ("url", "credentials", "through"),
    [
        ("http://service.example/", False, True),
        ("http://service.example/", True, False),
        ("https://service.example/", True, True),
        ("http://127.0.0.1:1/", False, False),
        ("http://[::1]:1/", False, False),
    ],
)
def test_no_proxy_reads_credentials_or_requests_to_this_machine(
    url, credentials, through, monkeypatch
):
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, PROXY)
    with BoundedSession() as session:
        if credentials:
            session.auth = requests.auth.HTTPBasicAuth("u", "p")
        found = session.merge_environment_settings(url, {}, None, None, None)["proxies"]
    assert (PROXY in found.values()) == through


def test_a_socks_proxy_is_refused(monkeypatch):
    monkeypatch.setenv("https_proxy", "socks5://127.0.0.1:1")
    with BoundedSession() as session, pytest.raises(ConnectionError, match="SOCKS"):
        session.ask("GET", "https://service.example/", 60)
