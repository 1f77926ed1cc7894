"""Tokens, floods, half requests, and what is kept of a request."""

import contextlib
import json
import os
import socket
import sqlite3
import threading

import pytest
import requests
from raw_http import ask_raw

from hashscan.errors import StateError, UsageError
from hashscan.service.intake.serve import data_of
from hashscan.service.intake.tokens import TOKENS, Token, TokenSenders, _hashed, add_token
from hashscan.service.limits import Limiter
from hashscan.service.passwords import TooManyError

ONE = {"ip": "192.0.2.7", "urls": "https://img.example/a/1.jpg"}


# -- tokens -----------------------------------------------------------------------------------------


def test_without_the_right_token_nothing_is_taken(tmp_path, run_in, scart_reads):
    with run_in(tmp_path) as one:
        for header in (
            "", "Bearer", "Bearer ", "Bearer x", "Basic dTpw", "Bearer {0} {0}", "Bearer {0}x", "{0}"
        ):  # fmt: skip
            answer = one.post(ONE, headers={"Authorization": header.format(one.token)})
            assert answer.status_code == 401
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")
            assert scart_reads(answer) is None
        assert one.stored() == set()


def test_the_scheme_may_be_in_any_case(intake, scart_reads):
    assert scart_reads(intake.post(ONE, headers={"Authorization": f"bearer  {intake.token}"}))


def test_tokens_are_followed_while_it_runs(intake, wait_for):
    data = data_of(intake.state)
    other = add_token(data, "other")
    with pytest.raises(UsageError, match="already"):
        add_token(data, "other")
    # fewer wrong tokens than are limited
    wait_for(lambda: intake.post(ONE, token=other).status_code == 201, every=0.15)
    TOKENS.remove(data, "other")
    wait_for(lambda: intake.post(ONE, token=other).status_code == 401)
    with pytest.raises(UsageError, match="there is no token other"):
        TOKENS.remove(data, "other")


def test_only_a_hash_is_stored(intake):
    intake.post(ONE)
    for directory, _, names in os.walk(intake.state.directory):
        for name in names:
            with open(os.path.join(directory, name), "rb") as file:
                assert intake.token.encode() not in file.read()
    data = data_of(intake.state)
    assert TOKENS.read(data)["hotline"].sha256 == _hashed(intake.token)
    assert os.stat(data.path("tokens.json")).st_mode & 0o777 == 0o600


def test_a_damaged_file_of_tokens_is_reported_and_the_old_ones_count(tmp_path, run_in, wait_for):
    with run_in(tmp_path) as one:
        path = data_of(one.state).path("tokens.json")
        os.rename(path, f"{path}.old")
        with open(path, "w") as file:
            file.write("{")
        wait_for(lambda: any("is damaged" in said for said in one.said))
        assert one.post(ONE).status_code == 201
        os.rename(f"{path}.old", path)
        with pytest.raises(StateError), open(path, "w") as file:
            file.write('{"tokens": {"a": {}}}')
            file.flush()
            TOKENS.read(data_of(one.state))


def test_wrong_tokens_of_an_address_are_limited():
    now = [0.0]
    senders = TokenSenders(Limiter(1 / 20, 5, clock=lambda: now[0]))
    senders.take({"a": Token(_hashed("right"), 0.0), "b": Token(_hashed("other"), 0.0)})
    assert [senders.name_of("x" * 300, "192.0.2.1") for _ in range(5)] == [None] * 5
    with pytest.raises(TooManyError):
        senders.name_of("wrong", "192.0.2.1")
    # a sender whose first report comes through the proxy of a flood
    assert senders.name_of("right", "192.0.2.1") == "a"
    assert senders.name_of("other", "192.0.2.1") == "b"
    assert senders.name_of("wrong", "192.0.2.2") is None
    now[0] = 21.0
    assert senders.name_of("wrong", "192.0.2.1") is None
    with pytest.raises(TooManyError):
        senders.name_of("wrong", "192.0.2.1")
    assert senders.wrong == 9


