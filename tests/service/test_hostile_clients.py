"""Clients that hold connections open, guess passwords, or disconnect; known users are answered."""

import base64
import contextlib
import os
import resource
import select
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time

import pytest
from serving import serving

from hashscan.model import Digest
from hashscan.service.serve import running
from hashscan.service.users import add_user

PASSWORD = "a pässword: of some length"
#: Connections that are held open: twice what strangers may have.
MANY = 1000
#: Seconds for an answer to a known client; under it, a machine that is busy otherwise has its time,
#: and nobody has waited for a time limit of ``service.protocol``, which are 10 s.
SOON = 3.0
HEAD = b"POST /v1/check/sha1 HTTP/1.1\r\nHost: x\r\n"


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


ONE, SEVERAL = ["127.0.0.1"], [f"127.0.0.{n}" for n in range(1, 60)]


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
            assert seconds_of(kept, digest) < 3
            assert seconds_of(fresh, digest) < 3
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


# -- time limits ------------------------------------------------------------------------------------


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


@contextlib.contextmanager
def running_here(served, **options):
    """The service in a thread of this process, so that its limits can be set; yields its port."""
    from hashscan.service.serve import ServeOptions, serve

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


# -- requests with two ends -------------------------------------------------------------------------

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


# -- clients that go away ---------------------------------------------------------------------------


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
