"""Every fault of the service that we can name: an error of the right kind, in time, in little
memory, and never a verdict. ``refusal`` also looks for the credentials in all that is left behind.
"""

import gzip
import socket
import time
import tracemalloc
import zlib

import pytest
from fault_server import Exchange, KnownServer, answer, close, drip, endless, hang, raw, reset, slow
from hcs_words import KNOWN, PASSWORD, UNKNOWN, USERNAME

from hashscan.errors import (
    CredentialsError,
    Fault,
    ServiceError,
    ServiceRefusedError,
    ServiceUnavailableError,
)
from hashscan.model import Answer

OK = b"HTTP/1.1 200 OK\r\n"
TRUE = OK + b"Content-Length: 4\r\n\r\ntrue"
FALSE = OK + b"Content-Length: 5\r\n\r\nfalse"
TIMEOUT = 0.3


def sized(body: bytes, *headers: bytes) -> bytes:
    return (
        OK
        + b"".join(line + b"\r\n" for line in headers)
        + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    )


def bomb(exchange: Exchange) -> None:
    packed = zlib.compress(b"true" * 2_000_000, 9)
    raw(sized(packed, b"Content-Encoding: deflate"))(exchange)


def echo(exchange: Exchange) -> None:
    """A hostile server: it says the credentials back wherever it can."""
    secret = exchange.request.headers["authorization"].encode()
    exchange.send(
        b"HTTP/1.1 500 %b\r\nLocation: https://%b/\r\nWWW-Authenticate: %b\r\nX: %b\r\n%b\r\n\r\n%b"
        % ((secret,) * 6)
    )


def echo_as(head: bytes):
    def fault(exchange: Exchange) -> None:
        exchange.send(head + exchange.request.headers["authorization"].encode() + b"\r\n\r\n")

    return fault


