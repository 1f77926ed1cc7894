"""The HTTP server: what it answers, and that no client holds it up."""

import asyncio
import resource
import select
import socket
import threading
import time
from contextlib import contextmanager, suppress

import pytest

from hashscan.metrics import server
from hashscan.metrics.server import MOST, Metrics, serve

TEXT = b"hashscan_healthy 1.0\n"
GET = b"GET /metrics HTTP/1.1\r\nHost: x\r\n"


class Running:
    """A server in a thread of this process."""

    def __init__(self, *, token=None, text=TEXT, fresh_for=600.0):
        self.wanted = threading.Event()
        self.started = threading.Event()
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.given = token, text, fresh_for
        self.thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self.thread.start()
        self.started.wait(60)

    async def _run(self):
        token, text, fresh_for = self.given
        self.loop, self.over = asyncio.get_running_loop(), asyncio.Event()
        self.metrics = Metrics(self.wanted.set)
        if text is not None:
            self.metrics.put(text, fresh_for)
        made = await serve(self.listener, self.metrics, token)
        self.started.set()
        await self.over.wait()
        made.close()
        for transport in list(self.loop._transports.values()):
            transport.abort()
        await asyncio.sleep(0.01)

    def put(self, text, fresh_for=600.0):
        self.loop.call_soon_threadsafe(self.metrics.put, text, fresh_for)

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=60)

    def ask(self, *parts):
        with self.connect() as client:
            for part in parts:
                client.sendall(part)
            return everything(client)

    def close(self):
        self.loop.call_soon_threadsafe(self.over.set)
        self.thread.join(60)


def everything(client):
    found = b""
    with suppress(ConnectionError):
        while part := client.recv(65536):
            found += part
    return found


@contextmanager
def running(**given):
    made = Running(**given)
    try:
        yield made
    finally:
        made.close()


def test_a_scrape():
    with running() as one:
        answer = one.ask(GET + b"\r\n")
        head, _, body = answer.partition(b"\r\n\r\n")
        assert body == TEXT
        assert head.split(b"\r\n") == [
            b"HTTP/1.1 200 OK", b"Content-Type: text/plain; version=0.0.4; charset=utf-8",
            b"Content-Length: %d" % len(TEXT), b"Connection: close",
        ]  # fmt: skip
        assert one.wanted.is_set()
        assert one.ask(b"GET /metrics?x=1 HTTP/1.0\r\n\r\n").endswith(b"\r\n\r\n" + TEXT)
        assert one.ask(GET[:9], GET[9:], b"\r", b"\n").endswith(TEXT)
        head_only = one.ask(b"HEAD /metrics HTTP/1.1\r\n\r\n")
        assert head_only == head + b"\r\n\r\n"


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", b"404"),
        (b"GET /metrics/../etc HTTP/1.1\r\n\r\n", b"404"),
        (b"POST /metrics HTTP/1.1\r\n\r\n", b"405"),
        (b"GET /metrics\r\n\r\n", b"400"),
        (b"\r\n\r\n", b"400"),
        (b"\x16\x03\x01" + b"\0" * 200 + b"\r\n\r\n", b"400"),
        (b"GET /metrics HTTP/1.1\r\n" + b"x" * 9000, b"431"),
        (GET * 1000 + b"\r\n", b"400"),
    ],
)
def test_other_requests(request_, status):
    with running() as one:
        answer = one.ask(request_)
        assert answer.split()[1] == status, answer
        assert TEXT not in answer


def test_one_connection_has_one_answer():
    with running() as one:
        assert one.ask((GET + b"\r\n") * 3).count(b"HTTP/1.1 200") == 1


def test_a_token():
    with running(token="sesame") as one:
        assert one.ask(GET + b"Authorization: Bearer sesame\r\n\r\n").endswith(TEXT)
        assert one.ask(GET + b"authorization:bearer  sesame \r\n\r\n").endswith(TEXT)
        for wrong in (b"", b"Authorization: Bearer sesam\r\n", b"Authorization: Basic sesame\r\n",
                      b"Authorization: Bearer \xff\r\n", b"X: Bearer sesame\r\n"):  # fmt: skip
            answer = one.ask(GET + wrong + b"\r\n")
            assert answer.startswith(b"HTTP/1.1 401 "), wrong
            assert b"WWW-Authenticate: Bearer" in answer
            assert TEXT not in answer
        assert one.ask(b"GET /other HTTP/1.1\r\n\r\n").split()[1] == b"404"


@pytest.mark.parametrize(
    ("host", "is_own"),
    [
        ("127.0.0.1:9464", True), ("[::1]:9464", True), ("localhost", True), ("x", True),
        ("LOCALHOST.:9464", True), ("10.1.2.3", True), ("2130706433", True), ("127.1:80", True),
        (socket.gethostname(), True), ("", True),
        ("evil.example", False), ("evil.example:9464", False), ("127.0.0.1.evil.example", False),
        ("evil.example.", False), ("[::1].evil.example", False), ("127.0.0.1@evil.example", False),
        ("evil.example/127.0.0.1", False), ("evil.example#", False), (" ", False), ("[", False),
        ("\xff", False), ("evil\u3002example", False),
    ],
)  # fmt: skip
def test_which_hosts_are_own(host, is_own):
    assert server.is_own_host(host) == is_own


