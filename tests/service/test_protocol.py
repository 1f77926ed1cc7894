"""Time limits of requests and answers, and requests that may end in two places."""

import contextlib
import os
import select
import socket
import time

import pytest
from service_clients import (
    HEAD,
    answer_of,
    answer_with,
    basic,
    connect,
    port_of,
    question,
    running_here,
)


def trickle(sock, data, seconds):
    """Send a byte at a time; return how long the service accepts that."""
    start = time.monotonic()
    with contextlib.suppress(OSError):
        while time.monotonic() < start + seconds:
            sock.sendall(data)
            time.sleep(0.2)
            if select.select([sock], [], [], 0)[0]:
                break
    return time.monotonic() - start


@pytest.fixture(scope="module")
def hasty(tmp_path_factory, prepare_in):
    """The service with limits of half a second, and its port."""
    one = prepare_in(tmp_path_factory.mktemp("hasty"))
    with pytest.MonkeyPatch.context() as patch:
        for name in ("door.HEAD", "protocol.HEAD", "protocol.BODY", "protocol.STALLED"):
            patch.setattr(f"hashscan.service.{name}", 0.5)
        with running_here(one) as one.port:
            yield one


@pytest.mark.parametrize(
    ("begin", "more", "status"),
    [
        (b"", b"", b""),
        (HEAD, b"", b"408"),
        (HEAD, b"x", b"408"),
        (HEAD + basic() + b"Content-Length: 90\r\n\r\n", b"", b"408"),
        (HEAD + basic() + b"Content-Length: 90\r\n\r\n", b"a", b"408"),
        (HEAD + b"Content-Length: 90\r\n\r\n", b"a", b"401"),
        (HEAD + basic() + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n", b"408"),
    ],
    ids=["nothing", "head", "slow-head", "body", "slow-body", "body-refused", "slow-chunks"],
)
def test_a_request_has_a_time_limit_as_a_whole(begin, more, status, hasty):
    with connect(hasty.port) as sock:
        sock.sendall(begin)
        if more:
            trickle(sock, more, 8)
        assert status in answer_of(sock).partition(b"\r\n")[0]


def test_a_second_head_on_a_connection_has_the_same_limit(hasty):
    with connect(hasty.port) as sock:
        sock.sendall(question(hasty.known[0]))
        answer_with(sock, b"true")
        time.sleep(0.8)  # idle for longer than a head may take
        sock.sendall(question(hasty.known[0]))
        answer_with(sock, b"true")
        trickle(sock, b"P", 8)
        assert b"408" in answer_of(sock)


def test_a_reader_that_takes_nothing_is_given_up(tmp_path, monkeypatch, prepared):
    from publishing import Publisher, random_digests

    publisher = Publisher(tmp_path / "publisher").init()
    publisher.add(random_digests(50))
    big = os.path.join(publisher.path, "targets", "big")
    with open(big, "wb") as file:
        file.write(os.urandom(4 << 20))
    monkeypatch.setattr("hashscan.service.protocol.STALLED", 0.5)
    with running_here(prepared, repository=publisher.path) as port:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", port))
        sock.sendall(b"GET /repository/targets/big HTTP/1.1\r\nHost: x\r\n\r\n")
        sock.settimeout(10)
        assert sock.recv(100)
        poll = select.poll()  # reset, so that the kernel keeps nothing of the answer either
        poll.register(sock, select.POLLERR | select.POLLHUP)
        assert poll.poll(8000), "the connection is still there"
        sock.close()


SMUGGLED = {
    "both": b"Content-Length: 40\r\nTransfer-Encoding: chunked\r\n",
    "both-other-order": b"Transfer-Encoding: chunked\r\nContent-Length: 40\r\n",
    "two-lengths": b"Content-Length: 40\r\nContent-Length: 41\r\n",
    "list-of-lengths": b"Content-Length: 40, 41\r\n",
    "signed-length": b"Content-Length: +40\r\n",
    "two-codings": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
    "unknown-coding": b"Transfer-Encoding: xchunked\r\n",
    "coding-list": b"Transfer-Encoding: gzip, chunked\r\n",
    "blank-before-colon": b"Content-Length : 40\r\n",
    "folded": b"X: y\r\n Transfer-Encoding: chunked\r\nContent-Length: 40\r\n",
    "bare-lf": b"X: y\nTransfer-Encoding: chunked\r\nContent-Length: 40\r\n",
    "bare-cr": b"X: y\rTransfer-Encoding: chunked\r\nContent-Length: 40\r\n",
    "nul": b"X: a\x00b\r\nContent-Length: 40\r\n",
}


@pytest.mark.parametrize("headers", SMUGGLED.values(), ids=list(SMUGGLED))
def test_a_request_that_ends_in_two_places_is_refused(headers, asked):
    with connect(port_of(asked)) as sock:
        body = asked.known[0].encode()
        chunk = b"28\r\n" + body + b"\r\n0\r\n\r\n"
        sock.sendall(HEAD + basic() + headers + b"\r\n" + (chunk if b"chunk" in headers else body))
        sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = answer_of(sock)
    assert answer[:12] in {b"HTTP/1.1 400", b"HTTP/1.1 501"}
    assert answer.count(b"HTTP/1.1") == 1
    assert b"true" not in answer


def test_a_coding_in_http_1_0_is_refused(asked):
    with connect(port_of(asked)) as sock:
        sock.sendall(
            HEAD.replace(b"1.1", b"1.0") + basic() + b"Transfer-Encoding: chunked\r\n\r\n"
            b"28\r\n" + asked.known[0].encode() + b"\r\n0\r\n\r\n"
        )
        assert answer_of(sock).startswith(b"HTTP/1.1 400")


def test_chunks_alone_are_a_question(asked):
    with connect(port_of(asked)) as sock:
        sock.sendall(
            HEAD + basic() + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"28\r\n" + asked.known[0].encode() + b"\r\n0\r\n\r\n"
        )
        assert answer_of(sock).endswith(b"true")
