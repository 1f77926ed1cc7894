"""Clients of the reference service: polite ones, and ones that hold connections open."""

import base64
import contextlib
import resource
import select
import socket
import time

import pytest
import requests
from serving import serving

from hashscan.model import ALGORITHM_BY_LENGTH, Digest
from hashscan.service.serve import ServeOptions, serve

PASSWORD = "a pässword: of some length"
#: Seconds for an answer to a known client; under it, a machine that is busy otherwise has its time,
#: and nobody has waited for a time limit of ``service.protocol``, which are 10 s.
SOON = 8.0
HEAD = b"POST /v1/check/sha1 HTTP/1.1\r\nHost: x\r\n"
#: Addresses from which clients connect.
ONE = ["127.0.0.1"]
SEVERAL = [f"127.0.0.{n}" for n in range(1, 60)]


def digest_of(text):
    return Digest(ALGORITHM_BY_LENGTH[len(text)], text)


def post(served, path, body, user="me", password=PASSWORD, **headers):
    token = base64.b64encode(f"{user}:{password}".encode()).decode()
    return requests.post(
        served.url + path, data=body, headers={"Authorization": f"Basic {token}", **headers},
        timeout=60,
    )  # fmt: skip


def until(happens):
    """Ask once in more than a second: wrong credentials are counted meanwhile."""
    for _ in range(5):
        time.sleep(1.2)
        if happens():
            return
    pytest.fail("it did not happen")


def basic(user="me", password=PASSWORD):
    token = base64.b64encode(f"{user}:{password}".encode())
    return b"Authorization: Basic " + token + b"\r\n"


def question(digest="0" * 40, *, user="me", password=PASSWORD):
    return HEAD + basic(user, password) + b"Content-Length: 40\r\n\r\n" + digest.encode()


def port_of(served):
    return int(served.url.rpartition(":")[2])


def connect(port, source="127.0.0.1", *, blocking=True):
    sock = socket.socket()
    sock.bind((source, 0))
    sock.setblocking(blocking)
    with contextlib.suppress(BlockingIOError):
        sock.connect(("127.0.0.1", port))
    return sock


@contextlib.contextmanager
def holding(port, count, sources, data=b""):
    """``count`` connections, each with ``data`` sent."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count + 500:
        if hard < count + 500:
            pytest.skip(f"needs {count + 500} descriptors, and may have {hard}")
        resource.setrlimit(resource.RLIMIT_NOFILE, (count + 500, hard))
    held = []
    try:
        for number in range(count):
            sock = connect(port, sources[number % len(sources)], blocking=False)
            held.append(sock)
            poll = select.poll()
            poll.register(sock, select.POLLOUT)
            if poll.poll(10_000) and data:
                with contextlib.suppress(OSError):
                    sock.sendall(data)
        yield held
    finally:
        for sock in held:
            sock.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def seconds_of(client, digest):
    start = time.monotonic()
    assert client.confirm(Digest("sha1", digest)).known
    return time.monotonic() - start


def answer_of(sock, seconds=60):
    """All that the service sends until it closes."""
    sock.settimeout(seconds)
    found = b""
    with contextlib.suppress(ConnectionError):
        while data := sock.recv(65536):
            found += data
    return found


def answer_with(sock, end, seconds=60):
    """An answer up to ``end``."""
    sock.settimeout(seconds)
    found = b""
    while end not in found:
        data = sock.recv(4096)
        assert data, found
        found += data
    return found


@contextlib.contextmanager
def running_here(served, **options):
    """The service in a thread of this process, so that its limits can be set; yields its port."""

    with serving(serve, served.data, ServeOptions(port=0, **options)) as address:
        yield int(address.rpartition(":")[2])


def certificate_in(directory):
    import trustme

    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(directory / "ca.pem")
    certificate.private_key_pem.write_to_path(directory / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(directory / "cert.pem")
    return str(directory / "cert.pem"), str(directory / "key.pem")