NO_VERDICT = {
    "true in capitals": raw(sized(b"TRUE\n")),
    "True": raw(sized(b"True")),
    "quoted": raw(sized(b'"true"')),
    "single quotes": raw(sized(b"'true'")),
    "json": raw(sized(b'{"known": true}')),
    "comma": raw(sized(b"true,")),
    "full stop": raw(sized(b"false.")),
    "1": raw(sized(b"1")),
    "0": raw(sized(b"0")),
    "yes": raw(sized(b"yes")),
    "null": raw(sized(b"null")),
    "both": raw(sized(b"true\nfalse")),
    "twice": raw(sized(b"falsefalse")),
    "NUL after": raw(sized(b"true\0")),
    "NUL before": raw(sized(b"\0false")),
    "no-break space": raw(sized(b"true\xa0")),
    "information separator": raw(sized(b"false\x1c")),
    "UTF-16": raw(sized("true".encode("utf-16"))),
    "UTF-16 without mark": raw(sized("false".encode("utf-16-le"))),
    "UTF-8 with mark": raw(sized(b"\xef\xbb\xbftrue")),
    "full width": raw(sized("\uff54\uff52\uff55\uff45".encode())),
    "padded too far": raw(sized(b"false" + b" " * 200)),
    "html": raw(sized(b"<html><body>false</body></html>", b"Content-Type: text/html")),
    "empty": raw(sized(b"")),
    "empty, closed": raw(OK + b"\r\n"),
    "white space": raw(sized(b" \r\n ")),
    "half a word": raw(sized(b"fals")),
    "half an answer": raw(OK + b"Content-Length: 5\r\n\r\nfal"),
    "length too long": raw(OK + b"Content-Length: 6\r\n\r\nfalse"),
    "length too short": raw(OK + b"Content-Length: 4\r\n\r\nfalse", keep=True),
    "length cuts a page": raw(OK + b"Content-Length: 4\r\n\r\ntrue but not quite", keep=True),
    "negative length": raw(OK + b"Content-Length: -5\r\n\r\nfalse"),
    "length in hex": raw(OK + b"Content-Length: 0x4\r\n\r\ntrue"),
    "length with a sign": raw(OK + b"Content-Length: +4\r\n\r\ntrue"),
    "length in other digits": raw(OK + b"Content-Length: \xb2\r\n\r\ntrue"),
    "two lengths": raw(OK + b"Content-Length: 4\r\nContent-Length: 9\r\n\r\ntrue     "),
    "list of lengths": raw(OK + b"Content-Length: 4, 4\r\n\r\ntrue"),
    "length and chunks": raw(
        OK + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ntrue\r\n0\r\n\r\n"
    ),
    "coding that is none": raw(OK + b"Transfer-Encoding: gzip, chunked\r\n\r\ntrue"),
    "chunks cut": raw(OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nfalse\r\n"),
    "chunk cut": raw(OK + b"Transfer-Encoding: chunked\r\n\r\n9\r\nfalse\r\n"),
    "end of chunks cut": raw(OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nfalse\r\n0\r\n"),
    "trailer": raw(OK + b"Transfer-Encoding: chunked\r\n\r\n4\r\ntrue\r\n0\r\nfalse\r\n\r\n"),
    "chunk size with 0x": raw(OK + b"Transfer-Encoding: chunked\r\n\r\n0x5\r\nfalse\r\n0\r\n\r\n"),
    "blank before a chunk size": raw(
        OK + b"Transfer-Encoding: chunked\r\n\r\n 4\r\ntrue\r\n0\r\n\r\n"
    ),
    "blank in a chunk size": raw(
        OK + b"Transfer-Encoding: chunked\r\n\r\n0 4\r\ntrue\r\n0\r\n\r\n"
    ),
    "trailer cut": raw(OK + b"Transfer-Encoding: chunked\r\n\r\n4\r\ntrue\r\n0\r\nX: y\r\n"),
    "no chunks": raw(OK + b"Transfer-Encoding: chunked\r\n\r\nfalse"),
    "negative chunk": raw(OK + b"Transfer-Encoding: chunked\r\n\r\n-1\r\nfalse"),
    "huge chunk": raw(OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"F" * 5000 + b"\r\ntrue"),
    "more after the chunks": raw(
        OK + b"Transfer-Encoding: chunked\r\n\r\n4\r\ntrue\r\n0\r\n\r\ntrue", keep=True
    ),
    "gzip": raw(sized(gzip.compress(b"true"), b"Content-Encoding: gzip")),
    "gzip by name only": raw(sized(b"false", b"Content-Encoding: gzip")),
    "unknown coding": raw(sized(b"false", b"Content-Encoding: x-rot13")),
    "bomb": bomb,
    "two answers": raw(TRUE + FALSE, keep=True),
    "204": answer(204),
    "201": answer(201, b"true"),
    "202": answer(202, b"false"),
    "203": answer(203, b"false"),
    "206": answer(206, b"false"),
    "299": answer(299, b"true"),
    "500": answer(500, b"false"),
    "501": answer(501, b"false"),
    "502": answer(502, b"false"),
    "503": answer(503, b"false"),
    "504": answer(504, b"false"),
    "599": answer(599, b"true"),
    "999": answer(999, b"true"),
    "429": answer(429, b"false"),
    "408": answer(408, b"false"),
    "425": answer(425, b"false"),
    "103": answer(103, b"false"),
    "101": raw(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nfalse"),
    "status in words": raw(b"HTTP/1.1 OK OK\r\n\r\nfalse"),
    "status too long": raw(b"HTTP/1.1 2000 OK\r\n\r\nfalse"),
    "status with a sign": raw(b"HTTP/1.1 +200 OK\r\nContent-Length: 5\r\n\r\nfalse"),
    "status with an underscore": raw(b"HTTP/1.1 2_00 OK\r\nContent-Length: 5\r\n\r\nfalse"),
    "status after a control": raw(b"HTTP/1.1\x1c200 OK\r\nContent-Length: 5\r\n\r\nfalse"),
    "version that is none": raw(b"HTTP/1.x 200 OK\r\nContent-Length: 5\r\n\r\nfalse"),
    "odd status after 100": raw(
        b"HTTP/1.1 100 Go\r\nX: y\r\n\r\nHTTP/1.1 2_00 OK\r\nContent-Length: 5\r\n\r\nfalse"
    ),
    "status zero": raw(b"HTTP/1.1 000 OK\r\n\r\nfalse"),
    "no status": raw(b"HTTP/1.1\r\n\r\nfalse"),
    "HTTP/0.9": raw(b"false"),
    "HTTP/2": raw(b"HTTP/2 200\r\ncontent-length: 5\r\n\r\nfalse"),
    "HTTP/3": raw(b"HTTP/3.0 200 OK\r\nContent-Length: 5\r\n\r\nfalse"),
    "ICY": raw(b"ICY 200 OK\r\n\r\nfalse"),
    "empty line first": raw(b"\r\n" + FALSE),
    "SSH": raw(b"SSH-2.0-OpenSSH_9.6\r\n"),
    "SMTP": raw(b"220 mail.example ESMTP\r\n"),
    "TLS alert": raw(b"\x15\x03\x03\x00\x02\x02\x46"),
    "random": raw(bytes(range(256)) * 20),
    "headers that are none": raw(OK + b"what is this\r\nContent-Length: 5\r\n\r\nfalse"),
    "header without a name": raw(OK + b": x\r\nContent-Length: 5\r\n\r\nfalse"),
    "headers cut": raw(OK + b"Content-Length: 5\r\nX"),
    "status line cut": raw(b"HTTP/1.1 200"),
    "101 headers": raw(OK + b"X: y\r\n" * 101 + b"Content-Length: 5\r\n\r\nfalse"),
    "a header of 70 kB": raw(OK + b"X: " + b"y" * 70_000 + b"\r\nContent-Length: 5\r\n\r\nfalse"),
    "closed": close(),
    "reset": reset(),
    "reset in the headers": reset(OK + b"Content-"),
    "reset in the body": reset(OK + b"Content-Length: 5\r\n\r\nfal"),
    "slow": slow(TIMEOUT + 0.5, raw(FALSE)),
    "hangs": hang(),
    "hangs in the body": drip(b"", 0, forever=b""),
    "drips status line": drip(b"HTTP/1.1 200 ", 0.02, forever=b"x"),
    "drips headers": drip(OK, 0.02, forever=b"X: y\r\n"),
    "drips one header": drip(OK + b"X: ", 0.02, forever=b"y"),
    "drips white space": drip(OK + b"\r\nfalse", 0.02, forever=b" "),
    "drips body": drip(OK + b"Content-Length: 60\r\n\r\n", 0.02, forever=b"f"),
    "drips a chunk size": drip(OK + b"Transfer-Encoding: chunked\r\n\r\n", 0.02, forever=b"0"),
    "drips trailers": drip(
        OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nfalse\r\n0\r\n", 0.01, forever=b"X: y\r\n"
    ),
    "drips 100 Continue": drip(b"", 0.02, forever=b"HTTP/1.1 100 Continue\r\n\r\n"),
    "echoes": echo,
    "echoes as status line": echo_as(b""),
    "echoes as reason": echo_as(b"HTTP/1.1 200 "),
    "echoes as length": echo_as(OK + b"Content-Length: "),
    "echoes as header": echo_as(OK + b"\x01"),
    "echoes as body": echo_as(OK + b"\r\n"),
    "echoes as chunk size": echo_as(OK + b"Transfer-Encoding: chunked\r\n\r\n"),
    "echoes as Retry-After": echo_as(b"HTTP/1.1 503 Busy\r\nRetry-After: "),
    "echoes as redirect": echo_as(b"HTTP/1.1 302 Found\r\nLocation: "),
}


@pytest.mark.parametrize("fault", NO_VERDICT.values(), ids=NO_VERDICT.keys())
def test_no_verdict(server, connect, refusal, fault):
    server.always(fault)
    client = connect(server.url, timeout=TIMEOUT, attempts=2)
    started = time.monotonic()
    error = refusal(client, ServiceUnavailableError)
    assert time.monotonic() - started < 60
    assert server.url in str(error)
    assert ";" in str(error) or ":" in str(error)
    assert 1 <= len(server.requests) <= 2
    # nothing of it sticks to the client or its connections
    server.always(None)
    assert client.confirm(UNKNOWN) == Answer(known=False)
    assert client.confirm(KNOWN) == Answer(known=True)


def test_the_time_limit_is_for_the_answer_as_a_whole(server, connect, refusal):
    def fault(exchange):
        exchange.send(OK)
        while not exchange.wait(0.3):
            exchange.send(b"X: y\r\n")

    server.always(fault)
    client = connect(server.url, timeout=0.5, attempts=1)
    started = time.monotonic()
    refusal(client, ServiceUnavailableError)
    assert 0.4 < time.monotonic() - started < 60


@pytest.mark.parametrize(
    ("status", "error_class"),
    [
        (400, ServiceRefusedError),
        (402, ServiceRefusedError),
        (404, ServiceRefusedError),
        (405, ServiceRefusedError),
        (410, ServiceRefusedError),
        (413, ServiceRefusedError),
        (418, ServiceRefusedError),
        (422, ServiceRefusedError),
        (451, ServiceRefusedError),
        (401, CredentialsError),
        (403, CredentialsError),
        (407, ServiceUnavailableError),
    ],
)
@pytest.mark.parametrize("body", [b"true", b"false"])
def test_statuses_that_another_attempt_does_not_help(
    server, connect, refusal, status, error_class, body
):
    server.always(answer(status, body))
    error = refusal(connect(server.url), error_class)
    assert f"{server.url}/v1/check/sha1: answered {status}" in str(error)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("act", "fault"),
    [
        (answer(401), Fault.CREDENTIALS),
        (answer(403), Fault.CREDENTIALS),
        (answer(407), Fault.CREDENTIALS),
        (answer(404), Fault.ANSWER),
        (answer(500), Fault.ANSWER),
        (answer(204), Fault.ANSWER),
        (answer(206, b"true"), Fault.ANSWER),
        (answer(304), Fault.ANSWER),
        (answer(302, Location="https://login.example/"), Fault.ANSWER),
        (answer(200, b"<html>log in</html>"), Fault.ANSWER),
        (answer(200, gzip.compress(b"true"), Content_Encoding="gzip"), Fault.ANSWER),
        (raw(b"false\r\n"), Fault.UNREACHABLE),
        (raw(OK + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\ntrue"), Fault.ANSWER),
        (answer(429), Fault.BUSY),
        (answer(503, Retry_After="Fri, 01 Jan 2100 00:00:00 GMT"), Fault.BUSY),
        (close(), Fault.UNREACHABLE),
        (hang(), Fault.UNREACHABLE),
    ],
)
def test_the_kind_of_fault_is_handed_on(server, connect, act, fault):
    server.always(act)
    # A server on a busy machine is late, too: only a hanging one may run into the limit.
    limit = TIMEOUT if fault is Fault.UNREACHABLE else 60
    client = connect(server.url, timeout=limit, attempts=1)
    with pytest.raises(ServiceError) as first:
        client.confirm(KNOWN)
    assert first.value.fault == fault
    assert fault.words


def test_a_compressed_answer_is_named(server, connect, refusal):
    server.always(answer(200, gzip.compress(b"true"), Content_Encoding="gzip"))
    error = refusal(connect(server.url, timeout=60), ServiceUnavailableError)
    assert "Content-Encoding: gzip" in str(error)


@pytest.mark.parametrize(
    ("head", "block"),
    [
        (OK + b"Content-Length: 1073741824\r\n\r\n", b"x" * 65536),
        (OK + b"\r\nfalse", b" " * 65536),
        (OK + b"\r\n", b"false" * 10_000),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"5\r\nfalse\r\n" * 5000),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n5;", b"x" * 65536),
        (OK, b"X: y\r\n" * 10_000),
        (OK + b"X: ", b"y" * 65536),
        (b"", b"y" * 65536),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 2000),
        (b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 1073741824\r\n\r\n", b"x" * 65536),
        (
            b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"x" * 65536,
        ),
        (b"HTTP/1.1 500 Oops\r\nContent-Length: 1073741824\r\n\r\n", b"x" * 65536),
        (b"HTTP/1.1 500 Oops\r\nX: ", b"x" * 65536),
    ],
    ids=[
        "body",
        "white space",
        "unsized body",
        "chunks",
        "chunk extension",
        "headers",
        "header",
        "status line",
        "100 Continue",
        "redirect",
        "packed redirect",
        "error page",
        "error header",
    ],
)
def test_a_gigabyte_of_anything_is_not_read(server, connect, refusal, head, block):
    fault = endless(head, block)
    server.always(fault)
    client = connect(server.url, timeout=2, attempts=1)
    tracemalloc.start()
    try:
        started = time.monotonic()
        refusal(client, ServiceUnavailableError)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert time.monotonic() - started < 60
    assert peak < 4 << 20
    assert fault.sent < 32 << 20  # the kernel's buffers; the client read 64 KiB at most


def test_refused_connection(connect, refusal):
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{sock.getsockname()[1]}"
        error = refusal(connect(url), ServiceUnavailableError)
    assert "refused" in str(error)
    assert "firewall" in str(error)


def test_a_server_that_never_accepts(connect, refusal):
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen(0)
        address = sock.getsockname()
        fillers = [socket.socket() for _ in range(4)]
        try:
            for filler in fillers:
                filler.setblocking(False)
                filler.connect_ex(address)
            started = time.monotonic()
            error = refusal(connect(f"http://127.0.0.1:{address[1]}"), ServiceUnavailableError)
            assert time.monotonic() - started < 60
        finally:
            for filler in fillers:
                filler.close()
    assert "service.timeout" in str(error)


def test_a_name_that_does_not_resolve(connect, refusal, monkeypatch):
    def getaddrinfo(*_, **__):  # what the machine's DNS does with this name is not ours to say
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    error = refusal(connect("https://hcs.invalid"), ServiceUnavailableError)
    assert "DNS" in str(error)


@pytest.mark.parametrize(
    "greet",
    [close(), reset(), hang(), raw(FALSE), raw(b"HTTP/1.1 "), endless(b"", b"x" * 4096)],
    ids=["closes", "resets", "hangs", "answers unasked", "says half", "floods"],
)
def test_a_server_that_does_not_read(connect, refusal, greet):
    with KnownServer(on_connect=greet) as server:
        client = connect(server.url)
        started = time.monotonic()
        try:
            refusal(client, ServiceUnavailableError)
        except pytest.fail.Exception:
            # An answer to this very connection, if the client's question fitted in first, is
            # no worse than any other; but it must not be had twice.
            assert greet.__qualname__.startswith("raw")
        assert time.monotonic() - started < 60


@pytest.mark.parametrize(
    "first",
    [
        # (what comes at once, what comes 50 ms later)
        (TRUE, TRUE),
        (TRUE + TRUE, b""),
        (TRUE + b"\r\n", TRUE),
        (TRUE + b"x" * 8000 + TRUE * 50, b""),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", TRUE),
        (b"HTTP/1.1 204 No Content\r\n\r\n", TRUE),
        (b"HTTP/1.1 304 Not Modified\r\n\r\n", TRUE),
        (b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", TRUE),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n" + TRUE, TRUE),
        (OK + b"Content-Length: 9999\r\n\r\n", TRUE),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n4\r\ntrue\r\n0\r\n\r\n" + TRUE, TRUE),
        (OK + b"Content-Length: 0\r\n\r\n" + TRUE, b""),
        (OK + b"Content-Length: 0\r\n\r\n", TRUE),
        (OK + b"Content-Length: 4\r\n\r\nTRUE", TRUE),
    ],
)
@pytest.mark.parametrize("pause", [0.0, 0.1])
def test_stray_bytes_never_answer_the_next_question(server, connect, first, pause):
    at_once, later = first

    def fault(exchange):
        exchange.send(at_once)
        exchange.wait(0.05)
        exchange.send(later)
        exchange.keep = True

    server.inject(fault)
    client = connect(server.url, attempts=1)
    try:
        assert client.confirm(KNOWN).known
    except (ServiceUnavailableError, ServiceRefusedError):
        pass
    else:
        if at_once == TRUE:
            # A server that answers twice, the second time after the next question was sent, is
            # beyond what HTTP/1.1 lets a client see; between two questions it is noticed.
            pause = 0.1
    time.sleep(pause)
    for _ in range(3):
        assert client.confirm(UNKNOWN) == Answer(known=False)
    assert server.connections == 2


def test_redirects_take_nothing_elsewhere(server, connect, refusal):
    with KnownServer({KNOWN.hex}, username=USERNAME, password=PASSWORD) as other:
        for status in (300, 301, 302, 303, 305, 307, 308):
            for place in (f"{other.url}/v1/check/sha1", other.url.replace("http://", "//") + "/x"):
                server.inject(answer(status, b"true", Location=place))
                error = refusal(connect(server.url), ServiceUnavailableError)
                assert "redirect to 127.0.0.1" in str(error)
        assert other.connections == 0
    assert len(server.requests) == 14


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        (None, "the same host"),
        ("/elsewhere", "the same host"),
        ("https://user:hunter2@evil.example:99/hunter2?hunter2#hunter2", "evil.example,"),
        ("https://[::1", "a place that is no URL"),
        ("https://a b\x1b[31m/", "a place that is no URL"),
        ("https://" + "a" * 3000, "a place that is no URL"),
    ],
)
def test_a_redirect_names_its_host_and_nothing_else(server, connect, refusal, location, shown):
    headers = {} if location is None else {"Location": location}
    server.always(answer(302, **headers))
    error = refusal(connect(server.url), ServiceUnavailableError)
    assert f"a redirect to {shown}" in str(error)
    assert "hunter2" not in str(error)
    assert len(server.requests) == 1


def test_cookies_are_not_kept(server, connect):
    client = connect(server.url)
    server.inject(answer(200, b"true", Set_Cookie="id=1; Path=/"))
    assert client.confirm(KNOWN).known
    client.confirm(UNKNOWN)
    assert "cookie" not in server.requests[1].headers
