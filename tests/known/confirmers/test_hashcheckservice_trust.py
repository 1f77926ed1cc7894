"""TLS, proxies, ~/.netrc and debug output: to whom the credentials go, and to whom not."""

import datetime as dt
import http.client
import re
import socket
import ssl
import threading
import time

import pytest
import trustme
from fault_server import KnownServer, answer, drip, hang, raw
from hcs_words import KNOWN, PASSWORD, SECRETS, UNKNOWN, USERNAME

from hashscan.errors import ServiceUnavailableError
from hashscan.model import Answer


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def bundle(authority, tmp_path):
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return str(path)


def serve(authority, *names, expires=None, **options):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*(names or ("127.0.0.1",)), not_after=expires).configure_cert(context)
    return KnownServer({KNOWN.hex}, username=USERNAME, password=PASSWORD, tls=context, **options)


def test_a_private_authority_is_trusted_when_named(authority, bundle, connect):
    with serve(authority) as server:
        client = connect(server.url, ca_bundle=bundle, timeout=20)
        assert client.confirm(KNOWN) == Answer(known=True)
        assert client.confirm(UNKNOWN) == Answer(known=False)
        assert server.connections == 1


def test_the_environments_bundle_is_used_unless_one_is_configured(
    authority, bundle, connect, refusal, monkeypatch, tmp_path
):
    with serve(authority) as server:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", bundle)
        assert connect(server.url, timeout=20).confirm(KNOWN).known
        other = tmp_path / "other.pem"
        trustme.CA().cert_pem.write_to_path(other)
        refusal(connect(server.url, timeout=20, ca_bundle=str(other)), ServiceUnavailableError)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "missing.pem"))
        error = refusal(connect(server.url, timeout=20), ServiceUnavailableError)
        assert "REQUESTS_CA_BUNDLE" in str(error)


@pytest.mark.parametrize("case", ["authority unknown", "other host", "expired"])
def test_a_certificate_that_does_not_verify(authority, bundle, connect, refusal, case):
    names = ("hcs.example",) if case == "other host" else ()
    past = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    with serve(authority, *names, expires=past if case == "expired" else None) as server:
        options = {} if case == "authority unknown" else {"ca_bundle": bundle}
        error = refusal(connect(server.url, timeout=20, **options), ServiceUnavailableError)
        assert "TLS certificate does not verify" in str(error)
        assert "service.ca_bundle" in str(error)
        assert {
            "authority unknown": "unable to get local issuer",
            "other host": "not valid for '127.0.0.1'",
            "expired": "expired",
        }[case] in str(error)
        assert server.requests == []
        assert server.received == 0
        assert server.connections == 1  # another attempt would not help


def test_https_url_but_no_tls_there(connect, refusal):
    with KnownServer(
        on_connect=raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfalse")
    ) as server:
        error = refusal(connect(server.url.replace("http:", "https:")), ServiceUnavailableError)
    assert "TLS" in str(error)


def test_http_url_but_tls_there(authority, connect, refusal):
    with serve(authority) as server:
        refusal(connect(server.url.replace("https:", "http:")), ServiceUnavailableError)
        assert server.requests == []


@pytest.mark.parametrize(
    "greet", [hang(), raw(b"\x16\x03\x03")], ids=["silent", "half a handshake"]
)
def test_a_handshake_that_does_not_end(bundle, connect, refusal, greet):
    with KnownServer(on_connect=greet) as server:
        started = time.monotonic()
        url = server.url.replace("http:", "https:")
        refusal(connect(url, ca_bundle=bundle), ServiceUnavailableError)
        assert time.monotonic() - started < 60


@pytest.mark.parametrize(
    "padding", [0, 4000, 8000, 8109, 8110, 8111, 8152, 8153, 8154, 8155, 12_000]
)
def test_stray_bytes_inside_tls_never_answer_the_next_question(authority, bundle, connect, padding):
    """One TLS record holds an answer, padding and a forged answer: the socket then looks quiet."""
    true = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntrue"
    with serve(authority) as server:
        server.inject(raw(true + b" " * padding + true * 3, keep=True))
        client = connect(server.url, ca_bundle=bundle, timeout=20, attempts=1)
        with pytest.raises(ServiceUnavailableError, match="more bytes than"):
            client.confirm(KNOWN)
        for _ in range(3):
            assert client.confirm(UNKNOWN) == Answer(known=False)
        assert server.connections == 2