def test_a_foreign_page_reads_nothing_through_a_browser():
    foreign = b"GET /metrics HTTP/1.1\r\nHost: evil.example:9464\r\n"
    with running() as one:
        answer = one.ask(foreign + b"\r\n")
        assert answer.split()[1] == b"421"
        assert b"metrics.token_file" in answer
        assert TEXT not in answer
        assert one.ask(b"GET /metrics HTTP/1.0\r\n\r\n").endswith(TEXT)
    with running(token="sesame") as one:  # e.g. a web server with TLS before it
        assert one.ask(foreign + b"Authorization: Bearer sesame\r\n\r\n").endswith(TEXT)
        assert one.ask(foreign + b"\r\n").split()[1] == b"401"


def test_strangers_do_not_push_out_a_client_with_the_token(monkeypatch):
    monkeypatch.setattr(server, "HEAD", 600.0)
    monkeypatch.setattr(server, "LONGEST", 600.0)
    with running(token="sesame", text=None) as one, one.connect() as client:
        client.sendall(GET + b"Authorization: Bearer sesame\r\n\r\n")
        assert one.wanted.wait(60)
        others = [one.connect() for _ in range(2 * MOST)]
        # The server closes as many of them as it has no places for.
        pushed_out = 0
        while pushed_out < MOST:
            ready = select.select(others, [], [], 60)[0]
            assert ready, "no place is taken"
            for other in ready:
                assert everything(other) == b""
                other.close()
                others.remove(other)
                pushed_out += 1
        one.put(TEXT)
        assert everything(client).endswith(TEXT)
        for other in others:
            other.close()


def test_half_a_request_has_less_time_than_an_answer(monkeypatch):
    monkeypatch.setattr(server, "LONGEST", 600.0)
    with running(text=None) as one, one.connect() as waiting:
        waiting.sendall(GET + b"\r\n")
        assert one.wanted.wait(60)
        monkeypatch.setattr(server, "HEAD", 0.1)
        with one.connect() as slow:
            slow.sendall(GET)
            assert everything(slow) == b""
        one.put(TEXT)
        assert everything(waiting).endswith(TEXT)


def test_a_scrape_waits_for_the_first_numbers_and_for_newer_ones():
    with running(text=None) as one:
        with one.connect() as client:
            client.sendall(GET + b"\r\n")
            assert one.wanted.wait(60)
            one.put(TEXT, fresh_for=0.0)
            assert everything(client).endswith(TEXT)
        with one.connect() as client:
            client.sendall(GET + b"\r\n")
            one.wanted.clear()
            one.put(b"hashscan_healthy 0.0\n")
            assert everything(client).endswith(b"0.0\n")


def test_numbers_that_cannot_be_collected():
    with running(text=None) as one:
        one.put(None)
        assert one.ask(GET + b"\r\n").startswith(b"HTTP/1.1 503 ")
        one.put(TEXT)
        assert one.ask(GET + b"\r\n").endswith(TEXT)


def test_a_client_has_a_few_seconds(monkeypatch):
    monkeypatch.setattr(server, "LONGEST", 0.2)
    with running(text=None) as one:
        for sent in (b"", GET, GET + b"\r\n"):  # idle, slow, and waiting for numbers
            with one.connect() as client:
                client.sendall(sent)
                began = time.monotonic()
                assert everything(client) == b""
                assert time.monotonic() - began < 60
        one.put(TEXT)
        assert one.ask(GET + b"\r\n").endswith(TEXT)


def test_a_client_that_does_not_read_is_ended(monkeypatch):
    monkeypatch.setattr(server, "LONGEST", 0.3)
    with running(text=b"x" * (8 << 20)) as one, one.connect() as client:
        client.sendall(GET + b"\r\n")
        time.sleep(0.6)
        assert len(everything(client)) < 8 << 20


def test_a_flood_of_idle_connections_delays_no_scrape():
    with running() as one:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        idle = []
        slowest = 0.0
        for _ in range(10):
            for _ in range(MOST):
                idle.append(one.connect())
                idle[-1].sendall(b"GET /metr")
            began = time.monotonic()
            assert one.ask(GET + b"\r\n").endswith(TEXT)
            slowest = max(slowest, time.monotonic() - began)
        assert slowest < 1.0
        one.wanted.clear()
        still = 0
        for client in idle:
            client.setblocking(False)
            try:
                still += client.recv(1) != b""
            except BlockingIOError:
                still += 1
            except ConnectionError:
                pass
            client.close()
        assert still <= MOST
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000
