"""The HashCheckService client, when all is well, and how it behaves towards a service in need."""

import email.utils
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from fault_server import KnownServer, answer, close, hang, raw, slow
from hcs_words import KNOWN, PASSWORD, UNKNOWN, USERNAME

from hashscan import __version__
from hashscan.errors import (
    CredentialsError,
    ServiceRefusedError,
    ServiceUnavailableError,
    UsageError,
)
from hashscan.known.confirmers.circuit_breaker import CircuitBreaker
from hashscan.known.confirmers.hashcheckservice import HashCheckService
from hashscan.model import Answer, Confirmer, Digest


class Clock:
    """Monotonic seconds that only the test moves; sleeping moves them too."""

    def __init__(self):
        self.now = 50.0
        self.slept = []

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds


def test_asks_as_the_public_clients_do(server, connect):
    client: Confirmer = connect(server.url)
    assert client.remote is True
    assert client.name == server.url
    for digest in (Digest("md5", "0" * 32), KNOWN, UNKNOWN, Digest("sha256", "f" * 64)):
        assert client.confirm(digest) == Answer(known=digest == KNOWN)
        request = server.requests[-1]
        assert request.line == f"POST /v1/check/{digest.algorithm} HTTP/1.1"
        assert request.body == digest.hex.encode()
        assert request.credentials == f"{USERNAME}:{PASSWORD}"
        assert request.headers["user-agent"] == f"hashscan/{__version__}"
        assert request.headers["accept-encoding"] == "identity"
        assert request.headers["content-type"] == "text/plain"
        assert "cookie" not in request.headers
    assert server.connections == 1


def test_the_twin_for_tests_has_its_own_path_and_name(server, connect):
    client = connect(server.url + "/", test=True)
    assert client.confirm(KNOWN) == Answer(known=True)
    assert server.requests[0].path == "/v1/test/check/sha1"
    assert client.name == f"{server.url} (test)"


def test_a_service_below_a_path(server, connect):
    server.always(answer(200, b"true"))
    assert connect(f"{server.url}/some/where/").confirm(KNOWN).known
    assert server.requests[0].path == "/some/where/v1/check/sha1"


def test_ipv6_loopback_and_localhost(connect):
    try:
        running = KnownServer(
            {KNOWN.hex}, username=USERNAME, password=PASSWORD, host="::1"
        ).__enter__()
    except OSError:
        pytest.skip("no IPv6 here")
    try:
        assert connect(running.url).confirm(KNOWN).known
    finally:
        running.__exit__()
    with KnownServer({KNOWN.hex}, username=USERNAME, password=PASSWORD) as running:
        assert (
            connect(running.url.replace("127.0.0.1", "localhost"), timeout=20).confirm(KNOWN).known
        )


@pytest.mark.parametrize(
    "whole",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntrue",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n \ttrue\r\n\n",
        b"HTTP/1.1 200 OK\r\n\r\ntrue\n",
        b"HTTP/1.0 200 OK\r\n\r\ntrue",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\ntrue",
        b"HTTP/1.1 200\r\nContent-Length: 4\r\nContent-Encoding: identity\r\n\r\ntrue",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\ntr\r\n2;x=y\r\nue\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4   \r\ntrue\r\n0   \r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4 \t;x=y\r\ntrue\r\n000 ;x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ntrue\r\n0\r\nX-Sum: 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding:  Chunked \t\r\n\r\n4\r\ntrue\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length:  9 \t \r\n\r\n \ttrue\r\n\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nX: y\r\nContent-Length: 4 \r\n\r\ntrue",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntrue",
        (
            b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n"
            b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntrue"
        ),
    ],
)
def test_every_proper_form_of_true_is_a_verdict(server, connect, whole):
    server.inject(raw(whole))
    assert connect(server.url).confirm(UNKNOWN) == Answer(known=True)
    server.inject(
        raw(
            whole.replace(b"true", b"false")
            .replace(b"h: 4", b"h: 5")
            .replace(b"h:  9", b"h:  10")
            .replace(b"\r\n4", b"\r\n5")
            .replace(b"h: 9", b"h: 10")
            .replace(b"2\r\ntr\r\n", b"3\r\nfal\r\n")
            .replace(b"\r\nue\r\n", b"\r\nse\r\n")
        )
    )
    assert connect(server.url).confirm(KNOWN) == Answer(known=False)
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "digest",
    [
        Digest("sha1", "AB" * 20),
        Digest("sha1", "ab" * 16),
        Digest("md5", "ab" * 20),
        Digest("sha1", "ab" * 20 + "\n"),
        Digest("sha1", ""),
        Digest("sha1", "\u0660" * 40),
        Digest("sha1/../../x", "ab" * 20),
        Digest("photodna", "ab" * 20),
    ],
)
def test_only_digests_are_ever_sent(server, connect, refusal, digest):
    refusal(connect(server.url), ServiceRefusedError, digest)
    assert server.connections == 0


