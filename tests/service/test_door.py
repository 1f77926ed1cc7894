"""Connections that are held open, TLS handshakes, and few descriptors silence nobody."""

import shutil
import socket
import ssl
import sys

import pytest
from service_clients import (
    HEAD,
    ONE,
    SEVERAL,
    SOON,
    answer_of,
    answer_with,
    basic,
    certificate_in,
    connect,
    holding,
    port_of,
    post,
    question,
    running_here,
    seconds_of,
)

from hashscan.model import Digest
from hashscan.service.serve import running

#: Connections that are held open: twice what strangers may have.
MANY = 1000


@pytest.mark.parametrize("sources", [ONE, SEVERAL], ids=["one", "several"])
@pytest.mark.parametrize(
    "data",
    [
        b"",
        HEAD,
        HEAD + basic("me", "wrong-word") + b"Content-Length: 40\r\n\r\nab",
        HEAD + b"Content-Length: 40\r\n\r\n" + b"ab",
    ],
    ids=["idle", "head", "body-wrong", "body-none"],
)
def test_connections_that_are_held_open_silence_nobody(sources, data, served):
    port = port_of(served)
    kept = served.client(timeout=60.0, attempts=1)
    seconds_of(kept, served.known[0])
    with holding(port, MANY, sources, data):
        fresh = served.client(timeout=60.0, attempts=1)
        # within the time-out at least, while this busy machine makes all of theirs
        times = [seconds_of(one, served.known[0]) for one in (kept, fresh)]
        times += [seconds_of(one, digest) for digest in served.known[1:5] for one in (kept, fresh)]
        assert sorted(times)[-3] < SOON, times
        with connect(port, "127.0.0.200") as stranger:  # somebody new, from elsewhere
            stranger.sendall(question(served.known[0]))
            answer_with(stranger, b"true")
        fresh.close()
    kept.close()


@pytest.mark.skipif(shutil.which("prlimit") is None, reason="needs prlimit (util-linux)")
def test_few_descriptors_are_enough(prepared):
    command = ["prlimit", "--nofile=200:200", sys.executable, "-P", "-m", "hashscan"]
    with running(prepared.data.directory, (), command) as prepared.url:
        kept = prepared.client(timeout=60.0, attempts=1)
        seconds_of(kept, prepared.known[0])
        with holding(port_of(prepared), 600, SEVERAL, HEAD):
            fresh = prepared.client(timeout=60.0, attempts=1)
            for digest in prepared.known[:3]:
                seconds_of(kept, digest)
                seconds_of(fresh, digest)
            fresh.close()
        kept.close()


def test_a_tls_handshake_that_is_not_finished_silences_nobody(tmp_path, serve):
    files = certificate_in(tmp_path)
    served = serve("--tls-certificate", files[0], "--tls-key", files[1])
    port = port_of(served)
    client = served.client(timeout=60.0, attempts=1, ca_bundle=str(tmp_path / "ca.pem"))
    assert client.confirm(Digest("sha1", served.known[0])).known
    with holding(port, 1000, SEVERAL, b"\x16\x03\x01"):
        assert seconds_of(client, served.known[0]) < SOON
        assert seconds_of(client, served.known[1]) < SOON
        client.close()
    context = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    with context.wrap_socket(connect(port), server_hostname="127.0.0.1") as sock:
        sock.sendall(question(served.known[0]))
        answer_with(sock, b"true")


def test_a_tls_handshake_has_a_time_limit(tmp_path, prepared, monkeypatch):
    monkeypatch.setattr("hashscan.service.door.HEAD", 0.5)
    files = certificate_in(tmp_path)
    with (
        running_here(prepared, certificate=files[0], key=files[1]) as port,
        connect(port) as sock,
    ):
        sock.sendall(b"\x16\x03\x01")
        assert answer_of(sock) == b""


def test_an_idle_connection_holds_up_nobody(asked):
    port = int(asked.url.rpartition(":")[2])
    idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(50)]
    for one in idle:
        one.sendall(b"POST /v1/check/sha1 HTTP/1.1\r\nHost")
    assert post(asked, "/v1/check/sha1", asked.known[0]).text == "true"
    for one in idle:
        one.close()