def test_a_flood_of_wrong_tokens_silences_nobody(tmp_path, run_in, wait_for, scart_reads):
    with run_in(tmp_path) as one:
        assert one.post(ONE).status_code == 201
        seen = []

        def flood():
            with requests.Session() as session:
                for _ in range(40):
                    answer = session.post(
                        one.url + "/api/v1/reports",
                        data=ONE,
                        headers={"Authorization": "Bearer wrong"},
                        timeout=60,
                    )
                    seen.append((answer.status_code, scart_reads(answer)))

        threads = [threading.Thread(target=flood) for _ in range(4)]
        for thread in threads:
            thread.start()
        answers = [one.post(ONE).status_code for _ in range(10)]
        for thread in threads:
            thread.join()
        assert answers == [201] * 10
        assert set(seen) == {(401, None), (429, None)}
        assert seen.count((401, None)) <= 6
        wait_for(lambda: any("with a wrong token" in said for said in one.said))
        assert len(one.said) == 2, "once a minute"


@pytest.mark.parametrize("behind_proxy", [True, False])
def test_a_proxy_says_who_the_clients_are(behind_proxy, tmp_path, run_in):
    def wrong(address):
        return one.post(ONE, token="wrong", headers={"X-Forwarded-For": address}).status_code

    with run_in(tmp_path, behind_proxy=behind_proxy) as one:
        assert [wrong("192.0.2.1") for _ in range(6)] == [401] * 5 + [429]
        assert wrong("192.0.2.2") == (401 if behind_proxy else 429)


def test_over_tls(tmp_path, run_in):
    import trustme

    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    files = {"certificate": str(tmp_path / "cert.pem"), "key": str(tmp_path / "key.pem")}
    with run_in(tmp_path, **files) as one:
        assert one.url.startswith("https://")
        assert one.post(ONE, verify=str(tmp_path / "ca.pem")).status_code == 201


def test_the_rate_of_a_token(tmp_path, run_in, scart_reads):
    with run_in(tmp_path, rate=0.2) as one:  # a burst of two
        answers = [one.post(ONE) for _ in range(3)]
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
        assert one.post(ONE).status_code == 429
        slow.sendall(b"urls=http://a")
        assert slow.recv(100).startswith(b"HTTP/1.1 201")
        assert one.post(ONE).status_code == 201


# -- the audit --------------------------------------------------------------------------------------


def test_the_audit_has_neither_tokens_nor_urls(tmp_path, run_in):
    with run_in(tmp_path) as one:
        identifier = one.post(ONE).json()["data"]["id"]
        one.post({"urls": ""})
        one.post(ONE, token="wrong-token")
    path = data_of(one.state).path("audit.sqlite3")
    with contextlib.closing(sqlite3.connect(path)) as found:
        rows = found.execute("SELECT user, address, request, outcome FROM request").fetchall()
    assert rows == [
        ("hotline", "127.0.0.1", "POST /api/v1/reports", identifier),
        ("hotline", "127.0.0.1", "POST /api/v1/reports", "422"),
    ]
    with open(path, "rb") as file:
        content = file.read()
    for secret in (one.token, "wrong-token", "img.example"):
        assert secret.encode() not in content


# -- half requests, and requests with two ends ------------------------------------------------------


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


def test_over_a_unix_socket(tmp_path, scart_reads):
    """The proxy at its other end says who the clients are."""
    from serving import serving

    from hashscan.service.intake.serve import IntakeOptions, serve
    from hashscan.state import State

    os.chmod(tmp_path, 0o700)
    state = State(str(tmp_path / "state"))
    token = add_token(data_of(state), "hotline")
    path = str(tmp_path / "socket")

    def ask(token, address):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(path)
            sock.sendall(
                f"POST /api/v1/reports HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: {address}\r\n"
                f"Authorization: Bearer {token}\r\nConnection: close\r\nContent-Length: 13\r\n\r\n"
                "urls=http://a".encode()
            )
            answer = b""
            while data := sock.recv(4096):
                answer += data
        return answer

    with serving(serve, state, (), IntakeOptions(path=path, behind_proxy=True)):
        answers = [ask("wrong", "192.0.2.1")[:12] for _ in range(6)]
        assert answers == [b"HTTP/1.1 401"] * 5 + [b"HTTP/1.1 429"]
        answer = ask(token, "192.0.2.2")
    assert answer.startswith(b"HTTP/1.1 201")
    assert scart_reads(json.loads(answer.rpartition(b"\r\n\r\n")[2]))