def test_four_threads_get_their_own_answers_over_four_connections(server, connect):
    client = connect(server.url, timeout=5)
    digests = [Digest("sha256", f"{number:064x}") for number in range(200)]
    server.known |= {digest.hex for digest in digests[::3]}
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(client.confirm, digests))
    assert [answer.known for answer in answers] == [number % 3 == 0 for number in range(200)]
    assert server.counts == {digest.hex: 1 for digest in digests}
    assert server.connections <= 4


def test_short_lived_threads_share_the_connection(server, connect):
    client = connect(server.url)
    for _ in range(5):
        thread = threading.Thread(target=client.confirm, args=(KNOWN,))
        thread.start()
        thread.join()
    assert len(server.requests) == 5
    assert server.connections == 1


def test_a_server_that_closes_idle_connections_is_no_trouble(connect):
    with KnownServer({KNOWN.hex}, username=USERNAME, password=PASSWORD, idle_close=True) as server:
        client = connect(server.url)
        for number in range(20):
            assert client.confirm(KNOWN if number % 2 else UNKNOWN).known == bool(number % 2)


@pytest.mark.parametrize(
    "fault",
    [
        answer(500),
        answer(502, b"<html>bad gateway</html>"),
        answer(503),
        answer(429),
        answer(408),
        close(),
        hang(),
        raw(b"\x15\x03\x01"),
        answer(200, b"<html>login</html>"),
        answer(429, Retry_After="0"),
        answer(503, Retry_After="Thu, 01 Jan 1970 00:00:00 GMT"),
    ],
)
def test_one_bad_moment_is_tried_again(server, connect, fault):
    server.inject(fault)
    assert connect(server.url).confirm(KNOWN) == Answer(known=True)
    assert server.questions == [KNOWN.hex] * 2


@pytest.mark.parametrize("attempts", [1, 2, 4])
def test_attempts_are_bounded_and_back_off_with_full_jitter(server, connect, refusal, attempts):
    clock = Clock()
    server.always(answer(500))
    client = connect(
        server.url, attempts=attempts, backoff=0.5, timeout=30, clock=clock, sleep=clock.sleep
    )
    refusal(client, ServiceUnavailableError)
    assert len(server.requests) == attempts
    assert len(clock.slept) == attempts - 1
    assert all(0 <= slept <= 0.5 * 2**number for number, slept in enumerate(clock.slept))


def test_a_short_retry_after_is_waited_for(server, connect):
    clock = Clock()
    server.inject(answer(429, Retry_After="2"))
    client = connect(server.url, timeout=10, clock=clock, sleep=clock.sleep)
    assert client.confirm(KNOWN).known
    assert 2.0 <= sum(clock.slept) < 2.1


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("300", 300),
        (" 0300 ", 300),
        ("86400", 3600),
        ("9" * 60_000, 3600),
        (lambda: email.utils.formatdate(time.time() + 301, usegmt=True), 300),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 3600),
    ],
    ids=["300", "padded", "a day", "huge", "date", "far date"],
)
def test_nobody_asks_before_the_service_said(server, connect, refusal, status, header, seconds):
    clock = Clock()
    client = connect(server.url, timeout=10, clock=clock, sleep=clock.sleep)
    server.inject(answer(status, Retry_After=header() if callable(header) else header))
    error = refusal(client, ServiceUnavailableError)
    assert error.retry_after == pytest.approx(seconds, abs=2)
    assert str(status) in str(error)
    again = refusal(client, ServiceUnavailableError, UNKNOWN)
    assert again.retry_after == pytest.approx(seconds, abs=2)
    assert str(status) in str(again)
    clock.now += seconds - 10
    refusal(client, ServiceUnavailableError)
    assert len(server.requests) == 1
    assert clock.slept == []
    clock.now += 12
    assert client.confirm(KNOWN).known


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "soon",
        "-5",
        "1.5",
        "0x10",
        "٣",
        "Mon, 99 Foo 2099",
        "Thu, 01 Jan 1970 00:00:00 GMT",
    ],
)
def test_a_retry_after_that_says_nothing_is_backed_off(server, connect, refusal, header):
    headers = {} if header is None else {"Retry_After": header.encode().decode("latin-1")}
    server.always(answer(429, **headers))
    refusal(connect(server.url), ServiceUnavailableError)
    assert len(server.requests) == 3


def test_a_pause_holds_all_threads(server, connect):
    server.always(slow(0.05, answer(429, Retry_After="200")))
    client = connect(server.url)
    errors = []

    def run(number):
        try:
            client.confirm(Digest("md5", f"{number:032x}"))
        except ServiceUnavailableError as error:
            errors.append(error.retry_after)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(run, range(40)))
    assert len(errors) == 40
    assert all(190 < seconds <= 200 for seconds in errors)
    assert len(server.requests) <= 4