def test_an_answer_that_fills_the_buffer_leaves_nothing_in_tls(authority, bundle, connect):
    """The answer ends just where the reader's buffer does; the forged one is still in OpenSSL."""
    head, tail = b"HTTP/1.1 200 OK\r\nX: ", b"\r\nContent-Length: 4\r\n\r\ntrue"
    whole = head + b"y" * (8192 - len(head) - len(tail)) + tail
    with serve(authority) as server:
        server.inject(raw(whole + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntrue", keep=True))
        client = connect(server.url, ca_bundle=bundle, timeout=20, attempts=1)
        with pytest.raises(ServiceUnavailableError, match="more bytes than"):
            client.confirm(KNOWN)
        assert client.confirm(UNKNOWN) == Answer(known=False)


class Proxy:
    """A proxy that tunnels, or answers CONNECT with ``reply``; keeps all that it sees."""

    def __init__(self, reply: bytes | None = None):
        self.seen = b""
        self._reply = reply
        self._server = KnownServer(on_connect=self._serve)

    def __enter__(self):
        self._server.__enter__()
        self.url = self._server.url
        return self

    def __exit__(self, *_):
        self._server.__exit__()

    def _serve(self, exchange):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += exchange.sock.recv(1) or b"\r\n\r\n"
        self.seen += head
        if self._reply is not None:
            exchange.send(self._reply)
            return
        host, _, port = head.split()[1].decode().rpartition(":")
        with socket.create_connection((host, int(port))) as onward:
            exchange.send(b"HTTP/1.0 200 Connected\r\n\r\n")
            back = threading.Thread(target=self._pump, args=(onward, exchange.sock))
            back.start()
            self._pump(exchange.sock, onward)
            back.join()

    def _pump(self, source, target):
        try:
            while data := source.recv(65536):
                self.seen += data
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass


def test_a_proxy_of_the_environment_sees_the_host_and_nothing_else(
    authority, bundle, connect, monkeypatch
):
    with Proxy() as proxy, serve(authority) as server:
        monkeypatch.setenv("https_proxy", proxy.url)
        assert connect(server.url, ca_bundle=bundle, timeout=20).confirm(KNOWN).known
        assert proxy.seen.startswith(f"CONNECT 127.0.0.1:{server.port} HTTP/1".encode())
        for secret in (*SECRETS, KNOWN.hex, "/v1/check"):
            assert secret.encode() not in proxy.seen


def test_plain_http_to_loopback_never_goes_to_a_proxy(server, connect, monkeypatch):
    with Proxy() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        assert connect(server.url).confirm(KNOWN).known
        assert proxy.seen == b""


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 5\r\n\r\nfalse",
        b"HTTP/1.1 403 Forbidden\r\n\r\n",
        b"HTTP/1.1 502 Bad Gateway\r\n\r\n",
        b"",
        b"false",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfalse",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 50_000,
    ],
    ids=["407", "403", "502", "closed", "no http", "an answer of its own", "headers without end"],
)
def test_a_proxy_that_refuses(authority, bundle, connect, refusal, monkeypatch, reply):
    with Proxy(reply) as proxy, serve(authority) as server:
        with_password = proxy.url.replace("http://", "http://proxyuser:hunter2@")
        monkeypatch.setenv("https_proxy", with_password)
        client = connect(server.url, ca_bundle=bundle, timeout=1)
        error = refusal(client, ServiceUnavailableError)
        assert "hunter2" not in str(error)
        assert server.requests == []
        for secret in SECRETS:
            assert secret.encode() not in proxy.seen


def test_a_proxy_that_drips_without_end(bundle, connect, refusal, monkeypatch):
    head = b"HTTP/1.1 200 Connected\r\n"
    with KnownServer(on_connect=drip(head, 0.01, forever=b"X: y\r\n")) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        started = time.monotonic()
        refusal(connect("https://127.0.0.1:1", ca_bundle=bundle), ServiceUnavailableError)
        assert time.monotonic() - started < 60


@pytest.mark.parametrize("proxy", ["gopher://127.0.0.1:1", "socks5://127.0.0.1:1", "http://"])
def test_a_proxy_of_a_kind_that_does_not_work_is_said(
    authority, bundle, connect, refusal, monkeypatch, proxy
):
    monkeypatch.setenv("https_proxy", proxy)
    with serve(authority) as server:
        error = refusal(connect(server.url, ca_bundle=bundle), ServiceUnavailableError)
    assert "proxy" in str(error)


def test_netrc_neither_supplies_nor_replaces_credentials(
    authority, bundle, connect, monkeypatch, tmp_path
):
    netrc = tmp_path / "netrc"
    netrc.write_text(
        "machine 127.0.0.1 login eve password hunter2\ndefault login eve password hunter2\n"
    )
    monkeypatch.setenv("NETRC", str(netrc))
    with serve(authority) as server:
        assert connect(server.url, ca_bundle=bundle, timeout=20).confirm(KNOWN).known
        assert server.requests[0].credentials == f"{USERNAME}:{PASSWORD}"


def test_debug_output_of_the_standard_library_stays_off(
    server, connect, refusal, monkeypatch, capfd
):
    monkeypatch.setattr(http.client.HTTPConnection, "debuglevel", 1)
    client = connect(server.url)
    assert client.confirm(KNOWN).known
    server.always(answer(500))
    with pytest.raises(ServiceUnavailableError):
        client.confirm(KNOWN)
    out, err = capfd.readouterr()
    assert not re.search("Basic|send:|reply:", out + err)
