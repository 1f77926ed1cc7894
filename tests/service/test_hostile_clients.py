"""Clients that guess passwords, or disconnect at any moment; known users are answered."""

import contextlib
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

import pytest
from service_clients import (
    HEAD,
    ONE,
    SEVERAL,
    answer_with,
    basic,
    connect,
    port_of,
    question,
    seconds_of,
)

from hashscan.model import Digest
from hashscan.service.users import add_user


@pytest.mark.parametrize(
    ("sources", "name"),
    [(ONE, "me"), (SEVERAL, "{}")],
    ids=["one-address-one-name", "several-addresses-random-names"],
)
def test_a_flood_of_wrong_passwords_delays_nobody_who_is_known(sources, name, served):
    port = port_of(served)
    kept = served.client(timeout=60.0, attempts=1)
    seconds_of(kept, served.known[0])
    stopping = threading.Event()
    sent = []

    def flood(thread):
        number = 0
        while not stopping.is_set():
            number += 1
            source = sources[(number + 7 * thread) % len(sources)]
            with contextlib.suppress(OSError), connect(port, source) as sock:
                sock.settimeout(2)
                user = name.format(os.urandom(6).hex())
                for _ in range(10):
                    sock.sendall(question(user=user, password="wrong-word"))
                    # 16 threads with a short pause ask far more than the service can hash.
                    if not sock.recv(4096) or stopping.wait(0.02):
                        break
                    sent.append(user)

    threads = [threading.Thread(target=flood, args=(n,)) for n in range(16)]
    for one in threads:
        one.start()
    try:
        deadline = time.monotonic() + 60
        while len(sent) < 40 and time.monotonic() < deadline:
            time.sleep(0.01)
        fresh = served.client(timeout=60.0, attempts=1)
        seconds_of(fresh, served.known[0])
        for digest in served.known[:5]:
            assert seconds_of(kept, digest) < 8
            assert seconds_of(fresh, digest) < 8
        fresh.close()
        # a user who was not here before
        add_user(served.data, "new", "the password of new")
        start, found = time.monotonic(), b""
        while b"200 OK" not in found and time.monotonic() < start + 15:
            with connect(port, "127.0.0.200") as sock:
                sock.sendall(question(served.known[0], user="new", password="the password of new"))
                sock.settimeout(9)
                found = sock.recv(4096)
            time.sleep(0.1)
        assert b"200 OK" in found, found
    finally:
        stopping.set()
        for one in threads:
            one.join()
    kept.close()


@pytest.fixture
def loud(prepared):
    """The service, and all that it says."""
    with subprocess.Popen(
        [sys.executable, "-W", "default", "-m", "hashscan", "service", "run", "--data",
         prepared.data.directory, "--listen", "127.0.0.1:0"],
        stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        try:
            prepared.url = process.stderr.readline().decode().split()[-1]
            prepared.process = process
            yield prepared
        finally:
            process.kill()


def ended(loud):
    loud.process.send_signal(signal.SIGTERM)
    _, told = loud.process.communicate(timeout=60)
    assert loud.process.returncode == 0
    return told.decode()


def test_a_client_that_goes_away_at_any_moment_is_no_news(loud):
    port = port_of(loud)
    whole = question(loud.known[0])
    chunked = HEAD + basic() + b"Transfer-Encoding: chunked\r\n\r\n28\r\n" + b"0" * 40
    refused = HEAD + b"Transfer-Encoding: chunked\r\n\r\n28\r\n" + b"0" * 40
    bad_chunk = refused + b"\r\nno chunk\r\n"
    wrong = question(password="wrong-word")
    cases = [whole[:n] for n in range(0, len(whole) + 1, 3)]
    cases += [whole, chunked, refused, bad_chunk, chunked + b"\r\nzz\r\n", wrong]
    cases += [whole + whole, whole + b"garbage\r\n\r\n", whole + whole[:100], b"\x16\x03\x01" * 9]
    cases += [HEAD + basic() + b"Expect: 100-continue\r\nContent-Length: 40\r\n\r\n"]
    cases += [HEAD + basic() + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"]
    cases += [b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n" % (b"x" * 20000)]
    for data in cases:
        for linger in (None, struct.pack("ii", 1, 0)):
            for read in (False, True):
                sock = connect(port)
                if linger:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                with contextlib.suppress(OSError):
                    sock.sendall(data)
                if read:
                    select.select([sock], [], [], 0.02)
                sock.close()
    client = loud.client()
    assert client.confirm(Digest("sha1", loud.known[0])).known
    client.close()
    assert ended(loud) == ""


def test_it_ends_soon_and_without_a_word_whoever_holds_a_connection(loud):
    sent = [b"", HEAD, HEAD + basic() + b"Content-Length: 40\r\n\r\nab", question() + HEAD]
    with contextlib.ExitStack() as stack:
        for data in sent:
            sock = stack.enter_context(connect(port_of(loud)))
            sock.sendall(data)
        answer_with(sock, b"false")  # so the service has read what all of them sent
        start = time.monotonic()
        assert ended(loud) == ""
        assert time.monotonic() - start < 60