def test_the_breaker_opens_fails_at_once_and_lets_one_through(server, connect, refusal):
    clock = Clock()
    breaker = CircuitBreaker(threshold=6, first=8, clock=clock, jitter=lambda _, high: high)
    client = connect(server.url, timeout=30, clock=clock, sleep=clock.sleep, breaker=breaker)
    server.always(answer(500))
    assert refusal(client, ServiceUnavailableError).retry_after is None
    opened = refusal(client, ServiceUnavailableError)
    assert opened.retry_after == pytest.approx(8)
    assert "500" in str(opened)
    assert len(server.requests) == 6
    for _ in range(20):
        error = refusal(client, ServiceUnavailableError)
        assert 0 < error.retry_after <= 8
        assert "500" in str(error)
    assert len(server.requests) == 6
    clock.now += 8.1
    assert refusal(client, ServiceUnavailableError).retry_after == pytest.approx(16)
    assert len(server.requests) == 7
    server.always(None)
    clock.now += 16.1
    assert client.confirm(KNOWN).known
    assert client.confirm(UNKNOWN) == Answer(known=False)


def test_refusals_of_single_questions_do_not_open_the_breaker(server, connect, refusal):
    client = connect(server.url)
    server.always(answer(404))
    for _ in range(30):
        refusal(client, ServiceRefusedError)
    assert len(server.requests) == 30
    server.always(None)
    assert client.confirm(KNOWN).known


def test_an_interrupted_trial_leaves_the_breaker_usable(server, connect, refusal, monkeypatch):
    clock = Clock()
    breaker = CircuitBreaker(threshold=1, first=1, clock=clock)
    client = connect(server.url, clock=clock, breaker=breaker, attempts=1)
    server.inject(answer(500))
    refusal(client, ServiceUnavailableError)
    clock.now += 2

    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(client, "_converse", interrupted)
        with pytest.raises(KeyboardInterrupt):
            client.confirm(KNOWN)
    assert client.confirm(KNOWN).known


def test_close_wakes_those_who_wait_and_ends_questions(server, connect):
    server.always(answer(503, Retry_After="4"))
    client = connect(server.url, timeout=10)
    errors = []

    def run():
        try:
            client.confirm(KNOWN)
        except ServiceUnavailableError as error:
            errors.append(str(error))

    thread = threading.Thread(target=run)
    thread.start()
    while not server.requests:
        time.sleep(0.01)
    time.sleep(0.05)
    client.close()
    thread.join(1)
    assert not thread.is_alive()
    assert len(errors) == 1
    with pytest.raises(ServiceUnavailableError, match="closed"):
        client.confirm(KNOWN)
    assert len(server.requests) == 1
    client.close()


@pytest.mark.parametrize("status", [401, 403])
def test_after_bad_credentials_nothing_is_asked(server, connect, refusal, status):
    client = connect(server.url)
    server.inject(answer(status, b"no"))
    first = refusal(client, CredentialsError)
    assert str(status) in str(first)
    assert "service.username" in str(first)
    for _ in range(3):
        assert str(refusal(client, CredentialsError, UNKNOWN)) == str(first)
    assert len(server.requests) == 1


def test_a_url_in_the_clear_is_refused_at_the_start():
    with pytest.raises(UsageError, match=r"service\.url") as caught:
        HashCheckService(url="http://hcs.example", username=USERNAME, password=PASSWORD)
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize(
    ("username", "password"),
    [
        ("", "hunter2"),
        ("a", ""),
        ("a:b", "hunter2"),
        ("a", "hunter2\n"),
        ("a\r\nX: y", "hunter2"),
        ("a", "hunter2\0"),
    ],
)
def test_credentials_that_cannot_be_sent_are_refused_without_showing_them(username, password):
    with pytest.raises(UsageError, match=r"service\.(username|password)") as caught:
        HashCheckService(url="https://hcs.example", username=username, password=password)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("timeout", [0, -1, float("nan")])
def test_a_timeout_that_is_none_is_refused(timeout):
    with pytest.raises(UsageError, match="timeout"):
        HashCheckService(url="https://hcs.example", username="a", password="b", timeout=timeout)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "No such file or directory"),
        (b"", "holds no certificate in PEM form"),
        (b"no certificate", "holds no certificate in PEM form"),
    ],
)
def test_a_ca_bundle_that_is_none_is_refused(tmp_path, content, why):
    bundle = tmp_path / "ca.pem"
    if content is not None:
        bundle.write_bytes(content)
    with pytest.raises(UsageError, match="ca_bundle") as caught:
        HashCheckService(
            url="https://hcs.example", username="a", password="b", ca_bundle=str(bundle)
        )
    assert str(caught.value).startswith(f"{bundle}: {why};")
